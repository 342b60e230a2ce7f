//! `lvsp-mio probe`

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use lvsp_mio::Progress;
use lvsp_mio::config::File;
use lvsp_mio::probe::{self, Entry, Target, Trust};

use super::{CannotBeServed, say, seconds_within, secret_of_environment};

/// What it is told.
///
/// The secret is never an argument: other users of this machine could read it there.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The server's configuration, on its own host: the secret is that of the [[control.client]]
    /// with name = "probe".
    #[arg(long, value_name = "FILE", conflicts_with_all = ["control", "plain"])]
    config: Option<PathBuf>,
    /// With --config: no chat server is connected, so its secret may be used.
    #[arg(long, requires = "config")]
    alone: bool,
    /// `control.listen` of the server, as host:port.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "config")]
    control: Option<String>,
    /// A file that holds a control secret of the server.
    #[arg(long, value_name = "FILE", env = "LVSP_CONTROL__SECRET_FILE")]
    secret_file: Option<PathBuf>,
    /// The name that the certificate has to be for on the control connection, if not that of
    /// --control.
    #[arg(long, value_name = "HOST")]
    name: Option<String>,
    /// The authority that signed the server's certificate, as PEM; those that this host trusts
    /// otherwise.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The server has `tls.off = true`, and no proxy is in front.
    #[arg(long, conflicts_with = "ca")]
    plain: bool,
    /// Where the voice clients connect, in place of what the server tells. Where this is an address
    /// the certificate has to be for the name that the server tells, otherwise for this one.
    #[arg(long, value_name = "HOST:PORT")]
    endpoint: Option<String>,
    /// How long the clients talk, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Tell it as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let time = Duration::from_secs_f64(self.seconds);
        let target = Target::find(&self.entry()?)?;
        let report = probe::run(&target, time, &Progress::new())?;
        say(&if self.json { serde_json::to_string(&report)? } else { report.text() })?;
        Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn entry(&self) -> Result<Entry> {
        let trust = match &self.ca {
            _ if self.plain => Trust::Plain,
            Some(path) => Trust::Authorities(path.clone()),
            None => Trust::System,
        };
        let mut entry = match (&self.config, &self.control) {
            (Some(path), _) => {
                let file = File::load(Some(path), env::vars_os()).context(CannotBeServed)?;
                Entry::of(&file, trust, self.alone)?
            }
            (None, Some(control)) => Entry {
                control: control.clone(),
                name: None,
                secret: secret_of_environment(self.secret_file.as_deref()),
                secret_file: self.secret_file.clone(),
                control_trust: trust.clone(),
                gateway_trust: trust,
                endpoint: None,
            },
            (None, None) => bail!("give --control or --config"),
        };
        entry.endpoint.clone_from(&self.endpoint);
        if self.name.is_some() {
            entry.name.clone_from(&self.name);
        }
        Ok(entry)
    }
}

fn seconds(text: &str) -> Result<f64> {
    seconds_within(text, 0.2..=600.0)
}
