//! Address discovery, pings and keepalives on the media port, and which datagram is what.
//!
//! Here: layouts only. Whether a request is answered, and what address a session is bound to, is
//! decided by the relay. A client asks for its address with 74 bytes or a few more (or the legacy 70);
//! the answer has no more than the question, so nothing is amplified.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use crate::ids::Ssrc;

/// Size of a discovery request, which may have more behind it, and of its response.
pub const LEN: usize = 74;
/// Size of a legacy discovery request and of its response.
pub const LEGACY_LEN: usize = 70;

const REQUEST: [u8; 4] = [0, 1, 0, 70];
const RESPONSE: [u8; 4] = [0, 2, 0, 70];
const PING: [u8; 4] = [0x13, 0x37, 0xCA, 0xFE];
const PONG: [u8; 4] = [0x13, 0x37, 0xF0, 0x0D];

/// What a datagram looks like by its first bytes and length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A discovery request for this SSRC.
    Discovery(Ssrc),
    /// A legacy discovery request for this SSRC.
    LegacyDiscovery(Ssrc),
    /// A ping with its opaque bytes.
    Ping([u8; 4]),
    /// A keepalive of a known client; never answered.
    Keepalive,
    /// Long enough for RTP, and of its version.
    Rtp,
    /// Long enough for RTCP, of its version and types.
    Rtcp,
    /// None of these.
    Other,
}

impl Kind {
    /// Classifies a datagram.
    #[must_use]
    pub fn of(datagram: &[u8]) -> Self {
        let version_2 = datagram.first().is_some_and(|byte| byte >> 6 == 2);
        if let Some(opaque) = parse_ping(datagram) {
            Self::Ping(opaque)
        } else if is_keepalive(datagram) {
            Self::Keepalive
        } else if version_2 {
            match datagram.get(1) {
                Some(200..=206) if datagram.len() >= crate::wire::rtcp::CLEAR_LEN => Self::Rtcp,
                Some(200..=206) => Self::Other,
                _ if datagram.len() >= crate::wire::rtp::FIXED_LEN => Self::Rtp,
                _ => Self::Other,
            }
        } else if let Some(ssrc) = parse_request(datagram) {
            Self::Discovery(ssrc)
        } else if let Some(ssrc) = parse_legacy_request(datagram) {
            Self::LegacyDiscovery(ssrc)
        } else {
            Self::Other
        }
    }
}

/// The SSRC of a discovery request. What follows it is not looked at: eris sends junk there, and
/// hikari-wave four bytes too many, whatever the length in front says.
#[must_use]
pub fn parse_request(datagram: &[u8]) -> Option<Ssrc> {
    let rest = datagram.strip_prefix(&REQUEST)?;
    if datagram.len() >= LEN { read_ssrc(rest) } else { None }
}

/// Writes a discovery request (client role).
pub fn write_request(buffer: &mut [u8; LEN], ssrc: Ssrc) {
    buffer.fill(0);
    write(buffer, 0, &REQUEST);
    write(buffer, 4, &ssrc.0.to_be_bytes());
}

/// Writes the answer: the address a request came from, an IPv4 one in its plain form.
pub fn write_response(buffer: &mut [u8; LEN], ssrc: Ssrc, from: SocketAddr) {
    buffer.fill(0);
    write(buffer, 0, &RESPONSE);
    write(buffer, 4, &ssrc.0.to_be_bytes());
    write_ip(buffer, 8, from.ip());
    write(buffer, 72, &from.port().to_be_bytes());
}

/// Reads an answer (client role).
#[must_use]
pub fn parse_response(datagram: &[u8]) -> Option<(Ssrc, SocketAddr)> {
    let rest = datagram.strip_prefix(&RESPONSE)?;
    let port = u16::from_be_bytes(*datagram.last_chunk()?);
    if datagram.len() != LEN {
        return None;
    }
    Some((read_ssrc(rest)?, SocketAddr::new(read_ip(rest.get(4..68)?)?, port)))
}

/// The SSRC of a legacy request: zeros must follow it.
#[must_use]
pub fn parse_legacy_request(datagram: &[u8]) -> Option<Ssrc> {
    let zeros = datagram.get(4..)?;
    let legacy = datagram.len() == LEGACY_LEN && zeros.iter().all(|byte| *byte == 0);
    if legacy { read_ssrc(datagram) } else { None }
}

/// Writes the legacy answer, whose port is little-endian.
pub fn write_legacy_response(buffer: &mut [u8; LEGACY_LEN], ssrc: Ssrc, from: SocketAddr) {
    buffer.fill(0);
    write(buffer, 0, &ssrc.0.to_be_bytes());
    write_ip(buffer, 4, from.ip());
    write(buffer, 68, &from.port().to_le_bytes());
}

/// The opaque bytes of a ping.
#[must_use]
pub fn parse_ping(datagram: &[u8]) -> Option<[u8; 4]> {
    datagram.strip_prefix(&PING)?.try_into().ok()
}

/// The answer to a ping.
#[must_use]
pub fn pong(opaque: [u8; 4]) -> [u8; 8] {
    let mut answer = [0; 8];
    write(&mut answer, 0, &PONG);
    write(&mut answer, 4, &opaque);
    answer
}

