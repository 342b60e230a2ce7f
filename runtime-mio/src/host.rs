//! What this host says about itself: who holds a port, how many files may be open, which addresses
//! it has.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::{fmt, fs};

use lvsp_core::limits::Limits;
use nix::ifaddrs::getifaddrs;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::accept;
use crate::sys;

/// The program's own name, as the kernel knows it.
pub(crate) const OWN_NAME: &str = "lvsp-mio";

/// Which kind of port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    /// A TCP listener's.
    Tcp,
    /// A UDP socket's.
    Udp,
}

/// Who holds a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Holder {
    /// The process id.
    pub(crate) pid: u32,
    /// The program's name, as the kernel knows it: up to 15 characters.
    pub(crate) name: String,
}

/// A limit of open files under which fewer clients can be served than are to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooFewFiles {
    /// The limit.
    pub(crate) allowed: usize,
    /// Connections that it leaves room for.
    pub(crate) connections: usize,
    /// Clients that are to be served.
    pub(crate) sessions: usize,
    /// The limit that is needed for them.
    pub(crate) needed: usize,
}

impl fmt::Display for TooFewFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allowed, connections, sessions, needed } = self;
        write!(
            f,
            "the limit of open files, {allowed}, allows {connections} connections and \
             limits.sessions = {sessions}: raise it to {needed} with `ulimit -n {needed}` or \
             LimitNOFILE={needed} in the systemd unit, or lower limits.sessions"
        )
    }
}

/// What to say where this process may open fewer files than clients are to be served.
#[must_use]
pub(crate) fn open_files_warning(limits: &Limits) -> Option<TooFewFiles> {
    too_few_open_files(limits, sys::descriptors_max())
}

/// The same where a process that raises its limit may open so many.
#[must_use]
pub(crate) fn open_files_hard_warning(limits: &Limits) -> Option<TooFewFiles> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    too_few_open_files(limits, usize::try_from(hard).unwrap_or(usize::MAX))
}

fn too_few_open_files(limits: &Limits, allowed: usize) -> Option<TooFewFiles> {
    let connections = accept::connections_max(allowed);
    let (sessions, needed) = (limits.sessions, accept::descriptors_for(limits.sessions));
    (connections < sessions).then_some(TooFewFiles { allowed, connections, sessions, needed })
}

/// Raises this process's limit of open files to what is needed, as far as it may: shells and service
/// managers start programs with far less than they allow.
pub fn allow_open_files(limits: &Limits) {
    let needed = accept::descriptors_for(limits.sessions) as u64;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = needed.min(hard);
        if soft < wanted { setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "raising the limit of open files");
    }
}

/// The process that holds a port of this host, as far as /proc tells: root sees every process, others
/// their own.
#[must_use]
pub(crate) fn holder(protocol: Protocol, address: SocketAddr) -> Option<Holder> {
    let files = match protocol {
        Protocol::Tcp => ["tcp", "tcp6"],
        Protocol::Udp => ["udp", "udp6"],
    };
    let inodes = files
        .iter()
        .filter_map(|file| fs::read_to_string(Path::new("/proc/self/net").join(file)).ok())
        .flat_map(|table| inodes(&table, protocol, address))
        .collect::<HashSet<_>>();
    if inodes.is_empty() {
        return None;
    }
    let wanted: HashSet<_> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        open.find(|file| {
            fs::read_link(file.path())
                .is_ok_and(|target| target.to_str().is_some_and(|target| wanted.contains(target)))
        })?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?.trim_end().to_owned();
        Some(Holder { pid, name })
    })
}

/// The addresses of this host's interfaces; none where the system does not tell.
#[must_use]
pub(crate) fn addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect()
}

/// The sockets in a table of /proc/self/net that keep others from binding `address`.
fn inodes(table: &str, protocol: Protocol, address: SocketAddr) -> Vec<u64> {
    /// A TCP socket that listens, and a UDP socket that is connected to nobody.
    const LISTENING: &str = "0A";
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let columns: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = columns[..] else { continue };
        let Some(local) = socket_address(local) else { continue };
        let is_bound = protocol == Protocol::Udp || state == LISTENING;
        let is_same = local.ip() == address.ip()
            || local.ip().is_unspecified()
            || address.ip().is_unspecified();
        if is_bound && local.port() == address.port() && is_same {
            found.extend(inode.parse::<u64>());
        }
    }
    found
}

/// An address as that table writes it: words of 32 bits in the order of this machine.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let ip = if ip.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes()))
    } else {
        let mut bytes = [0; 16];
        for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
            chunk.copy_from_slice(&word(8 * at)?.to_ne_bytes());
        }
        IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_holds_a_port_is_found() {
        let me = std::process::id();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let tcp = TcpListener::bind(any).unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let (tcp_at, udp_at) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
        let pid = |protocol, address| holder(protocol, address).map(|holder| holder.pid);
        assert_eq!(pid(Protocol::Tcp, tcp_at), Some(me));
        assert_eq!(pid(Protocol::Udp, udp_at), Some(me));
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, tcp_at.port()));
        assert_eq!(pid(Protocol::Tcp, everywhere), Some(me), "it cannot be bound either");
        drop(tcp);
        assert_eq!(pid(Protocol::Tcp, tcp_at), None);
        assert!(addresses().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let read = |text| socket_address(text).map(|address| address.to_string());
        assert_eq!(read("0100007F:1F90").as_deref(), Some("127.0.0.1:8080"));
        let loopback = "00000000000000000000000001000000:0016";
        assert_eq!(read(loopback).as_deref(), Some("[::1]:22"));
        assert_eq!(read("0100007F"), None);
        assert_eq!(read("01:1"), None);
    }

    #[test]
    fn too_few_open_files_are_told_with_the_number_that_is_needed() {
        let limits = Limits { sessions: 10_000, ..Limits::default() };
        let warning = too_few_open_files(&limits, 1_024).unwrap().to_string();
        assert!(warning.contains("1024, allows 768 connections"), "{warning}");
        assert!(warning.contains("ulimit -n 10256"), "{warning}");
        assert_eq!(too_few_open_files(&limits, 10_256), None);
    }
}
