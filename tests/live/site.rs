//! Where the server runs: on loopback, or in a network namespace that a script has made; and the
//! tools of the machine that hurt it.
//!
//! A tool that is not there, or does not do its work here, is an answer of its own ([`Missing`]):
//! a fault that could not be made is never told as one that was survived.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Where the server is to run.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SiteOptions {
    /// The network namespace of the server; without one, it runs on loopback.
    #[arg(long, global = true, requires_all = ["server_ip", "server_link", "client_link"])]
    server_netns: Option<String>,
    /// The server's address there.
    #[arg(long, global = true)]
    server_ip: Option<Ipv4Addr>,
    /// The server's interface there.
    #[arg(long, global = true)]
    server_link: Option<String>,
    /// The interface on this side.
    #[arg(long, global = true)]
    client_link: Option<String>,
}

/// What cannot be done on this machine, and why.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// Fails with [`Missing`].
pub(crate) fn missing<T>(what: impl Into<String>) -> Result<T> {
    Err(Missing(what.into()).into())
}

/// The namespace and the link between it and this one.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) netns: String,
    pub(crate) server: String,
    pub(crate) client: String,
}

impl Link {
    /// The words before a command that is to run in the namespace. `ip netns exec` would hide the
    /// control groups from it.
    pub(crate) fn entrance(&self) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net=/run/netns/{}", self.netns)]
    }
}

/// Where things are.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) program: PathBuf,
    pub(crate) link: Option<Link>,
    pub(crate) control: SocketAddr,
    pub(crate) gateway: SocketAddr,
    pub(crate) media: SocketAddr,
}

impl Site {
    pub(crate) fn new(program: &Path, options: &SiteOptions) -> Result<Self> {
        let program = program.canonicalize().with_context(|| {
            format!("no server at {}: build it, or name it by --server", program.display())
        })?;
        let SiteOptions { server_netns, server_ip, server_link, client_link } = options.clone();
        let link = match (server_netns, server_link, client_link) {
            (Some(netns), Some(server), Some(client)) => Some(Link { netns, server, client }),
            _ => None,
        };
        let (ip, [control, gateway, media]) = match (server_ip, &link) {
            (Some(ip), Some(_)) => (IpAddr::V4(ip), [6_000, 8_443, 50_000]),
            _ => (IpAddr::V4(Ipv4Addr::LOCALHOST), free_ports()?),
        };
        let at = |port| SocketAddr::new(ip, port);
        Ok(Self { program, link, control: at(control), gateway: at(gateway), media: at(media) })
    }

    /// The namespace and link, which some faults need.
    pub(crate) fn need_link(&self) -> Result<&Link> {
        match &self.link {
            Some(link) => Ok(link),
            None => missing("needs a network namespace (scripts/live.sh as root makes one)"),
        }
    }
}

/// Ports that the server can take again and again: it must come back where it was.
fn free_ports() -> Result<[u16; 3]> {
    let any = (Ipv4Addr::LOCALHOST, 0);
    let (control, gateway) = (TcpListener::bind(any)?, TcpListener::bind(any)?);
    let media = UdpSocket::bind(any)?;
    let addresses = [control.local_addr()?, gateway.local_addr()?, media.local_addr()?];
    Ok(addresses.map(|address| address.port()))
}

/// A command by its words.
pub(crate) fn command(words: &[&str]) -> Result<Command> {
    let [program, arguments @ ..] = words else { bail!("a command has a name") };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

/// Runs a command that must succeed; without the program, or if the kernel refuses, the fault
/// cannot be made here.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let output = match command(words)?.output() {
        Ok(output) => output,
        Err(error) => return missing(format!("{} does not run: {error}", words[0])),
    };
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    missing(format!("`{}` fails: {}", words.join(" "), why.trim().replace('\n', "; ")))
}

/// As [`run`], in the server's namespace.
pub(crate) fn run_in(link: &Link, words: &[&str]) -> Result<()> {
    let [enter, netns] = link.entrance();
    run(&[&[enter.as_str(), &netns], words].concat())
}

/// A control group of the memory or cpu controller, removed when dropped. Its members must be gone
/// by then.
pub(crate) struct Cgroup {
    folder: PathBuf,
    /// Whether it is of the second version, where files have other names.
    unified: bool,
}

impl Cgroup {
    const ROOT: &'static str = "/sys/fs/cgroup";

    /// Makes a group with this controller.
    pub(crate) fn new(controller: &str) -> Result<Self> {
        let root = Path::new(Self::ROOT);
        let controllers = std::fs::read_to_string(root.join("cgroup.controllers"));
        let unified = controllers.is_ok_and(|all| all.split_whitespace().any(|c| c == controller));
        if unified {
            let enable = root.join("cgroup.subtree_control");
            write(&enable, &format!("+{controller}"))?;
        } else if !root.join(controller).join("cgroup.procs").exists() {
            return missing(format!("no cgroup controller {controller} below {}", Self::ROOT));
        }
        let root = if unified { root.to_owned() } else { root.join(controller) };
        let folder = root.join(format!("lvsp-live-{}", std::process::id()));
        if let Err(error) = std::fs::create_dir(&folder) {
            return missing(format!("cannot make {}: {error}", folder.display()));
        }
        Ok(Self { folder, unified })
    }

    /// Sets a limit, by its file's name in each version, and sees that it holds.
    pub(crate) fn set(&self, first: &str, second: &str, value: &str) -> Result<()> {
        let file = self.folder.join(if self.unified { second } else { first });
        write(&file, value)?;
        let now = std::fs::read_to_string(&file).unwrap_or_default();
        if now.trim() == value {
            return Ok(());
        }
        missing(format!("{} holds {} instead of {value}", file.display(), now.trim()))
    }

    /// Whether this is version 2.
    pub(crate) const fn is_unified(&self) -> bool {
        self.unified
    }

    /// What a file of the group says.
    pub(crate) fn read(&self, first: &str, second: &str) -> String {
        let file = self.folder.join(if self.unified { second } else { first });
        std::fs::read_to_string(file).unwrap_or_default().trim().to_owned()
    }

    /// The file that takes members.
    pub(crate) fn members(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// Takes a running process in.
    pub(crate) fn take(&self, pid: u32) -> Result<()> {
        write(&self.members(), &pid.to_string())
    }

    /// Sees that a process is in.
    pub(crate) fn check_member(&self, pid: u32) -> Result<()> {
        let members = self.read("cgroup.procs", "cgroup.procs");
        if members.lines().any(|member| member == pid.to_string()) {
            return Ok(());
        }
        missing(format!("the server did not get into {}", self.folder.display()))
    }

    /// Gives a process back to the root's group.
    pub(crate) fn release(&self, pid: u32) {
        let root = self.folder.parent().map(|root| root.join("cgroup.procs"));
        if let Some(root) = root {
            let _ = std::fs::write(root, pid.to_string());
        }
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.folder);
    }
}

fn write(file: &Path, value: &str) -> Result<()> {
    match std::fs::write(file, value) {
        Ok(()) => Ok(()),
        Err(error) => missing(format!("cannot write {value} to {}: {error}", file.display())),
    }
}
