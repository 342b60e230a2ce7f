//! `lvsp-mio healthcheck`

use anyhow::{Context, Result};
use lvsp_mio::healthcheck;

use super::{CannotBeServed, Configured};

pub(crate) fn run(configured: &Configured) -> Result<()> {
    let listen = configured
        .load()?
        .admin
        .listen
        .context("admin.listen is off, so nobody can be asked: set it, as in 127.0.0.1:9900");
    healthcheck::ask(listen.context(CannotBeServed)?)
}
