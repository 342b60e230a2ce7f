//! `lvsp-mio gen-cert`

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use lvsp_mio::development::Authority;
use rustls_pki_types::DnsName;

use super::say;

const CA: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";
const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";
/// For everybody to read, and for the owner alone.
const PUBLIC: u32 = 0o644;
const PRIVATE: u32 = 0o600;

#[derive(Args)]
pub(crate) struct Arguments {
    /// A name that clients dial, as in gateway.endpoint or control.listen; may be repeated.
    #[arg(long = "name", value_name = "HOST", required_unless_present = "ips", value_parser = host)]
    names: Vec<String>,
    /// An address that clients dial; may be repeated.
    #[arg(long = "ip", value_name = "IP")]
    ips: Vec<IpAddr>,
    /// How many days the certificate lasts. The authority lasts ten years.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// The folder for the files, which is made if it is not there.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// Replace chain.pem and key.pem. An authority whose key is in the folder is kept in any case.
    #[arg(long)]
    force: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<()> {
        let path = |name: &str| self.out.join(name);
        for name in [CHAIN, KEY] {
            if !self.force && path(name).exists() {
                bail!(
                    "{} is there already: choose another folder with --out, or replace it with \
                     --force",
                    path(name).display()
                );
            }
        }
        fs::create_dir_all(&self.out)
            .with_context(|| format!("--out {}: cannot make it", self.out.display()))?;
        let authority = self.authority()?;
        let ips = self.ips.iter().map(IpAddr::to_string);
        let names: Vec<_> = self.names.iter().cloned().chain(ips).collect();
        let made = authority.issue(&names, self.days).context("--name")?;
        replace(&path(CHAIN), &made.certificate, PUBLIC)?;
        replace(&path(KEY), &made.key, PRIVATE)?;
        say(&format!(
            "{}: the certificate for {}, for {} days: tls.certificate\n\
             {}: its private key, which only the server may read: tls.key\n\
             {}: the authority: every client and chat server has to trust it\n\
             {}: the authority's private key: the server does not need it; keep it away from the \
             server, and here only to renew the certificate with --force",
            path(CHAIN).display(),
            names.join(", "),
            self.days,
            path(KEY).display(),
            path(CA).display(),
            path(CA_KEY).display(),
        ))
    }

    /// The authority whose key is in the folder, or a new one that is put there.
    fn authority(&self) -> Result<Authority> {
        let (ca, ca_key) = (self.out.join(CA), self.out.join(CA_KEY));
        if ca_key.exists() && ca.exists() {
            let context = || format!("{}: the authority's private key", ca_key.display());
            let key = fs::read_to_string(&ca_key).with_context(context)?;
            return Authority::from_key_pem(&key).with_context(context);
        }
        for path in [&ca, &ca_key] {
            if path.exists() {
                bail!(
                    "{} is there without its counterpart ({CA} and {CA_KEY} belong together): \
                     move it away, or choose another folder with --out",
                    path.display()
                );
            }
        }
        let authority = Authority::new()?;
        replace(&ca, authority.certificate(), PUBLIC)?;
        replace(&ca_key, &authority.key(), PRIVATE)?;
        Ok(authority)
    }
}

/// A name of a host, as it may stand in a certificate.
fn host(text: &str) -> Result<String> {
    match DnsName::try_from(text.strip_prefix("*.").unwrap_or(text)) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => bail!("a name of a host alone is wanted, as in voice.example.org"),
    }
}

/// Writes a file beside the old one and then puts it in its place: a running server that looks at it
/// never sees half of it.
fn replace(path: &Path, text: &str, mode: u32) -> Result<()> {
    let next = path.with_extension("pem.new");
    let write = || {
        // What an earlier attempt left may have other permissions.
        let _ = fs::remove_file(&next);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&next)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&next, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
