//! The server's process: started, hurt, ended, started again, always on the same addresses.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use lvsp_core::transport::TlsTrust;
use lvsp_mio::development;

use crate::site::{self, Site};

/// What chat server and voice server share.
pub(crate) const SECRET: &str = "live-0123456789abcdef0123456789abcdef";

/// A server, running or not.
pub(crate) struct ServerProcess {
    site: Site,
    /// Certificate, key and log; removed in the end.
    folder: PathBuf,
    /// CAs of every certificate so far.
    authorities: String,
    /// The group to start in.
    group: Option<PathBuf>,
    drain_seconds: u64,
    /// More of its configuration, as variables.
    variables: Vec<(String, String)>,
    child: Option<Child>,
    ready: Option<Receiver<()>>,
}

impl ServerProcess {
    /// Prepares a server with a certificate of its own; it does not run yet.
    pub(crate) fn new(site: &Site, drain_seconds: u64) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("lvsp-live-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut server = Self {
            site: site.clone(),
            folder,
            authorities: String::new(),
            group: None,
            drain_seconds,
            variables: Vec::new(),
            child: None,
            ready: None,
        };
        server.write_certificate()?;
        Ok(server)
    }

    /// Writes a new certificate of a new CA where the server reads it; that CA alone.
    pub(crate) fn write_certificate(&mut self) -> Result<TlsTrust> {
        let ip = self.site.gateway.ip().to_string();
        let files = development::files(&["localhost", &ip])?;
        fs::write(self.folder.join("chain.pem"), &files.certificate)?;
        fs::write(self.folder.join("key.pem"), &files.key)?;
        self.authorities += &files.ca;
        trust(&files.ca)
    }

    /// Trust in every certificate that the server has had.
    pub(crate) fn trust(&self) -> Result<TlsTrust> {
        trust(&self.authorities)
    }

    /// Trust in those of this server and of another.
    pub(crate) fn trust_with(&mut self, other: &Self) -> Result<TlsTrust> {
        self.authorities += &other.authorities;
        self.trust()
    }

    /// Starts the server in this control group from now on.
    pub(crate) fn start_in(&mut self, group: Option<PathBuf>) {
        self.group = group;
    }

    /// Sets one more key, by its variable.
    pub(crate) fn configure(&mut self, variable: &str, value: &str) {
        self.variables.push((variable.to_owned(), value.to_owned()));
    }

    /// Starts it. It listens once [`Self::is_ready`] says so.
    pub(crate) fn start(&mut self) -> Result<()> {
        let mut child = self.command()?.spawn().context("the server does not start")?;
        let stdout = BufReader::new(child.stdout.take().context("its output is piped")?);
        let (sender, ready) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if line.starts_with("ready: ") {
                    let _ = sender.send(());
                }
            }
        });
        self.child = Some(child);
        self.ready = Some(ready);
        Ok(())
    }

    fn command(&self) -> Result<Command> {
        let program = self.site.program.to_string_lossy();
        let mut words = Vec::new();
        if let Some(group) = &self.group {
            let enter = format!("echo $$ > {} && exec \"$@\"", group.display());
            words.extend(["sh".to_owned(), "-c".to_owned(), enter, "sh".to_owned()]);
        }
        if let Some(link) = &self.site.link {
            words.extend(link.entrance());
        }
        words.extend([program.into_owned(), "serve".to_owned()]);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let mut command = site::command(&words)?;
        let Site { control, gateway, media, .. } = &self.site;
        command
            .envs(self.variables.iter().map(|(variable, value)| (variable, value)))
            .env("LVSP_CONTROL__LISTEN", control.to_string())
            .env("LVSP_CONTROL__SECRET", SECRET)
            .env("LVSP_GATEWAY__LISTEN", gateway.to_string())
            .env("LVSP_GATEWAY__ENDPOINT", gateway.to_string())
            .env("LVSP_MEDIA__LISTEN", media.to_string())
            .env("LVSP_MEDIA__PUBLIC_IP", media.ip().to_string())
            .env("LVSP_TLS__CERTIFICATE", self.folder.join("chain.pem"))
            .env("LVSP_TLS__KEY", self.folder.join("key.pem"))
            .env("LVSP_DRAIN__SECONDS", self.drain_seconds.to_string())
            .stdout(Stdio::piped())
            .stderr(self.log_file()?);
        Ok(command)
    }

    fn log_file(&self) -> Result<File> {
        let path = self.folder.join("server.log");
        OpenOptions::new().create(true).append(true).open(path).context("the server's log")
    }

    /// The newest lines of its log.
    pub(crate) fn log_tail(&self, lines: usize) -> String {
        let log = fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        let all: Vec<_> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Whether it listens.
    pub(crate) fn is_ready(&mut self) -> bool {
        if self.ready.as_ref().is_some_and(|ready| ready.try_recv().is_ok()) {
            self.ready = None;
        }
        self.child.is_some() && self.ready.is_none()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.child.as_ref().map(Child::id).context("the server does not run")
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let (pid, signal) = (self.pid()?.to_string(), format!("-{name}"));
        let status = site::command(&["kill", &signal, &pid])?.status().context("kill")?;
        if status.success() { Ok(()) } else { bail!("cannot send {name} to the server") }
    }

    /// Its status, once it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        self.child = None;
        self.ready = None;
        Some(status)
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.ready = None;
    }

    /// Resident memory, in KiB.
    pub(crate) fn memory_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let figure = line.and_then(|line| line.split_whitespace().next()).context("VmRSS")?;
        Ok(figure.parse()?)
    }

    /// Datagrams that the kernel dropped because the server's receive buffer was full.
    pub(crate) fn datagrams_dropped(&self) -> Result<u64> {
        let table = fs::read_to_string(format!("/proc/{}/net/udp", self.pid()?))?;
        let port = format!(":{:04X}", self.site.media.port());
        for line in table.lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            if let [_, local, .., drops] = fields.as_slice()
                && local.ends_with(&port)
            {
                return Ok(drops.parse()?);
            }
        }
        bail!("no UDP socket at {}", self.site.media)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn trust(authorities: &str) -> Result<TlsTrust> {
    let today = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    Ok(TlsTrust::from_pem(authorities.as_bytes(), today)?)
}
