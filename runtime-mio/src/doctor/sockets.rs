//! Can the server listen where it is told to, and how much does the kernel keep for it?

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::SockRef;

use super::Finding;
use crate::config::{Change, File, Places};
use crate::host::{self, Holder, OWN_NAME, Protocol};
use crate::options::BindError;
use crate::ports::{Opening, openings};
use crate::sockets::{BUFFER_BYTES, BUFFER_SHARE};

pub(super) fn look(file: &File) -> Vec<Finding> {
    let bound = openings(file).into_iter().map(|opening| bind(&file.places, &opening));
    let mut findings: Vec<_> = bound.collect();
    for (kind, sysctl, granted) in [
        (
            "receive",
            "net.core.rmem_max",
            granted(|s, b| s.set_recv_buffer_size(b), |s| s.recv_buffer_size()),
        ),
        (
            "send",
            "net.core.wmem_max",
            granted(|s, b| s.set_send_buffer_size(b), |s| s.send_buffer_size()),
        ),
    ] {
        findings.push(match granted {
            Ok(bytes) => judge_buffer(kind, sysctl, bytes),
            Err(error) => Finding::warning(
                "socket buffers",
                format!("cannot ask for the {kind} buffer's size: {error}"),
                "look whether this host has IPv4",
                Change::shell(["ip addr add 127.0.0.1/8 dev lo", "ip link set lo up"]),
            ),
        });
    }
    findings
}

/// Binds each port of a row for a moment.
fn bind(places: &Places, opening: &Opening) -> Finding {
    let Opening { key, protocol, listen, last_port, .. } = opening;
    for port in listen.port()..=*last_port {
        let address = SocketAddr::new(listen.ip(), port);
        if let Err(source) = try_bind(*protocol, address) {
            let first_free = free_port(*protocol, *listen, last_port - listen.port());
            return judge(
                places,
                key,
                address,
                source,
                host::holder(*protocol, address),
                first_free,
            );
        }
    }
    Finding::ok(*key, format!("{listen} can be listened on"))
}

fn try_bind(protocol: Protocol, address: SocketAddr) -> io::Result<()> {
    match protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
    }
}

/// The next port above those of an address from which on so many more are free.
fn free_port(protocol: Protocol, listen: SocketAddr, more: u16) -> u16 {
    // Where the search ends, some port is better than none.
    const LOOK_AT: u16 = 64;
    let first = listen.port().saturating_add(more).saturating_add(1).max(1_024);
    let is_free = |port: &u16| {
        let Some(last) = port.checked_add(more) else { return false };
        (*port..=last).all(|port| try_bind(protocol, SocketAddr::new(listen.ip(), port)).is_ok())
    };
    let candidates = first..first.saturating_add(LOOK_AT);
    candidates.into_iter().find(is_free).unwrap_or(first)
}

/// What it means that an address cannot be bound.
fn judge(
    places: &Places,
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
    holder: Option<Holder>,
    free_port: u16,
) -> Finding {
    if let Some(Holder { pid, name }) = &holder
        && source.kind() == ErrorKind::AddrInUse
        && name == OWN_NAME
    {
        return Finding::ok(key, format!("{address} is held by process {pid} ({name})"));
    }
    let what = format!("cannot listen on {address}: {source}");
    let elsewhere = |address: SocketAddr| places.set(key, address.to_string());
    let at_free_port = elsewhere(SocketAddr::new(address.ip(), free_port));
    let (change, other) = match (source.kind(), &holder) {
        (ErrorKind::AddrNotAvailable, _) => {
            let any: IpAddr = match address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            (elsewhere(SocketAddr::new(any, address.port())), None)
        }
        (ErrorKind::PermissionDenied, _) => {
            let may = Change::unit("AmbientCapabilities=CAP_NET_BIND_SERVICE");
            (at_free_port, Some(may))
        }
        (ErrorKind::AddrInUse, Some(Holder { pid, .. })) => {
            (at_free_port, Some(Change::shell([format!("kill {pid}")])))
        }
        _ => (at_free_port, None),
    };
    let hint = BindError::Address { key, address, source }.hint();
    let hint = hint.unwrap_or_else(|| format!("give {key} another address"));
    let finding = Finding::error(key, what, hint, change);
    other.into_iter().fold(finding, Finding::or)
}

