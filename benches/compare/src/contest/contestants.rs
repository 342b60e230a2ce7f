//! Servers as processes of their own, in a network namespace of their own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lvsp_mio::development;

use super::Options;

const CONTROL_PORT: u16 = 6_000;
const GATEWAY_PORT: u16 = 8_443;
const MEDIA_PORT: u16 = 50_000;
const FORWARDER_PORT: u16 = 51_000;
const MUMBLE_PORT: u16 = 64_738;
/// At least 32 bytes; nobody but the contest can reach the server.
const SECRET: &str = "a secret of nobody's but the contest";
/// mumble-server makes a key first.
const START: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Who is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who {
    /// lvsp-mio with so many media threads.
    Mio { relays: u16 },
    /// lvsp-mio with two media threads that share each channel, so many legs at its home.
    Spread { legs: u16 },
    /// The host of lvsp-tokio.
    Tokio,
    /// mumble-server.
    Mumble,
    /// The bare forwarder.
    Forwarder,
}

impl Who {
    pub(super) const OURS: Self = Self::Mio { relays: 1 };

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mio { relays: 1 } => "lvsp-mio",
            Self::Mio { .. } => "lvsp-mio, two threads",
            Self::Spread { .. } => "lvsp-mio, spread",
            Self::Tokio => "lvsp-tokio",
            Self::Mumble => "mumble-server",
            Self::Forwarder => "forwarder",
        }
    }
}

/// A server that runs until this is dropped.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How to start them.
pub(super) struct Stable {
    server: PathBuf,
    mumble: Option<PathBuf>,
    netns: String,
    ip: Ipv4Addr,
    folder: PathBuf,
}

impl Stable {
    /// Writes what servers need into a folder.
    pub(super) fn new(options: &Options, folder: &Path) -> Result<Self> {
        let ip = options.server_ip;
        let files = development::files(&[&ip.to_string()])?;
        let mumble = format!(
            "host={ip}\nport={MUMBLE_PORT}\nusers=400\nbandwidth=1000000\nopusthreshold=0\n\
             autobanAttempts=0\nmessagelimit=1000\nmessageburst=1000\nbonjour=False\ntimeout=60\n\
             database={0}/mumble.sqlite\nlogfile={0}/mumble.log\npidfile=\n",
            folder.display()
        );
        for (name, text) in [
            ("ca.pem", files.ca.as_str()),
            ("chain.pem", &files.certificate),
            ("key.pem", &files.key),
            ("secret", SECRET),
            ("mumble.ini", &mumble),
        ] {
            fs::write(folder.join(name), text)
                .with_context(|| format!("{}/{name}", folder.display()))?;
        }
        Ok(Self {
            server: options.server.clone(),
            mumble: options.mumble.clone(),
            netns: options.netns.clone(),
            ip,
            folder: folder.to_owned(),
        })
    }

    pub(super) const fn has_mumble(&self) -> bool {
        self.mumble.is_some()
    }

    /// Where lvsp-mio and lvsp-tokio take orders, and what lets a chat server in.
    pub(super) fn entry(&self) -> lvsp_mio::load::Entry {
        lvsp_mio::load::Entry {
            control: self.address(CONTROL_PORT).to_string(),
            name: None,
            secret: Some(SECRET.to_owned()),
            secret_file: None,
            ca: Some(self.folder.join("ca.pem")),
        }
    }

    pub(super) fn media(&self, who: Who) -> SocketAddrV4 {
        self.address(match who {
            Who::Forwarder => FORWARDER_PORT,
            Who::Mumble => MUMBLE_PORT,
            Who::Mio { .. } | Who::Spread { .. } | Who::Tokio => MEDIA_PORT,
        })
    }

