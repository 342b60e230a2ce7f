//! `lvsp-mio man`

use std::path::PathBuf;
use std::{fs, io};

use anyhow::{Context, Result};
use clap::{Args, CommandFactory};
use clap_mangen::Man;

#[derive(Args)]
pub(crate) struct Arguments {
    /// A folder for the pages of the command and each subcommand, which is made if it is not there.
    /// Without it the command's page is printed.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl Arguments {
    /// Prints or writes the pages of the command line `C`.
    pub(crate) fn run<C: CommandFactory>(self) -> Result<()> {
        let Some(folder) = self.out else {
            let mut page = Vec::new();
            Man::new(C::command()).render(&mut page)?;
            io::copy(&mut page.as_slice(), &mut io::stdout())?;
            return Ok(());
        };
        let context = || format!("--out {}: cannot write manual pages there", folder.display());
        fs::create_dir_all(&folder).with_context(context)?;
        clap_mangen::generate_to(C::command(), &folder).with_context(context)
    }
}
