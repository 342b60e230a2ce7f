//! Can the server listen where it is told to, and how much does the kernel keep for it?

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use socket2::SockRef;

use super::Finding;
use crate::config::File;
use crate::host::{self, Holder, Protocol};
use crate::ports::{Opening, openings};
use crate::runtime::BindError;
use crate::sockets::{BUFFER_BYTES, BUFFER_SHARE};

/// The program's own name, as the kernel knows it.
const OWN_NAME: &str = "lvsp-mio";

pub(super) fn look(file: &File) -> Vec<Finding> {
    let mut findings: Vec<_> = openings(file).iter().map(bind).collect();
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
            ),
        });
    }
    findings
}

/// Binds each port of a row for a moment.
fn bind(opening: &Opening) -> Finding {
    let Opening { key, protocol, listen, last_port, .. } = opening;
    for port in listen.port()..=*last_port {
        let address = SocketAddr::new(listen.ip(), port);
        let bound = match protocol {
            Protocol::Tcp => TcpListener::bind(address).map(drop),
            Protocol::Udp => UdpSocket::bind(address).map(drop),
        };
        if let Err(source) = bound {
            return judge(key, address, source, host::holder(*protocol, address));
        }
    }
    Finding::ok(key, format!("{listen} can be listened on"))
}

/// What it means that an address cannot be bound.
fn judge(
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
    holder: Option<Holder>,
) -> Finding {
    if let Some(Holder { pid, name }) = &holder
        && source.kind() == ErrorKind::AddrInUse
        && name == OWN_NAME
    {
        return Finding::ok(key, format!("{address} is held by process {pid} ({name})"));
    }
    let what = format!("cannot listen on {address}: {source}");
    let hint = BindError::Address { key, address, source }.hint();
    Finding::error(key, what, hint.unwrap_or_else(|| format!("give {key} another address")))
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
        format!(
            "sysctl -w {sysctl}={BUFFER_BYTES}, and to keep it: echo '{sysctl} = {BUFFER_BYTES}' > \
             /etc/sysctl.d/60-lvsp-{kind}.conf (the socket units of deploy/ need neither)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn a_port_in_use_is_an_error_unless_the_server_itself_holds_it() {
        let address = "127.0.0.1:443".parse().unwrap();
        let in_use = || io::Error::from(ErrorKind::AddrInUse);
        let held = |name: &str| Some(Holder { pid: 7, name: name.to_owned() });
        let finding = judge("gateway.listen", address, in_use(), held("nginx"));
        assert_eq!(finding.severity, Severity::Error);
        // Whoever holds it by the time of the hint is asked for anew, and here nobody does.
        assert!(finding.remedy.unwrap().contains("give gateway.listen another port"));
        let finding = judge("gateway.listen", address, in_use(), held("lvsp-mio"));
        assert_eq!(finding.severity, Severity::Ok);
        let absent = io::Error::from(ErrorKind::AddrNotAvailable);
        let finding = judge("media.listen", address, absent, None);
        assert!(finding.remedy.unwrap().starts_with("no interface of this host has 127.0.0.1"));
    }

    #[test]
    fn a_small_buffer_is_told_with_the_line_that_raises_it() {
        let finding = judge_buffer("receive", "net.core.rmem_max", 212_992);
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.remedy.unwrap().starts_with("sysctl -w net.core.rmem_max=4194304"));
        assert_eq!(judge_buffer("send", "x", BUFFER_BYTES).severity, Severity::Ok);
    }
}
