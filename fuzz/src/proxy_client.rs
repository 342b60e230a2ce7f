//! Who a proxy says its client is: by the PROXY protocol, by `X-Forwarded-For`, or by `Forwarded`.
//!
//! Input: a byte (modulo 3: by which of them; its upper half: how long a header of the PROXY protocol
//! may be), a byte that says how many sizes follow, the sizes of the pieces, then what the proxy
//! sends: a header of the PROXY protocol and what follows, or values of the HTTP header, a line each.
//! It must not matter how that is cut, and another reader must find the same client. Behind a header
//! of the PROXY protocol everything is as it is without a proxy. Of HTTP headers, what the proxy wrote
//! last decides, whatever its client put before that.

use std::net::IpAddr;
use std::sync::Arc;

use lvsp_core::config::{ClientAddress, Proxies};
use lvsp_core::limits::Limits;
use lvsp_core::reasons::CloseReason;
use lvsp_core::transport::{Stage, Transport, TransportConfig, TransportEvent};

use crate::bounds::hold_within;
use crate::chunks::{Cuts, Outcome, feed};
use crate::ws_upgrade::{PROXY_STARTS, check_refusal};

/// Networks of proxies.
const TRUSTED: [&str; 3] = ["127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48"];
/// How long headers of the PROXY protocol may be, at the choice of the input; first as they are.
const LIMITS: [Option<usize>; 4] = [None, Some(40), Some(107), Some(232)];
const V1_BYTES: usize = 107;

/// The body of this target.
pub fn proxy_client(data: &[u8]) {
    let Some(([how, sizes], rest)) = data.split_first_chunk() else { return };
    let (cuts, bytes) = rest.split_at(usize::from(*sizes).min(rest.len()));
    // What arrives while a transport rests is bounded by that, and the host here never lets it rest.
    if bytes.len() > Limits::default().upgrade_bytes {
        return;
    }
    match how % 3 {
        0 => by_protocol(LIMITS[usize::from(how >> 4) % LIMITS.len()], Cuts(cuts), bytes),
        1 => by_headers(ClientAddress::XForwardedFor, Cuts(cuts), bytes),
        _ => by_headers(ClientAddress::Forwarded, Cuts(cuts), bytes),
    }
}

fn proxies(client_address: ClientAddress) -> Arc<Proxies> {
    let trusted = TRUSTED.iter().map(|network| network.parse().expect("a network")).collect();
    Arc::new(Proxies { trusted, client_address })
}

/// What comes of bytes, which must not depend on how they are cut.
fn run(accept: impl Fn() -> Transport, cuts: Cuts<'_>, bytes: &[u8]) -> Outcome {
    let whole =
        hold_within(8 * bytes.len() + 64 * 1_024, || feed(&mut accept(), bytes, Cuts::WHOLE));
    for cuts in [cuts, Cuts::BYTES] {
        assert_eq!(feed(&mut accept(), bytes, cuts), whole, "{cuts:?}");
    }
    whole
}

/// One refusal, and nobody's name before it.
fn check_failed(outcome: &Outcome, reason: CloseReason) {
    assert_eq!(outcome.events, [TransportEvent::Failed(reason)]);
    assert_eq!(outcome.stage, Stage::Closed);
    check_refusal(&outcome.outbound);
}

// --- the PROXY protocol ---

/// How far a header has come, by another reader: one that has all of it before it looks.
enum Header<'a> {
    Arriving,
    Refused(CloseReason),
    /// Who the client is, and what follows.
    Whole(Option<IpAddr>, &'a [u8]),
}

fn by_protocol(limit: Option<usize>, cuts: Cuts<'_>, bytes: &[u8]) {
    let mut config = TransportConfig::new(&Limits::default(), 8_192);
    config.proxy_header_bytes = limit.unwrap_or(config.proxy_header_bytes);
    let proxies = proxies(ClientAddress::ProxyProtocol);
    let outcome = run(|| Transport::accept_from(&proxies, None, config), cuts, bytes);
    match Header::read(bytes, config.proxy_header_bytes) {
        Header::Arriving => {
            assert_eq!((outcome.events, outcome.outbound), (Vec::new(), Vec::new()));
            assert_eq!(outcome.stage, Stage::AwaitFirstByte, "nothing of the client has arrived");
        }
        Header::Refused(reason) => check_failed(&outcome, reason),
        Header::Whole(client, rest) => {
            let (first, others) = outcome.events.split_first().expect("somebody is named");
            assert_eq!(first, &TransportEvent::Client(client));
            // Whoever is no proxy is refused for a header of its own, and who is behind one is not.
            let is_like_one = |start: &&[u8]| rest.starts_with(start) || start.starts_with(rest);
            if rest.is_empty() || !PROXY_STARTS.iter().any(is_like_one) {
                let direct = run(|| Transport::accept(None, config), cuts, rest);
                assert_eq!(others, direct.events);
                assert_eq!((outcome.outbound, outcome.stage), (direct.outbound, direct.stage));
            }
        }
    }
}

