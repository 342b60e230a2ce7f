//! `lvsp-mio serve`

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Error, Result, anyhow};
use clap::Args;
use lvsp_core::transport::TlsIdentity;
use lvsp_mio::config::{File, SecretText};
use lvsp_mio::supervision::supervise;
use lvsp_mio::{BindError, Runtime, Sockets, development, host};

use super::{CannotBeServed, Configured, gen_secret, say};

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
        if options.tls.is_none() {
            tracing::warn!("TLS is off: client libraries need a proxy in front that speaks it");
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
        let drain = Duration::from_secs(file.drain.seconds);
        supervise(&runtime, file.certificate_files()?, drain)
            .context("cannot watch over the server")?;
        announce(&runtime, &file, first_start.as_ref())?;
        runtime.run().context("the event loop ended")?;
        Ok(())
    }
}

/// Says where the server listens, and after a first start how to be let in.
fn announce(runtime: &Runtime, file: &File, first_start: Option<&FirstStart>) -> Result<()> {
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
    }
    let media = runtime.media_addresses().first().copied().unwrap_or(file.media.listen);
    say(&format!("ready: control {control}, gateway {gateway}, media {media}"))
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

/// A certificate and, if the environment names none, a secret.
fn prepare_first_start(file: &mut File) -> Result<FirstStart> {
    let made = development::certificate()?;
    let ca = env::temp_dir().join(format!("lvsp-development-ca-{}.pem", std::process::id()));
    fs::write(&ca, made.ca).with_context(|| format!("cannot write {}", ca.display()))?;
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
