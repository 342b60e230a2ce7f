//! What a server is started with, and why it cannot be.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use lvsp_core::config::{Config, ConfigError, ControlClient, MediaConfig, Proxies};
use lvsp_core::limits::Limits;
use lvsp_core::transport::TlsIdentity;

use crate::host::{self, Holder, Protocol};
use crate::turns::Budgets;

/// Everything that a server is started with.
#[derive(Debug)]
pub struct Options {
    /// Where chat servers connect. Port 0 takes a free one.
    pub control: SocketAddr,
    /// Networks that chat servers may connect from; empty for all.
    pub control_allow: Vec<IpNet>,
    /// Where voice clients connect.
    pub gateway: SocketAddr,
    /// Where media arrives; relay `n` listens on the port + `n`.
    pub media: SocketAddr,
    /// The address that clients send media to.
    pub public_ip: Ipv4Addr,
    /// Relays, each with a thread and a port of its own.
    pub relays: u16,
    /// `host:port` that clients dial; the gateway's own address where `None`.
    pub endpoint: Option<String>,
    /// The certificate of both listeners; `None` serves plain TCP.
    pub tls: Option<TlsIdentity>,
    /// The chat servers.
    pub control_clients: Vec<ControlClient>,
    /// How long calls go on without a chat server.
    pub grace: Duration,
    /// How long calls go on after a drain began.
    pub drain: Duration,
    /// Whether the gateway's versions before 4 are served.
    pub old_versions: bool,
    /// Proxies in front of the gateway.
    pub proxies: Proxies,
    /// How media is served. Whether loopback addresses are, follows from `media`.
    pub media_config: MediaConfig,
    /// How long datagrams may wait for others while many speak at a relay; zero for never.
    pub coalesce: Duration,
    /// Every bound of the core.
    pub limits: Limits,
    /// Work for each turn of each thread.
    pub budgets: Budgets,
    /// A folder for recordings of everything that the server and its relays are fed, and of what
    /// they answer: `server.lvsprec`, `relay-0.lvsprec` and so on, for
    /// [`lvsp_core::record::replay`]. They hold secrets and everybody's audio, and need plain TCP.
    pub record: Option<PathBuf>,
}

impl Options {
    /// A server for this host alone: on free ports of loopback, in plain TCP, with the defaults of
    /// everything else. Demonstrations and tests begin with it.
    #[must_use]
    pub fn on_loopback(control_clients: Vec<ControlClient>) -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            control: free,
            control_allow: Vec::new(),
            gateway: free,
            media: free,
            public_ip: Ipv4Addr::LOCALHOST,
            relays: 1,
            endpoint: None,
            tls: None,
            control_clients,
            grace: Duration::from_secs(300),
            drain: Duration::ZERO,
            old_versions: false,
            proxies: Proxies::default(),
            media_config: MediaConfig::default(),
            coalesce: Duration::from_millis(2),
            limits: Limits::default(),
            budgets: Budgets::default(),
            record: None,
        }
    }

    /// Everything that keeps this from being served, as far as it shows without opening a socket.
    #[must_use]
    pub fn faults(self) -> Vec<BindError> {
        let port = if self.media.port() == 0 { 1 } else { self.media.port() };
        let ip = self.public_ip;
        let mut faults = Vec::new();
        let mut relays = Vec::new();
        for at in 0..self.relays {
            match port.checked_add(at) {
                Some(port) => relays.push(SocketAddrV4::new(ip, port)),
                None => {
                    faults.push(BindError::Ports(at));
                    break;
                }
            }
        }
        let gateway = self.gateway;
        // That there is no relay is found before.
        let none = relays.is_empty();
        let others = self.into_config(relays, gateway).faults().into_iter();
        let others = others.filter(|fault| !(none && *fault == ConfigError::NoRelay));
        faults.extend(others.map(BindError::from));
        faults
    }

    /// What the core is told, when the sockets' addresses are known.
    pub(crate) fn into_config(self, relays: Vec<SocketAddrV4>, gateway: SocketAddr) -> Config {
        Config {
            control_clients: self.control_clients,
            control_grace: self.grace,
            gateway_endpoint: self.endpoint.unwrap_or_else(|| gateway.to_string()),
            relays,
            old_versions: self.old_versions,
            proxies: self.proxies,
            media: self.media_config,
            drain: self.drain,
            limits: self.limits,
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A socket could not be bound.
    #[error("cannot listen on {key} = {address}")]
    Address {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A port number beyond the last.
    #[error("media.relays = {0}: relay {0} would need a port above 65535")]
    Ports(u16),
    /// What is inside TLS cannot be replayed.
    #[error("a recording needs plain TCP: set tls.off = true, or do not record")]
    RecordedTls,
    /// A recording could not be begun.
    #[error("cannot record into {}", path.display())]
    Record {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The core refused the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Other than one media socket for each relay.
    #[error("there must be one media socket for each relay, and at least one")]
    NoMedia,
    /// Something else that a server needs.
    #[error("cannot set up the event loop")]
    Io(#[from] io::Error),
}

impl BindError {
    /// What more is known of the cause, and what to do: who holds a port that is in use.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let Self::Address { key, address, source } = self else { return None };
        let protocol = if *key == "media.listen" { Protocol::Udp } else { Protocol::Tcp };
        let kind = source.kind();
        if kind == io::ErrorKind::AddrInUse {
            return Some(match host::holder(protocol, *address) {
                Some(Holder { pid, name }) => format!(
                    "process {pid} ({name}) holds the port: stop it, or give {key} another port"
                ),
                None => format!(
                    "another process holds the port (as root, `ss -lntup` names it): stop it, or \
                     give {key} another port"
                ),
            });
        }
        if kind == io::ErrorKind::AddrNotAvailable {
            let ip = address.ip();
            return Some(format!(
                "no interface of this host has {ip}: give {key} one that it has, or 0.0.0.0 for all"
            ));
        }
        (kind == io::ErrorKind::PermissionDenied).then(|| {
            format!(
                "ports below 1024 need the capability CAP_NET_BIND_SERVICE or a socket unit \
                 (deploy/): give {key} a higher port otherwise"
            )
        })
    }
}