impl<'a> Header<'a> {
    fn read(bytes: &'a [u8], limit: usize) -> Self {
        let [v1, v2] = PROXY_STARTS;
        if bytes.starts_with(v1) {
            return Self::read_line(bytes, limit);
        }
        if v1.starts_with(bytes) || v2.starts_with(bytes) {
            return Self::Arriving;
        }
        if !bytes.starts_with(v2) {
            return Self::Refused(CloseReason::BadProxyHeader);
        }
        let [Some(high), Some(low)] = [bytes.get(14), bytes.get(15)] else { return Self::Arriving };
        let length = 16 + usize::from(*high) * 256 + usize::from(*low);
        if length > limit {
            return Self::Refused(CloseReason::ProxyHeaderTooBig);
        }
        let Some((header, rest)) = bytes.split_at_checked(length) else { return Self::Arriving };
        match client_of_version_2(header) {
            Some(client) => Self::Whole(client, rest),
            None => Self::Refused(CloseReason::BadProxyHeader),
        }
    }

    fn read_line(bytes: &'a [u8], limit: usize) -> Self {
        let end = bytes.iter().take(V1_BYTES).position(|byte| *byte == b'\n');
        let length = end.map_or(bytes.len().min(V1_BYTES), |end| end + 1);
        if length > limit {
            return Self::Refused(CloseReason::ProxyHeaderTooBig);
        }
        let Some(end) = end else {
            let is_over = bytes.len() >= V1_BYTES;
            return if is_over {
                Self::Refused(CloseReason::BadProxyHeader)
            } else {
                Self::Arriving
            };
        };
        match client_of_version_1(&bytes[..end]) {
            Some(client) => Self::Whole(client, &bytes[end + 1..]),
            None => Self::Refused(CloseReason::BadProxyHeader),
        }
    }
}

/// By a line without its line feed.
fn client_of_version_1(line: &[u8]) -> Option<Option<IpAddr>> {
    let line = String::from_utf8(line.strip_suffix(b"\r")?.to_vec()).ok()?;
    let words: Vec<_> = line.split(' ').collect();
    if words.get(1) == Some(&"UNKNOWN") {
        return Some(None);
    }
    let ["PROXY", family, from, to, port, other_port] = words[..] else { return None };
    let (from, to): (IpAddr, IpAddr) = (from.parse().ok()?, to.parse().ok()?);
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port.to_string() == text);
    let fits = match family {
        "TCP4" => from.is_ipv4() && to.is_ipv4(),
        "TCP6" => from.is_ipv6() && to.is_ipv6(),
        _ => false,
    };
    (fits && is_port(port) && is_port(other_port)).then_some(Some(from))
}

/// By a whole header.
fn client_of_version_2(header: &[u8]) -> Option<Option<IpAddr>> {
    let addresses = &header[16..];
    match (header[12], header[13]) {
        (0x20, _) | (0x21, 0x00 | 0x31) => Some(None),
        (0x21, 0x11) if addresses.len() >= 12 => {
            Some(Some(IpAddr::from(<[u8; 4]>::try_from(&addresses[..4]).expect("four"))))
        }
        (0x21, 0x21) if addresses.len() >= 36 => {
            Some(Some(IpAddr::from(<[u8; 16]>::try_from(&addresses[..16]).expect("sixteen"))))
        }
        _ => None,
    }
}

// --- HTTP headers ---

/// Somebody who is no proxy, as each header has it, and the same of a proxy.
const fn elements(by: ClientAddress) -> [&'static [u8]; 2] {
    match by {
        ClientAddress::Forwarded => {
            [b"proto=https;for=\"[2001:db8::9]:4711\";host=\"a,b\"", b"for=10.0.0.7"]
        }
        _ => [b"[2001:db8::9]:4711", b"10.0.0.7"],
    }
}

/// What a client may put before all that.
const LIES: [&[u8]; 3] =
    [b"for=192.0.2.66", b"192.0.2.66, 10.0.0.9", b"for=\"192.0.2.66, 192.0.2.67"];

