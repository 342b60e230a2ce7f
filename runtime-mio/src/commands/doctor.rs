//! `lvsp-mio doctor`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use lvsp_mio::Progress;
use lvsp_mio::doctor;

use super::{Configured, say};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    configured: Configured,
    /// Tell it as one JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let report = doctor::examine(&self.configured.load()?, &Progress::new());
        say(&if self.json { serde_json::to_string(&report)? } else { report.text() })?;
        Ok(if report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
