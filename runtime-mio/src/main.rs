//! The command line of `lvsp-mio`.

use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};
use std::{env, fs, io};

use anyhow::{Context, Error, Result};
use clap::{Parser, Subcommand};
use lvsp_core::entropy::Entropy;
use lvsp_core::transport::TlsIdentity;
use lvsp_mio::admin::Admin;
use lvsp_mio::config::{AdminSection, File, SecretText};
use lvsp_mio::demo::{self, Fault};
use lvsp_mio::supervision::supervise;
use lvsp_mio::{BindError, OsEntropy, Runtime, Sockets, development, healthcheck, memory};

mod load_command;

/// Where the admin plane of a first start is.
const ADMIN_PORT: u16 = 9_900;

/// Voice server for Discord-compatible chat servers.
///
/// Each scalar key of the configuration file is also the environment variable LVSP_SECTION__KEY.
///
/// Exit status: 0 for success and after a stop that was asked for, 1 when something failed at run
/// time (a port in use, say), 2 for a wrong command line, 3 for a configuration that cannot be
/// served.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve. Without a configuration: on loopback, with a certificate and a secret of its own.
    Serve {
        /// The configuration file.
        #[arg(long, env = "LVSP_CONFIG_FILE")]
        config: Option<PathBuf>,
        /// A folder for recordings, to find faults with: they hold secrets and everybody's audio.
        /// Needs `tls.off = true`.
        #[arg(long, value_name = "FOLDER")]
        record: Option<PathBuf>,
    },
    /// Show that it works: callers talk through a server on this host, every payload is checked.
    Demo {
        /// Frames of 20 ms that each caller says.
        #[arg(long, default_value_t = 150, value_parser = clap::value_parser!(u32).range(1..=3000))]
        frames: u32,
        /// Let something go wrong, to see that the verdict notices.
        #[arg(long, hide = true)]
        fault: Option<Fault>,
    },
    /// Measure a server: members join it as clients do, some talk, everything is counted and timed.
    ///
    /// The server must be one that nobody uses: this acts as its chat server. LVSP_CONTROL__SECRET
    /// in the environment is its control secret, unless --secret-file is given.
    Load(load_command::Arguments),
    /// Say what is wrong with a configuration.
    CheckConfig {
        /// The configuration file.
        #[arg(long, env = "LVSP_CONFIG_FILE")]
        config: Option<PathBuf>,
    },
    /// Print the configuration in force, defaults included, secrets masked.
    PrintConfig {
        /// The configuration file.
        #[arg(long, env = "LVSP_CONFIG_FILE")]
        config: Option<PathBuf>,
    },
    /// Print a new random control secret.
    GenSecret,
    /// Ask a running server whether it is well, at its admin.listen. For containers.
    Healthcheck {
        /// The configuration file.
        #[arg(long, env = "LVSP_CONFIG_FILE")]
        config: Option<PathBuf>,
    },
}

/// Marks errors that a change of the configuration would mend: a restart alone would not.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the configuration cannot be served")]
struct CannotBeServed;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What these two show stands in their tables.
    let has_table = matches!(arguments.command, Command::Demo { .. } | Command::Load(_));
    set_up_logs(if has_table { "warn" } else { "info" });
    match run(arguments.command) {
        Ok(status) => status,
        Err(error) => {
            let _ = writeln!(io::stderr(), "lvsp-mio: {error:#}");
            ExitCode::from(if error.is::<CannotBeServed>() { 3 } else { 1 })
        }
    }
}

