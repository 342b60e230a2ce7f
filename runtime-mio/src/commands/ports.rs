//! `lvsp-mio ports`

use anyhow::Result;
use clap::{Args, ValueEnum};
use lvsp_mio::ports::{self, Format};

use super::{Configured, say};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    configured: Configured,
    /// In words, or as lines to run.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Nft,
    Ufw,
    Firewalld,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<()> {
        let format = match self.format {
            Form::Text => Format::Text,
            Form::Nft => Format::Nft,
            Form::Ufw => Format::Ufw,
            Form::Firewalld => Format::Firewalld,
        };
        say(ports::describe(&self.configured.load()?, format).trim_end())
    }
}
