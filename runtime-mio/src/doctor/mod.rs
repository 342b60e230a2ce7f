//! Findings about a configuration and the host it is for: what is right, what is not, what to change.
//!
//! Nothing but the configured names and addresses is asked or sent to. Each file looks at one thing
//! and judges it by a function of values, so that its tests need no broken host.
//!
//! | file | looks at |
//! |---|---|
//! | `sockets` | the addresses that are listened on, and the buffers that the kernel grants |
//! | `public` | `media.public_ip` against the interfaces, and whether UDP comes back from it |
//! | `names` | whether `gateway.endpoint` resolves, and where to |
//! | `certificate` | the chain, its key, its names and its age |
//! | `secrets` | how hard the control secrets are to guess, and who can read their files |
//! | `surroundings` | a proxy in front, open files, memory, the clock |

mod certificate;
mod names;
mod public;
mod secrets;
mod sockets;
mod surroundings;

use std::fmt::Write as _;
use std::time::SystemTime;

use serde::Serialize;

use crate::config::File;
use crate::progress::Progress;

/// How bad something is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It may be as it should be, or will not stay so.
    Warning,
    /// The server does not start, or clients do not come through.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The configuration key, or what of this host.
    pub about: &'static str,
    /// What was found.
    pub what: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(about: &'static str, what: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, about, what: what.into(), remedy: None }
    }

    fn warning(about: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { severity: Severity::Warning, about, what: what.into(), remedy }
    }

    fn error(about: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, ..Self::warning(about, what, remedy) }
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// In the order of the configuration's sections, then of this host.
    pub findings: Vec<Finding>,
    /// How many of them are errors.
    pub errors: usize,
    /// How many are warnings.
    pub warnings: usize,
}

impl Report {
    fn new(findings: Vec<Finding>) -> Self {
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        Self { findings, errors, warnings }
    }

    /// For people: a line for each finding, and below it what to do.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.about.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { severity, about, what, remedy } in &self.findings {
            let severity = match severity {
                Severity::Ok => "ok",
                Severity::Warning => "warning",
                Severity::Error => "ERROR",
            };
            let _ = writeln!(text, "{severity:<8} {about:<width$}  {what}");
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "{:<8} {:<width$}  -> {remedy}", "", "");
            }
        }
        let number = |count, of| format!("{count} {of}{}", if count == 1 { "" } else { "s" });
        text + &format!("{}, {}", number(self.errors, "error"), number(self.warnings, "warning"))
    }
}

/// Looks at everything. Takes up to some seconds where names or datagrams are waited for.
#[must_use]
pub fn examine(file: &File, progress: &Progress) -> Report {
    type Look = fn(&File) -> Vec<Finding>;
    let looks: [Look; 7] = [
        sockets::look,
        public::look,
        names::look,
        |file| certificate::look(file, SystemTime::now()),
        secrets::look,
        surroundings::look,
        configuration,
    ];
    progress.begin("doctor", looks.len() as u64);
    let mut findings: Vec<Finding> = Vec::new();
    for (done, look) in looks.iter().enumerate() {
        progress.set(done as u64);
        for finding in look(file) {
            // What a look at one thing found is what keeps the whole from being served.
            if !findings.iter().any(|known| known.what == finding.what) {
                findings.push(finding);
            }
        }
    }
    progress.end();
    Report::new(findings)
}

/// Whether all of it together can be served.
fn configuration(file: &File) -> Vec<Finding> {
    vec![match file.check() {
        Ok(()) => Finding::ok("configuration", "it can be served"),
        Err(error) => Finding::error(
            "configuration",
            format!("{error:#}"),
            "change the key that is named; docs/configuration.md explains each",
        ),
    }]
}

/// The host of `host:port`, without the brackets of an IPv6 address, and the port.
fn host_and_port(endpoint: &str) -> Option<(&str, u16)> {
    let (host, port) = endpoint.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?))
}