/// For people on a terminal, as JSON otherwise. `RUST_LOG` chooses what is shown.
fn set_up_logs(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        logs.init();
    } else {
        logs.json().init();
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve { config, record } => serve(config.as_deref(), record)?,
        Command::Demo { frames, fault } => {
            if !demo::run(demo::Options { frames, fault })?.is_pass() {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Load(arguments) => say(&load_command::load(&arguments)?)?,
        Command::CheckConfig { config } => check(&load(config.as_deref())?)?,
        Command::PrintConfig { config } => {
            let file = load(config.as_deref())?;
            say(&file.to_masked_toml()?)?;
            say(memory::describe(&file.memory_ceiling()).trim_end())?;
        }
        Command::GenSecret => say(&gen_secret())?,
        Command::Healthcheck { config } => {
            let file = load(config.as_deref())?;
            let listen = file.admin.listen.context(
                "admin.listen is off, so nobody can be asked: set it, as in 127.0.0.1:9900",
            );
            healthcheck::ask(listen.context(CannotBeServed)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What to say where the limits allow more memory than there is.
fn memory_warning(file: &File) -> Option<String> {
    let (ceiling, there_is) = (file.memory_ceiling().bytes(), memory::available()?);
    (ceiling > there_is).then(|| {
        format!(
            "under these limits the server may come to hold {}, and this machine or \
             container has {}; `lvsp-mio print-config` shows which of [limits] to lower",
            memory::mebibytes(ceiling),
            memory::mebibytes(there_is)
        )
    })
}

fn say(text: &str) -> Result<()> {
    writeln!(io::stdout(), "{text}").context("cannot write to standard output")
}

fn load(path: Option<&Path>) -> Result<File> {
    File::load(path, env::vars_os()).context(CannotBeServed)
}

fn check(file: &File) -> Result<()> {
    file.check().context(CannotBeServed)?;
    if let Some(files) = file.certificate_files()?
        && let Some(expires) = files.read()?.expires
        && let Some(warning) = files.expiry_warning(expires, SystemTime::now())
    {
        say(&format!("warning: {warning}"))?;
    }
    if let Some(warning) = memory_warning(file) {
        say(&format!("warning: {warning}"))?;
    }
    say("the configuration can be served")
}

fn gen_secret() -> String {
    let entropy: &mut (dyn Entropy + Send) = &mut OsEntropy;
    entropy.hex::<32>()
}

fn serve(path: Option<&Path>, record: Option<PathBuf>) -> Result<()> {
    let mut file = load(path)?;
    let is_first = path.is_none() && !file.tls.is_given();
    let first_start = if is_first { Some(prepare_first_start(&mut file)?) } else { None };
    let inherited = inherit(&mut file)?;
    let mut options = file.options().context(CannotBeServed)?;
    if let Some(first_start) = &first_start {
        options.tls = Some(first_start.identity.clone());
    }
    options.record = record;
    if file.hides_clients() {
        tracing::warn!(
            "TLS is off: client libraries need a proxy in front that speaks it. Name its network in \
             gateway.trusted_proxies: it hides where clients connect from, and until then \
             media.foreign_udp is without effect"
        );
    }
    if let Some(warning) = memory_warning(&file) {
        tracing::warn!("{warning}");
    }
    let runtime = match inherited {
        Some(sockets) => Runtime::with_sockets(sockets, options),
        None => Runtime::bind(options),
    };
    let runtime = runtime.map_err(|error| {
        let is_configured =
            matches!(error, BindError::Ports(_) | BindError::Config(_) | BindError::RecordedTls);
        let error = Error::new(error);
        if is_configured { error.context(CannotBeServed) } else { error }
    })?;
    let admin = bind_admin(&file.admin, first_start.is_some())?;
    let admin_address = admin.as_ref().map(Admin::address);
    let certificate = file.certificate_files()?;
    let serve = |admin: Admin| admin.serve(runtime.observer(), certificate.clone());
    let _admin = admin.map(serve).transpose().context("cannot start the admin plane")?;
    supervise(&runtime, certificate, Duration::from_secs(file.drain.seconds))
        .context("cannot watch over the server")?;
    let (control, gateway) = (runtime.control_address(), runtime.gateway_address());
    if let Some(FirstStart { secret, ca, .. }) = &first_start {
        say(&format!(
            "No configuration file: serving on loopback with a development certificate.\n\
             chat server: LVSP to wss://{control}/ with {secret}\n\
             clients:     the chat server passes on the endpoint {gateway}\n\
             both trust:  the CA in {}",
            ca.display()
        ))?;
        if let Some(address) = admin_address {
            say(&format!("dashboard:   http://{address}/"))?;
        }
    }
    let media = runtime.media_addresses().first().copied().unwrap_or(file.media.listen);
    let admin = admin_address.map_or_else(String::new, |address| format!(", admin {address}"));
    say(&format!("ready: control {control}, gateway {gateway}, media {media}{admin}"))?;
    runtime.run().context("the event loop ended")?;
    Ok(())
}

/// The admin plane's socket. A first start has one, at the usual port or, where that is taken, at a
/// free one.
fn bind_admin(section: &AdminSection, first_start: bool) -> Result<Option<Admin>> {
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT));
    if section.listen.is_some() || !first_start {
        return Ok(Admin::bind(section)?);
    }
    let at = |port| AdminSection {
        listen: Some(SocketAddr::new(usual.ip(), port)),
        ..AdminSection::default()
    };
    Ok(Admin::bind(&at(ADMIN_PORT)).or_else(|_| Admin::bind(&at(0)))?)
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
    /// Where the CA was written.
    ca: PathBuf,
}

/// A certificate and, if the environment names none, a secret.
fn prepare_first_start(file: &mut File) -> Result<FirstStart> {
    let made = development::certificate()?;
    let ca = env::temp_dir().join(format!("lvsp-development-ca-{}.pem", std::process::id()));
    fs::write(&ca, made.ca).with_context(|| format!("cannot write {}", ca.display()))?;
    let mut secret = "the configured token".to_owned();
    if file.control.secret.is_none() && file.control.secret_file.is_none() {
        let made = gen_secret();
        secret = format!("the token {made}");
        file.control.secret = Some(SecretText::new(made));
    }
    // The file names no certificate; ours takes its place.
    file.tls.off = true;
    Ok(FirstStart { identity: made.identity, secret, ca })
}
