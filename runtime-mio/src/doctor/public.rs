//! Is `media.public_ip` an address that clients can send to?

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::{Finding, Severity};
use crate::config::{Change, File};
use crate::entropy::OsEntropy;
use crate::host;
use crate::ports::{self, Format};

const KEY: &str = "media.public_ip";
/// Datagrams that are sent to oneself, and how long each is waited for.
const TRIES: u32 = 3;
const WAIT: Duration = Duration::from_millis(400);

pub(super) fn look(file: &File) -> Vec<Finding> {
    let listen = file.media.listen;
    let public = match (file.media.public_ip, listen.ip()) {
        (Some(public), _) => public,
        (None, IpAddr::V4(ip)) if ip.is_loopback() => ip,
        // That it is missing is found by the look at the whole.
        (None, _) => return Vec::new(),
    };
    let interfaces = host::addresses();
    let change = file.right_public_ip(Some(public));
    let finding = judge(public, listen.ip(), &interfaces, &change);
    if finding.severity == Severity::Error {
        return vec![finding];
    }
    let came_back = comes_back(listen, public);
    let finding = if came_back == Some(true) && !is_here(public, &interfaces) {
        Finding::ok(KEY, format!("{public} is on no interface of this host, and leads to it"))
    } else {
        finding
    };
    let firewall = ports::describe(file, Format::Nft);
    let firewall = firewall.lines().filter(|line| line.contains(" udp "));
    let mut firewall: Vec<_> = firewall.map(str::to_owned).collect();
    if firewall.is_empty() {
        // On loopback nothing is to be opened but the interface itself.
        firewall.push("ip link set lo up".to_owned());
    }
    let open = Change::shell(firewall);
    vec![finding, judge_return(SocketAddr::from((public, listen.port())), came_back, open)]
}

/// Whether an interface has the address.
fn is_here(public: Ipv4Addr, interfaces: &[IpAddr]) -> bool {
    public.is_loopback() || interfaces.contains(&IpAddr::V4(public))
}

/// The address by itself, and against those of this host.
fn judge(public: Ipv4Addr, listen: IpAddr, interfaces: &[IpAddr], right: &Change) -> Finding {
    const OURS: &str = "give the address that clients reach this host at: that of its interface, \
                        or of the router in front that forwards the UDP port";
    if public.is_loopback() {
        return if listen.is_loopback() {
            Finding::ok(KEY, format!("{public}: clients on this host alone"))
        } else {
            let what = format!("{public} is loopback: clients elsewhere send to themselves");
            Finding::error(KEY, what, OURS, right.clone())
        };
    }
    let error = |why: &str| Finding::error(KEY, format!("{public} {why}"), OURS, right.clone());
    if public.is_documentation() {
        return error("stands in examples only and belongs to nobody");
    }
    if public.is_unspecified() || public.is_multicast() || public.is_broadcast() {
        return error("is no address of one host");
    }
    if public.is_link_local() {
        return error("is of an interface that got no address: no router forwards to it");
    }
    if !is_here(public, interfaces) {
        return Finding::warning(
            KEY,
            format!("{public} is on no interface of this host"),
            "right behind a router or cloud network that forwards the UDP port to this host \
             without changing its number; otherwise wrong: give an address that this host has",
            right.clone(),
        );
    }
    let shared = public.octets()[0] == 100 && public.octets()[1] & 0xC0 == 64;
    if public.is_private() || shared {
        return Finding::warning(
            KEY,
            format!("{public} is a private address: clients of the same network alone reach it"),
            "right for a network of your own; for clients from the internet give the router's \
             public address and forward the UDP port",
            right.clone(),
        );
    }
    Finding::ok(KEY, format!("{public} is an address of this host"))
}

/// Whether what is sent to the public address arrives at the media port; `None` where that cannot be
/// tried, because somebody listens there already.
fn comes_back(listen: SocketAddr, public: Ipv4Addr) -> Option<bool> {
    let receiver = UdpSocket::bind(listen).ok()?;
    // A port of 0 takes a free one.
    let port = receiver.local_addr().ok()?.port();
    let sender = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    let mark = OsEntropy::bytes::<16>();
    for _ in 0..TRIES {
        // What cannot be sent does not come back.
        let _ = sender.send_to(&mark, (public, port));
        if heard(&receiver, &mark) {
            return Some(true);
        }
    }
    Some(false)
}

/// Waits a moment for these bytes, whatever else arrives.
fn heard(receiver: &UdpSocket, mark: &[u8]) -> bool {
    let end = Instant::now() + WAIT;
    let mut buffer = [0; 64];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || receiver.set_read_timeout(Some(left)).is_err() {
            return false;
        }
        if let Ok((length, _)) = receiver.recv_from(&mut buffer)
            && &buffer[..length] == mark
        {
            return true;
        }
    }
}

fn judge_return(address: SocketAddr, came_back: Option<bool>, open: Change) -> Finding {
    match came_back {
        Some(true) => Finding::ok(KEY, format!("UDP that is sent to {address} arrives here")),
        Some(false) => Finding::warning(
            KEY,
            format!("UDP that is sent to {address} does not arrive here"),
            format!(
                "many routers do not send back what comes from inside: run `lvsp-mio probe` from \
                 another network; if that fails too, UDP port {} is not open or not forwarded \
                 (`lvsp-mio ports`)",
                address.port()
            ),
            open,
        ),
        None => Finding::ok(
            KEY,
            "whether UDP comes back was not tried, because the port is held already; `lvsp-mio \
             probe` tries it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart_by_who_can_reach_them() {
        use Severity::{Error, Ok, Warning};
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let right = crate::config::Places::default().set(KEY, "8.8.4.4");
        let here: Vec<IpAddr> =
            ["8.8.4.4", "10.1.2.3", "100.64.3.4"].iter().map(|ip| ip.parse().unwrap()).collect();
        for (public, severity, said) in [
            ("8.8.4.4", Ok, "is an address of this host"),
            ("8.8.8.8", Warning, "on no interface"),
            ("10.1.2.3", Warning, "private address"),
            ("100.64.3.4", Warning, "private address"),
            ("203.0.113.7", Error, "examples only"),
            ("127.0.0.1", Error, "send to themselves"),
            ("0.0.0.0", Error, "no address of one host"),
            ("169.254.1.1", Error, "got no address"),
        ] {
            let finding = judge(public.parse().unwrap(), any, &here, &right);
            assert_eq!(finding.severity, severity, "{public}");
            assert_eq!(finding.changes.is_empty(), severity == Ok, "{public}");
            assert!(finding.what.contains(said), "{}", finding.what);
        }
        let loopback = Ipv4Addr::LOCALHOST;
        assert_eq!(judge(loopback, IpAddr::V4(loopback), &here, &right).severity, Ok);
    }

    #[test]
    fn what_is_sent_to_oneself_is_heard_and_what_nobody_forwards_is_not() {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        assert_eq!(comes_back(listen, Ipv4Addr::LOCALHOST), Some(true));
        // Of this host as well, and nobody listens there.
        assert_eq!(comes_back(listen, Ipv4Addr::new(127, 9, 9, 9)), Some(false));
        let held = UdpSocket::bind(listen).unwrap();
        assert_eq!(comes_back(held.local_addr().unwrap(), Ipv4Addr::LOCALHOST), None);
    }
}