fn by_headers(by: ClientAddress, cuts: Cuts<'_>, bytes: &[u8]) {
    let values: Vec<Vec<u8>> = bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.iter().copied().filter(|byte| *byte != b'\r').collect())
        .collect();
    let Some(client) = client_by(by, cuts, &values) else { return };
    assert_eq!(client.map(|ip| ip.to_canonical()), client);
    let has_quotes = bytes.contains(&b'"') || bytes.contains(&b'\\');
    if !has_quotes {
        assert_eq!(client, client_of_elements(by, &values), "{}", String::from_utf8_lossy(bytes));
    }
    let also = |values: Vec<Vec<u8>>| client_by(by, Cuts::WHOLE, &values);
    let [stranger, proxy] = elements(by);
    // Longer, it may be over the limits of a head.
    if let Some(last) = also([&values[..], &[stranger.to_vec()]].concat()) {
        assert_eq!(last, Some("2001:db8::9".parse().expect("an address")));
    }
    if let Some(same) = also([&values[..], &[proxy.to_vec()]].concat()) {
        assert_eq!(same, client, "a proxy in between changes nothing");
    }
    let is_found = client.is_some_and(|ip| !proxies(by).trusts(ip));
    for lie in LIES.iter().filter(|_| is_found && !has_quotes) {
        if let Some(same) = also([&[lie.to_vec()], &values[..]].concat()) {
            assert_eq!(same, client, "believed {}", String::from_utf8_lossy(lie));
        }
    }
}

/// Who the client is by an upgrade with these values; `None` if it is refused, for the right reason.
fn client_by(by: ClientAddress, cuts: Cuts<'_>, values: &[Vec<u8>]) -> Option<Option<IpAddr>> {
    let limits = Limits::default();
    let config = TransportConfig::new(&limits, 8_192);
    let (proxies, request) = (proxies(by), request(by, values));
    let outcome = run(|| Transport::accept_from(&proxies, None, config), cuts, &request);
    if request.len() > limits.upgrade_bytes {
        check_failed(&outcome, CloseReason::HeadTooBig);
        return None;
    }
    if request.iter().filter(|byte| **byte == b'\n').count() > limits.upgrade_lines {
        check_failed(&outcome, CloseReason::HeadTooLong);
        return None;
    }
    let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
    if !values.iter().flatten().all(is_text) {
        check_failed(&outcome, CloseReason::BadUpgrade);
        return None;
    }
    let [TransportEvent::Client(client), TransportEvent::Opened { .. }] = outcome.events[..] else {
        panic!("{:?} of a good request", outcome.events)
    };
    Some(client)
}

fn request(by: ClientAddress, values: &[Vec<u8>]) -> Vec<u8> {
    let mut request = b"GET /?v=8 HTTP/1.1\r\nHost: voice.test\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
        .to_vec();
    let name: &[u8] = match by {
        ClientAddress::Forwarded => b"Forwarded: ",
        _ => b"X-Forwarded-For: ",
    };
    for value in values {
        request.extend([name, value, b"\r\n"].concat());
    }
    request.extend(b"\r\n");
    request
}

/// The same by a reader of text in which nothing is quoted.
fn client_of_elements(by: ClientAddress, values: &[Vec<u8>]) -> Option<IpAddr> {
    let text = values.join(&b',');
    let text = String::from_utf8_lossy(&text);
    let mut client = None;
    for element in text.rsplit(',') {
        let node = match by {
            ClientAddress::Forwarded => {
                let pairs = element.rsplit(';').filter_map(|pair| pair.split_once('='));
                let mut named = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case("for"));
                named.next()?.1
            }
            _ => element,
        };
        let ip = address(node.trim())?;
        client = Some(ip);
        if !proxies(by).trusts(ip) {
            break;
        }
    }
    client
}

fn address(node: &str) -> Option<IpAddr> {
    let bare = match node.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            let is_good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
            return ip
                .parse()
                .ok()
                .filter(|ip: &IpAddr| is_good && ip.is_ipv6())
                .map(|ip| ip.to_canonical());
        }
        None if node.matches(':').count() == 1 => {
            let (ip, port) = node.split_once(':')?;
            ip.parse().ok().filter(|ip: &IpAddr| is_port(port) && ip.is_ipv4())
        }
        None => node.parse().ok(),
    };
    bare.map(|ip: IpAddr| ip.to_canonical())
}

/// A number, or a made-up name (RFC 7239 section 6.3).
fn is_port(text: &str) -> bool {
    text.starts_with('_') || text.parse::<u16>().is_ok()
}
