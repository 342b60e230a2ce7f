//! What an operator says about a server that is to be connected to, read and resolved: for `load` and
//! `probe`, which have the same options. Every error names the one to change.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use lvsp_core::transport::TlsTrust;
use lvsp_core::wire::secret::Secret;

/// A control secret that stands in one of two places.
pub(crate) fn secret(secret: Option<String>, file: Option<&Path>) -> Result<Secret> {
    let secret = match (secret, file) {
        (Some(secret), None) => secret,
        (None, Some(path)) => fs::read_to_string(path)
            .with_context(|| format!("--secret-file {}", path.display()))?
            .trim_end_matches(['\r', '\n'])
            .to_owned(),
        (None, None) => bail!(
            "no control secret: give --secret-file, or LVSP_CONTROL__SECRET in the environment"
        ),
        (Some(_), Some(_)) => bail!("give either a secret or --secret-file, not both"),
    };
    ensure!(!secret.is_empty(), "the control secret is empty");
    Ok(Secret::new(secret))
}

/// The authorities in a file, as of today.
pub(crate) fn trust(path: &Path) -> Result<TlsTrust> {
    let context = || format!("--ca {}", path.display());
    let pem = fs::read(path).with_context(context)?;
    TlsTrust::from_pem(&pem, today()?).with_context(context)
}

/// Seconds since 1970, by which validity is judged.
pub(crate) fn today() -> Result<u64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())
}

/// The host of `host:port`, without the brackets of an IPv6 address, and its first address.
pub(crate) fn resolve(text: &str) -> Result<(String, SocketAddr)> {
    let (host, _) = text.rsplit_once(':').context("there is no port")?;
    let address = text.to_socket_addrs()?.next().context("the name has no address")?;
    Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), address))
}
