//! `lvsp-mio check-config`

use std::time::SystemTime;

use anyhow::Result;

use super::{Configured, say};

pub(crate) fn run(configured: &Configured) -> Result<()> {
    let file = configured.load_checked()?;
    if let Some(files) = file.certificate_files()?
        && let Some(expires) = files.read()?.expires
        && let Some(warning) = files.expiry_warning(expires, SystemTime::now())
    {
        say(&format!("warning: {warning}"))?;
    }
    if let Some(warning) = file.memory_warning() {
        say(&format!("warning: {warning}"))?;
    }
    say("the configuration can be served")
}
