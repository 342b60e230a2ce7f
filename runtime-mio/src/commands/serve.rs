//! `lvsp-mio serve`

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow};
use clap::Args;
use lvsp_core::transport::TlsIdentity;
use lvsp_mio::admin::Admin;
use lvsp_mio::config::{AdminSection, File, SecretText};
use lvsp_mio::supervision::supervise;
use lvsp_mio::{BindError, Runtime, Sockets, development, host};

use super::{CannotBeServed, Configured, gen_secret, say};

/// Where the admin plane of a first start is.
const ADMIN_PORT: u16 = 9_900;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    configured: Configured,
    /// A folder for recordings, to find faults with: they hold secrets and everybody's audio.
    /// Needs `tls.off = true`.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<()> {
        let mut file = self.configured.load()?;
        let is_first = self.configured.config.is_none() && !file.tls.is_given();
        let first_start = if is_first { Some(prepare_first_start(&mut file)?) } else { None };
        let inherited = inherit(&mut file)?;
        let mut options = file.options().context(CannotBeServed)?;
        if let Some(first_start) = &first_start {
            options.tls = Some(first_start.identity.clone());
        }
        options.record = self.record;
        // A first start has TLS, with a certificate that the file does not name.
        if first_start.is_none() && file.hides_clients() {
            tracing::warn!(
                "TLS is off: client libraries need a proxy in front that speaks it. Name its \
                 network in gateway.trusted_proxies: it hides where clients connect from, and \
                 until then media.foreign_udp is without effect"
            );
        }
        if let Some(warning) = file.memory_warning() {
            tracing::warn!("{warning}");
        }
        host::allow_open_files(&file.limits);
        let runtime = match inherited {
            Some(sockets) => Runtime::with_sockets(sockets, options),
            None => Runtime::bind(options),
        };
        let runtime = runtime.map_err(explain)?;
        let admin = bind_admin(&file.admin, first_start.is_some())?;
        let admin_address = admin.as_ref().map(Admin::address);
        let certificate = file.certificate_files()?;
        let serve = |admin: Admin| admin.serve(runtime.observer(), certificate.clone());
        let _admin = admin.map(serve).transpose().context("cannot start the admin plane")?;
        let drain = Duration::from_secs(file.drain.seconds);
        supervise(&runtime, certificate, drain).context("cannot watch over the server")?;
        announce(&runtime, &file, first_start.as_ref(), admin_address)?;
        runtime.run().context("the event loop ended")?;
        Ok(())
    }
}

/// Says where the server listens, and after a first start how to be let in.
fn announce(
    runtime: &Runtime,
    file: &File,
    first_start: Option<&FirstStart>,
    admin: Option<SocketAddr>,
) -> Result<()> {
    let (control, gateway) = (runtime.control_address(), runtime.gateway_address());
    if let Some(FirstStart { secret, token, ca, .. }) = first_start {
        say(&format!(
            "No configuration file: serving on loopback with a development certificate.\n\
             chat server: LVSP to wss://{control}/ with {secret}\n\
             clients:     the chat server passes on the endpoint {gateway}\n\
             both trust:  the CA in {ca}\n\
             try it:      LVSP_CONTROL__SECRET={token} lvsp-mio probe --control {control} --ca {ca}",
            ca = ca.display()
        ))?;
        if let Some(address) = admin {
            say(&format!("dashboard:   http://{address}/"))?;
        }
    }
    let media = runtime.media_addresses().first().copied().unwrap_or(file.media.listen);
    let admin = admin.map_or_else(String::new, |address| format!(", admin {address}"));
    say(&format!("ready: control {control}, gateway {gateway}, media {media}{admin}"))
}

/// The admin plane's socket. A first start has one, at the usual port or, where that is taken, at a
/// free one.
fn bind_admin(section: &AdminSection, first_start: bool) -> Result<Option<Admin>> {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
    if section.listen.is_some() || !first_start {
        return Admin::bind(section).map_err(explain);
    }
    let at = |port| AdminSection {
        listen: Some(SocketAddr::new(usual.ip(), port)),
        ..AdminSection::default()
    };
    Admin::bind(&at(ADMIN_PORT)).or_else(|_| Admin::bind(&at(0))).map_err(explain)
}

/// Tells what the configuration is to blame for from what is not, and who holds a port in use.
fn explain(error: BindError) -> Error {
    let is_configured =
        matches!(error, BindError::Ports(_) | BindError::Config(_) | BindError::RecordedTls);
    let hint = error.hint();
    let error = Error::new(error);
    match hint {
        _ if is_configured => error.context(CannotBeServed),
        Some(hint) => anyhow!("{error:#}; {hint}"),
        None => error,
    }
}

/// Sockets from the service manager, if it passed any. Where they listen is what the rest of the
/// configuration is checked against.
fn inherit(file: &mut File) -> Result<Option<Sockets>> {
    let sockets = Sockets::inherit(file.media.relays).context(CannotBeServed)?;
    if let Some(sockets) = &sockets {
        let addresses = sockets.addresses()?;
        let (control, gateway) = (addresses.control, addresses.gateway);
        tracing::info!(%control, %gateway, media = %addresses.media,
            "sockets from the service manager take the place of those in the configuration");
        file.listen_at(addresses);
    }
    Ok(sockets)
}

/// What a start without a configuration makes up.
struct FirstStart {
    identity: TlsIdentity,
    /// What to say of the secret.
    secret: String,
    /// What to write in its place into a command line.
    token: String,
    /// Where the CA was written.
    ca: PathBuf,
}

impl Drop for FirstStart {
    /// The next start makes another one.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.ca);
    }
}

/// A certificate and, if the environment names none, a secret.
fn prepare_first_start(file: &mut File) -> Result<FirstStart> {
    let made = development::certificate()?;
    let ca = env::temp_dir().join(format!("lvsp-development-ca-{}.pem", std::process::id()));
    // A folder for everybody: what another user put there is neither written to nor followed.
    let _ = fs::remove_file(&ca);
    let ours = OpenOptions::new().write(true).create_new(true).open(&ca);
    let written = ours.and_then(|mut ours| ours.write_all(made.ca.as_bytes()));
    written.with_context(|| format!("cannot write {}", ca.display()))?;
    let (mut secret, mut token) = ("the configured token".to_owned(), "...".to_owned());
    if file.control.secret.is_none() && file.control.secret_file.is_none() {
        let made = gen_secret();
        secret = format!("the token {made}");
        token.clone_from(&made);
        file.control.secret = Some(SecretText::new(made));
    }
    // The file names no certificate; ours takes its place.
    file.tls.off = true;
    Ok(FirstStart { identity: made.identity, secret, token, ca })
}
