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
//! | `front` | what answers at `gateway.endpoint`: its certificate, and whether a proxy names clients |
//! | `secrets` | how hard the control secrets are to guess, and who can read their files |
//! | `surroundings` | open files, memory, the clock |
//!
//! Whatever is not as it should be comes with the lines to write ([`Change`]): no finding can be made
//! without.

mod certificate;
mod front;
mod names;
mod public;
mod secrets;
mod sockets;
mod surroundings;

use std::fmt::Write as _;
use std::time::SystemTime;

use serde::Serialize;

use crate::config::{Change, Fault, File, alternatives};
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
    /// The configuration key, as in `control.client[0].secret`, or what of this host.
    pub about: String,
    /// Where the key stands: the file and its line, or a variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What was found.
    pub what: String,
    /// What to do, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// What to write; one of them is enough. Empty only where nothing is to be done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl Finding {
    fn ok(about: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            severity: Severity::Ok,
            about: about.into(),
            place: None,
            what: what.into(),
            remedy: None,
            changes: Vec::new(),
        }
    }

    fn warning(
        about: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
        change: Change,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            remedy: Some(remedy.into()),
            changes: vec![change],
            ..Self::ok(about, what)
        }
    }

    fn error(
        about: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
        change: Change,
    ) -> Self {
        Self { severity: Severity::Error, ..Self::warning(about, what, remedy, change) }
    }

    /// Another change that would do.
    fn or(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

impl From<Fault> for Finding {
    fn from(fault: Fault) -> Self {
        let Fault { key, place, what, changes } = fault;
        let remedy = Some("change it so; docs/configuration.md explains each key".to_owned());
        Self { severity: Severity::Error, about: key, place, what, remedy, changes }
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

    /// For people: a line for each finding, and below it what to do and what to write.
    #[must_use]
    pub fn text(&self) -> String {
        let width = self.findings.iter().map(|finding| finding.about.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Finding { severity, about, place, what, remedy, changes } in &self.findings {
            let severity = match severity {
                Severity::Ok => "ok",
                Severity::Warning => "warning",
                Severity::Error => "ERROR",
            };
            let margin = " ".repeat(width + 11);
            let place = place.as_ref().filter(|_| !changes.is_empty());
            let place = place.map_or_else(String::new, |place| format!("{place}: "));
            let _ = writeln!(text, "{severity:<8} {about:<width$}  {place}{what}");
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "{margin}-> {remedy}");
            }
            text += &alternatives(changes, &(margin + "   "));
        }
        let number = |count, of| format!("{count} {of}{}", if count == 1 { "" } else { "s" });
        text + &format!("{}, {}", number(self.errors, "error"), number(self.warnings, "warning"))
    }
}

/// Looks at everything. Takes up to some seconds where names, connections or datagrams are waited for.
#[must_use]
pub fn examine(file: &File, progress: &Progress) -> Report {
    type Look = fn(&File) -> Vec<Finding>;
    let looks: [Look; 8] = [
        sockets::look,
        public::look,
        names::look,
        |file| certificate::look(file, SystemTime::now()),
        |file| front::look(file, SystemTime::now()),
        secrets::look,
        surroundings::look,
        configuration,
    ];
    progress.begin("doctor", looks.len() as u64);
    let mut findings: Vec<Finding> = Vec::new();
    for (done, look) in looks.iter().enumerate() {
        progress.set(done as u64);
        for mut finding in look(file) {
            // What a look at one thing found is what keeps the whole from being served.
            let is_known = |known: &Finding| {
                known.what == finding.what
                    || (known.about == finding.about && known.severity == Severity::Error)
            };
            let is_whole = done + 1 == looks.len();
            if !(is_whole && findings.iter().any(is_known)) {
                // The clock and the like stand in no file.
                let is_of_file = finding.about.contains('.') || finding.about == "limits";
                let place = || file.places.where_is(&finding.about).filter(|_| is_of_file);
                finding.place = finding.place.or_else(place);
                findings.push(finding);
            }
        }
    }
    progress.end();
    Report::new(findings)
}

/// Whether all of it together can be served.
fn configuration(file: &File) -> Vec<Finding> {
    match file.check() {
        Ok(()) => vec![Finding::ok("configuration", "it can be served")],
        Err(faults) => faults.into_iter().map(Finding::from).collect(),
    }
}
