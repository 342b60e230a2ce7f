//! `lvsp-mio demo`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use lvsp_mio::demo::{self, Fault};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Frames of 20 ms that each caller says.
    #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=3000))]
    frames: u32,
    /// Let something go wrong, to see that the verdict notices.
    #[arg(long, hide = true)]
    fault: Option<Fault>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let verdict = demo::run(demo::Options { frames: self.frames, fault: self.fault })?;
        Ok(if verdict.is_pass() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
