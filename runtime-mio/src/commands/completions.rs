//! `lvsp-mio completions`

use std::io;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

impl Arguments {
    /// Prints the script for the command line `C`.
    pub(crate) fn run<C: CommandFactory>(self) -> Result<()> {
        let mut script = Vec::new();
        let mut command = C::command();
        let name = command.get_name().to_owned();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        io::copy(&mut script.as_slice(), &mut io::stdout())?;
        Ok(())
    }
}