/// The shapes that client libraries send to keep their NAT mapping.
fn is_keepalive(datagram: &[u8]) -> bool {
    let zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    match datagram {
        // songbird: its SSRC; eris, dysnomia: 80 C8 00 00.
        [_, _, _, _] => true,
        // JDA, interactions.py: zeros; DiscordPHP: a counter, little-endian.
        [0xC9, ..] if datagram.len() == 9 => true,
        // A counter: discord.js and discordgo little-endian, py-cord and voice-recv big-endian.
        [a @ .., _, _, _, _] if datagram.len() == 8 && zero(a) => true,
        [_, _, _, _, b @ ..] if datagram.len() == 8 => zero(b),
        _ => false,
    }
}

fn read_ssrc(bytes: &[u8]) -> Option<Ssrc> {
    bytes.first_chunk().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
}

fn read_ip(field: &[u8]) -> Option<IpAddr> {
    let text = field.split(|byte| *byte == 0).next()?;
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Copies `bytes` to `at`. All callers stay inside their fixed-size buffers.
fn write(buffer: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = at.checked_add(bytes.len()).and_then(|end| buffer.get_mut(at..end)) {
        place.copy_from_slice(bytes);
    }
}

/// Writes an address as text. At most 39 of the field's 64 bytes are used.
fn write_ip(buffer: &mut [u8], at: usize, ip: IpAddr) {
    if let Some(mut field) = buffer.get_mut(at..at.saturating_add(63)) {
        let written = write!(field, "{}", ip.to_canonical());
        debug_assert!(written.is_ok(), "an address has at most 39 characters");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../vectors/discovery.json")).unwrap()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        let hex = value.as_str().unwrap();
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    fn case(vector: &Value) -> (Ssrc, SocketAddr) {
        let ip: IpAddr = vector["seen_ip"].as_str().unwrap().parse().unwrap();
        let port = u16::try_from(vector["seen_port"].as_u64().unwrap()).unwrap();
        let ssrc = u32::try_from(vector["ssrc"].as_u64().unwrap()).unwrap();
        (Ssrc(ssrc), SocketAddr::new(ip, port))
    }

    // Clauses: V4.1
    #[test]
    fn discovery_agrees_with_every_vector() {
        for vector in vectors()["discovery"].as_array().unwrap() {
            let (ssrc, from) = case(vector);
            assert_eq!(parse_request(&bytes(&vector["request"])), Some(ssrc));
            let mut response = [0xFF; LEN];
            write_response(&mut response, ssrc, from);
            assert_eq!(response.as_slice(), bytes(&vector["response"]));
            assert_eq!(parse_response(&response), Some((ssrc, from)));
        }
    }

    #[test]
    fn legacy_discovery_agrees_with_every_vector() {
        for vector in vectors()["legacy_70"].as_array().unwrap() {
            let (ssrc, from) = case(vector);
            assert_eq!(parse_legacy_request(&bytes(&vector["request"])), Some(ssrc));
            let mut response = [0xFF; LEGACY_LEN];
            write_legacy_response(&mut response, ssrc, from);
            assert_eq!(response.as_slice(), bytes(&vector["response"]));
        }
    }

    // Clauses: V4.1
    #[test]
    fn a_request_may_be_longer_than_it_says_and_never_shorter() {
        let mut request = [0; 200];
        request[..8].copy_from_slice(&[0, 1, 0, 70, 0, 0, 0, 4]);
        for (length, kind) in [
            (73, Kind::Other),
            (74, Kind::Discovery(Ssrc(4))),
            (78, Kind::Discovery(Ssrc(4))), // hikari-wave 0.7.0a1
            (200, Kind::Discovery(Ssrc(4))),
        ] {
            assert_eq!(Kind::of(&request[..length]), kind, "{length} bytes");
        }
    }

    // Clauses: V4.3
    #[test]
    fn pings_and_keepalives_agree_with_every_vector() {
        let vectors = vectors();
        for vector in vectors["udp_ping"].as_array().unwrap() {
            let opaque = parse_ping(&bytes(&vector["request"])).unwrap();
            assert_eq!(pong(opaque).as_slice(), bytes(&vector["response"]));
        }
        for vector in vectors["keepalive"].as_array().unwrap() {
            assert_eq!(Kind::of(&bytes(&vector["packet"])), Kind::Keepalive, "{vector}");
        }
    }

    #[test]
    fn classification_agrees_with_every_vector() {
        for vector in vectors()["classify"].as_array().unwrap() {
            let name = match Kind::of(&bytes(&vector["packet"])) {
                Kind::Discovery(_) => "discovery_request",
                Kind::LegacyDiscovery(_) => "legacy_discovery_request",
                Kind::Ping(_) => "udp_ping",
                Kind::Keepalive => "keepalive",
                Kind::Rtp => "rtp",
                Kind::Rtcp => "rtcp",
                Kind::Other => "drop",
            };
            assert_eq!(name, vector["kind"].as_str().unwrap(), "{vector}");
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6_form_is_reported_plainly() {
        let mut response = [0; LEN];
        write_response(&mut response, Ssrc(4), "[::ffff:192.0.2.1]:5".parse().unwrap());
        assert_eq!(parse_response(&response), Some((Ssrc(4), "192.0.2.1:5".parse().unwrap())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_classified(datagram in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Kind::of(&datagram);
            let _ = parse_response(&datagram);
        }

        #[test]
        fn a_request_is_read_back(ssrc in any::<u32>()) {
            let mut request = [0xFF; LEN];
            write_request(&mut request, Ssrc(ssrc));
            prop_assert_eq!(Kind::of(&request), Kind::Discovery(Ssrc(ssrc)));
        }
    }
}