/// What the kernel grants of the buffer that the server asks for.
fn granted(
    set: impl Fn(&SockRef<'_>, usize) -> io::Result<()>,
    size: impl Fn(&SockRef<'_>) -> io::Result<usize>,
) -> io::Result<usize> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let options = SockRef::from(&socket);
    set(&options, BUFFER_BYTES)?;
    Ok(size(&options)? / BUFFER_SHARE)
}

fn judge_buffer(kind: &str, sysctl: &str, granted: usize) -> Finding {
    if granted >= BUFFER_BYTES {
        return Finding::ok("socket buffers", format!("{kind}: {granted} bytes, as asked for"));
    }
    Finding::warning(
        "socket buffers",
        format!(
            "{kind}: {granted} of {BUFFER_BYTES} bytes that the server asks for: bursts of many \
             speakers may be lost"
        ),
        "let the kernel grant it, now and after the next start; the socket units of deploy/ need \
         neither",
        Change::shell([
            format!("sysctl -w {sysctl}={BUFFER_BYTES}"),
            format!("echo '{sysctl} = {BUFFER_BYTES}' > /etc/sysctl.d/60-lvsp-{kind}.conf"),
        ]),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn a_port_in_use_is_an_error_unless_the_server_itself_holds_it() {
        let address = "127.0.0.1:443".parse().unwrap();
        let judge = |key, kind, holder| {
            judge(&Places::default(), key, address, io::Error::from(kind), holder, 8_443)
        };
        let held = |name: &str| Some(Holder { pid: 7, name: name.to_owned() });
        let finding = judge("gateway.listen", ErrorKind::AddrInUse, held("nginx"));
        assert_eq!(finding.severity, Severity::Error);
        // Whoever holds it by the time of the hint is asked for anew, and here nobody does.
        assert!(finding.remedy.unwrap().contains("give gateway.listen another port"));
        assert_eq!(finding.changes[0].lines(), ["LVSP_GATEWAY__LISTEN=127.0.0.1:8443"]);
        assert_eq!(finding.changes[1].lines(), ["kill 7"]);
        let finding = judge("gateway.listen", ErrorKind::AddrInUse, held("lvsp-mio"));
        assert_eq!(finding.severity, Severity::Ok);
        let finding = judge("media.listen", ErrorKind::AddrNotAvailable, None);
        assert!(finding.remedy.unwrap().starts_with("no interface of this host has 127.0.0.1"));
        assert_eq!(finding.changes[0].lines(), ["LVSP_MEDIA__LISTEN=0.0.0.0:443"]);
        let finding = judge("gateway.listen", ErrorKind::PermissionDenied, None);
        let unit = ["[Service]", "AmbientCapabilities=CAP_NET_BIND_SERVICE"];
        assert_eq!(finding.changes[1].lines(), unit);
    }

    #[test]
    fn the_port_that_is_proposed_is_free() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let free = free_port(Protocol::Tcp, address, 0);
        assert_ne!(free, address.port());
    }

    #[test]
    fn a_small_buffer_is_told_with_the_line_that_raises_it() {
        let finding = judge_buffer("receive", "net.core.rmem_max", 212_992);
        assert_eq!(finding.severity, Severity::Warning);
        let lines = finding.changes[0].lines();
        assert_eq!(lines[0], "sysctl -w net.core.rmem_max=4194304");
        assert!(lines[1].ends_with("> /etc/sysctl.d/60-lvsp-receive.conf"), "{lines:?}");
        assert_eq!(judge_buffer("send", "x", BUFFER_BYTES).severity, Severity::Ok);
    }
}
