//! The command line of `lvsp-mio`. Each subcommand is a file of `commands`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod commands;

/// Voice server for Discord-compatible chat servers.
///
/// Each scalar key of the configuration file is also the environment variable LVSP_SECTION__KEY.
///
/// Exit status: 0 for success and after a stop that was asked for, 1 when something failed at run
/// time (a port in use, a step of a probe, a finding of doctor that is an error), 2 for a wrong
/// command line, 3 for a configuration that cannot be read or served.
#[derive(Parser)]
#[command(name = "lvsp-mio", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve. Without a configuration: on loopback, with a certificate and a secret of its own.
    #[command(after_help = "\
Examples:
  lvsp-mio serve
  lvsp-mio serve --config /etc/lvsp/lvsp.toml
  LVSP_DRAIN__SECONDS=0 lvsp-mio serve --config lvsp.toml")]
    Serve(commands::serve::Arguments),
    /// Show that it works: callers talk through a server on this host, every payload is checked.
    #[command(after_help = "\
Examples:
  lvsp-mio demo
  lvsp-mio demo --frames 1500")]
    Demo(commands::demo::Arguments),
    /// Measure a server: members join it as clients do, some talk, everything is counted and timed.
    ///
    /// The server should be one that nobody uses meanwhile: this acts as its chat server.
    /// LVSP_CONTROL__SECRET in the environment is its control secret, unless --secret-file is given.
    /// Several loads at once, or one beside a chat server, need a [[control.client]] each. Exit
    /// status 1 when members cannot join.
    #[command(after_help = "\
Examples:
  lvsp-mio load --plain --members 100 --speakers 10
  lvsp-mio load --name voice.example.org --ca ca.pem --secret-file load-secret
  lvsp-mio load --ca ca.pem --members 200 --saturate --server-pid 4711 --json")]
    Load(commands::load::Arguments),
    /// Say what is wrong with a configuration.
    #[command(after_help = "\
Examples:
  lvsp-mio check-config --config /etc/lvsp/lvsp.toml")]
    CheckConfig(commands::Configured),
    /// Print the configuration in force, defaults included, secrets masked.
    #[command(after_help = "\
Examples:
  lvsp-mio print-config --config /etc/lvsp/lvsp.toml")]
    PrintConfig(commands::Configured),
    /// Print a new random control secret.
    #[command(after_help = "\
Examples:
  lvsp-mio gen-secret > /etc/lvsp/control-secret")]
    GenSecret,
    /// Ask a running server whether it is well, at its admin.listen. For containers.
    #[command(after_help = "\
Examples:
  lvsp-mio healthcheck --config /etc/lvsp/lvsp.toml")]
    Healthcheck(commands::Configured),
    /// Make a private authority and a certificate of it, for a server that no public one knows.
    ///
    /// Clients trust it only where its authority was installed, so unmodified client libraries of
    /// strangers need a public certificate instead.
    #[command(after_help = "\
Examples:
  lvsp-mio gen-cert --name voice.example.org --out /etc/lvsp
  lvsp-mio gen-cert --name voice.lan --ip 192.0.2.7 --days 90 --force")]
    GenCert(commands::gen_cert::Arguments),
    /// Say what to open in a firewall.
    #[command(after_help = "\
Examples:
  lvsp-mio ports --config /etc/lvsp/lvsp.toml
  lvsp-mio ports --config /etc/lvsp/lvsp.toml --format ufw")]
    Ports(commands::ports::Arguments),
    /// Examine this host and a configuration: what is right, what is not, what to change.
    ///
    /// Sockets are opened for a moment; nothing but the configured names and addresses is asked or
    /// sent to. Exit status 1 when a finding is an error; warnings leave it at 0.
    #[command(after_help = "\
Examples:
  lvsp-mio doctor --config /etc/lvsp/lvsp.toml")]
    Doctor(commands::doctor::Arguments),
    /// Join a running server as a chat server and two voice clients, and time each step.
    ///
    /// Works from any host that reaches the control listener. LVSP_CONTROL__SECRET in the
    /// environment is the control secret, unless --secret-file or --config is given. Beside a chat
    /// server that is connected use a [[control.client]] with a secret of its own: under one that is
    /// in use it is turned away. Exit status 1 when a step failed.
    #[command(after_help = "\
Examples:
  lvsp-mio probe --config /etc/lvsp/lvsp.toml
  lvsp-mio probe --config /etc/lvsp/lvsp.toml --alone --ca ca.pem
  lvsp-mio probe --control voice.example.org:6000 --secret-file probe-secret")]
    Probe(commands::probe::Arguments),
    /// Print what makes a shell complete this command line.
    #[command(after_help = "\
Examples:
  lvsp-mio completions bash > /etc/bash_completion.d/lvsp-mio")]
    Completions(commands::completions::Arguments),
    /// Print the manual page, or write one for each subcommand.
    #[command(after_help = "\
Examples:
  lvsp-mio man --out /usr/local/share/man/man1")]
    Man(commands::man::Arguments),
}

impl Command {
    /// From which level on lines are logged, unless `RUST_LOG` says otherwise.
    const fn log_level(&self) -> &'static str {
        // What the others show stands in their tables.
        if matches!(self, Self::Serve(_)) { "info" } else { "warn" }
    }

    fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(arguments) => arguments.run(),
            Self::Demo(arguments) => return arguments.run(),
            Self::Load(arguments) => arguments.run(),
            Self::CheckConfig(configured) => commands::check_config::run(&configured),
            Self::PrintConfig(configured) => commands::print_config::run(&configured),
            Self::GenSecret => commands::say(&commands::gen_secret()),
            Self::Healthcheck(configured) => commands::healthcheck::run(&configured),
            Self::GenCert(arguments) => arguments.run(),
            Self::Ports(arguments) => arguments.run(),
            Self::Doctor(arguments) => return arguments.run(),
            Self::Probe(arguments) => return arguments.run(),
            Self::Completions(arguments) => arguments.run::<Arguments>(),
            Self::Man(arguments) => arguments.run::<Arguments>(),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    set_up_logs(command.log_level());
    match command.run() {
        Ok(status) => status,
        Err(error) => {
            let _ = writeln!(io::stderr(), "lvsp-mio: {error:#}");
            ExitCode::from(if error.is::<commands::CannotBeServed>() { 3 } else { 1 })
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