    const fn address(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, port)
    }

    /// A command that runs in the servers' namespace.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.netns]).arg(program);
        command
    }

    /// Starts a server and waits until it listens.
    pub(super) fn start(&self, who: Who, variables: &[(&str, &str)]) -> Result<Running> {
        let mut command = match who {
            Who::Mio { relays } => self.mio(relays),
            Who::Spread { legs } => {
                let mut command = self.mio(2);
                command.env("LVSP_LIMITS__LEGS_PER_RELAY", legs.to_string());
                command
            }
            Who::Tokio => self.tokio()?,
            Who::Mumble => self.mumble()?,
            Who::Forwarder => self.forwarder()?,
        };
        let log = fs::File::create(self.folder.join("server.log"))?;
        command.envs(variables.iter().copied()).stderr(log);
        let awaits_line = who != Who::Mumble;
        command.stdout(if awaits_line { Stdio::piped() } else { Stdio::null() });
        let child = command.spawn().with_context(|| format!("cannot start {}", who.name()))?;
        let mut running = Running(child);
        if awaits_line { running.await_ready() } else { self.await_port(&mut running) }
            .with_context(|| format!("{}: {}", who.name(), self.log()))?;
        Ok(running)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    fn mio(&self, relays: u16) -> Command {
        let mut command = self.command(&self.server);
        let address = |port| self.address(port).to_string();
        let path = |name| self.folder.join(name);
        command
            .arg("serve")
            .env("LVSP_CONTROL__LISTEN", address(CONTROL_PORT))
            .env("LVSP_CONTROL__SECRET_FILE", path("secret"))
            .env("LVSP_GATEWAY__LISTEN", address(GATEWAY_PORT))
            .env("LVSP_GATEWAY__ENDPOINT", address(GATEWAY_PORT))
            .env("LVSP_MEDIA__LISTEN", address(MEDIA_PORT))
            .env("LVSP_MEDIA__PUBLIC_IP", self.ip.to_string())
            .env("LVSP_MEDIA__RELAYS", relays.to_string())
            .env("LVSP_TLS__CERTIFICATE", path("chain.pem"))
            .env("LVSP_TLS__KEY", path("key.pem"))
            .env("RUST_LOG", "error");
        command
    }

    fn tokio(&self) -> Result<Command> {
        let mut command = self.command(&std::env::current_exe()?);
        let address = |port| self.address(port).to_string();
        command.args(["tokio-host", "--control", &address(CONTROL_PORT)]).args([
            "--gateway",
            &address(GATEWAY_PORT),
            "--media",
            &address(MEDIA_PORT),
        ]);
        let files =
            [("--certificate", "chain.pem"), ("--key", "key.pem"), ("--secret-file", "secret")];
        for (option, name) in files {
            command.arg(option).arg(self.folder.join(name));
        }
        Ok(command)
    }

    fn forwarder(&self) -> Result<Command> {
        let mut command = self.command(&std::env::current_exe()?);
        command.args(["forwarder", "--listen", &self.address(FORWARDER_PORT).to_string()]);
        Ok(command)
    }

    fn mumble(&self) -> Result<Command> {
        let mut command = self.command(self.mumble.as_deref().context("no --mumble")?);
        command.arg("-fg").arg("-ini").arg(self.folder.join("mumble.ini"));
        Ok(command)
    }

    fn await_port(&self, running: &mut Running) -> Result<()> {
        let begun = Instant::now();
        let address = self.address(MUMBLE_PORT);
        while TcpStream::connect(address).is_err() {
            if let Some(status) = running.0.try_wait()? {
                bail!("it ended: {status}");
            }
            if begun.elapsed() > START {
                bail!("nothing listens at {address} after {} s", START.as_secs());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Running {
    /// Waits for the line that says so.
    fn await_ready(&mut self) -> Result<()> {
        let out = self.0.stdout.take().context("it is piped")?;
        let mut lines = BufReader::new(out).lines();
        let ready = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with("ready: "));
        if !ready {
            bail!("it ended before it was ready");
        }
        Ok(())
    }
}
