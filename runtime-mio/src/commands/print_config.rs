//! `lvsp-mio print-config`

use anyhow::Result;
use lvsp_mio::memory;

use super::{Configured, say};

pub(crate) fn run(configured: &Configured) -> Result<()> {
    let file = configured.load()?;
    say(&file.to_masked_toml()?)?;
    say(memory::describe(&file.memory_ceiling()).trim_end())
}
