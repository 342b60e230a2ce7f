//! The subcommands, one a file, and what they share.

pub(crate) mod check_config;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod gen_cert;
pub(crate) mod healthcheck;
pub(crate) mod load;
pub(crate) mod man;
pub(crate) mod ports;
pub(crate) mod print_config;
pub(crate) mod probe;
pub(crate) mod serve;

use std::env;
use std::io::{self, ErrorKind, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use lvsp_mio::OsEntropy;
use lvsp_mio::config::File;

/// What is told to commands that read a configuration.
#[derive(Args)]
pub(crate) struct Configured {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "LVSP_CONFIG_FILE")]
    pub(crate) config: Option<PathBuf>,
}

impl Configured {
    /// The file and the environment.
    pub(crate) fn load(&self) -> Result<File> {
        File::load(self.config.as_deref(), env::vars_os()).context(CannotBeServed)
    }

    /// The same, and checked: everything that is wrong is told in one go.
    pub(crate) fn load_checked(&self) -> Result<File> {
        File::load_checked(self.config.as_deref(), env::vars_os()).context(CannotBeServed)
    }
}

/// Marks errors that a change of the configuration would mend: a restart alone would not.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the configuration cannot be served")]
pub(crate) struct CannotBeServed;

/// Says something on standard output. Whoever reads it may have seen enough (`head`).
pub(crate) fn say(text: &str) -> Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        said => said.context("cannot write to standard output"),
    }
}

/// The control secret in the environment, where the option does not name a file that holds it. It is
/// never an argument: other users of this machine could read it there.
fn secret_of_environment(file: Option<&Path>) -> Option<String> {
    env::var("LVSP_CONTROL__SECRET").ok().filter(|_| file.is_none())
}

/// Reads a number of seconds, for an option.
fn seconds_within(text: &str, range: RangeInclusive<f64>) -> Result<f64> {
    let seconds = text.parse().ok().filter(|seconds| range.contains(seconds));
    seconds.with_context(|| format!("{} to {} seconds are wanted", range.start(), range.end()))
}

/// A new control secret.
pub(crate) fn gen_secret() -> String {
    OsEntropy::hex::<32>()
}
