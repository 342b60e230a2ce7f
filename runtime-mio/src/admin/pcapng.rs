//! A flight recorder's headers as a pcapng file, for Wireshark (draft-ietf-opsawg-pcapng).
//!
//! Each datagram is an Enhanced Packet Block with an IP and a UDP header made up from its real addresses
//! and ports, its clear bytes behind them, and the length that it had on the wire.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use lvsp_core::time::Timestamp;

use crate::capture::Header;

/// Raw IP, version 4 or 6 by the first byte.
const LINK_TYPE_RAW: u16 = 101;
const UDP: u8 = 17;
const UDP_BYTES: usize = 8;

const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
const OPTION_COMMENT: u16 = 1;
const OPTION_APPLICATION: u16 = 4;
const OPTION_NAME: u16 = 2;
const OPTION_FLAGS: u16 = 2;

/// What the file says of itself.
#[derive(Debug)]
pub(super) struct About<'a> {
    /// Where media arrives, as clients know it.
    pub(super) server: SocketAddr,
    /// The name of the interface.
    pub(super) relay: &'a str,
    /// A remark for whoever opens it.
    pub(super) comment: &'a str,
    /// The same moment by both clocks.
    pub(super) now: (Timestamp, SystemTime),
}

/// The whole file.
pub(super) fn write(about: &About<'_>, headers: &[Header]) -> Vec<u8> {
    let mut file = Vec::new();
    let application = concat!("lvsp-mio ", env!("CARGO_PKG_VERSION"));
    block(&mut file, SECTION, |body| {
        body.extend_from_slice(&0x1A2B_3C4D_u32.to_le_bytes());
        body.extend_from_slice(&1_u16.to_le_bytes());
        body.extend_from_slice(&0_u16.to_le_bytes());
        // The length of the section is not told.
        body.extend_from_slice(&u64::MAX.to_le_bytes());
        option(body, OPTION_COMMENT, about.comment.as_bytes());
        option(body, OPTION_APPLICATION, application.as_bytes());
        option(body, 0, &[]);
    });
    block(&mut file, INTERFACE, |body| {
        body.extend_from_slice(&LINK_TYPE_RAW.to_le_bytes());
        body.extend_from_slice(&[0; 2]);
        // No length to which every packet was cut.
        body.extend_from_slice(&0_u32.to_le_bytes());
        option(body, OPTION_NAME, about.relay.as_bytes());
        option(body, 0, &[]);
    });
    for header in headers {
        packet(&mut file, about, header);
    }
    file
}

fn packet(file: &mut Vec<u8>, about: &About<'_>, header: &Header) {
    let (from, to) =
        if header.outgoing { (about.server, header.peer) } else { (header.peer, about.server) };
    let mut bytes = ip_and_udp(from, to, header.length);
    let original = u32::try_from(bytes.len()).unwrap_or(u32::MAX) + u32::from(header.length);
    bytes.extend_from_slice(header.clear());
    let micros = unix_micros(about.now, header.at);
    let direction: u32 = if header.outgoing { 2 } else { 1 };
    block(file, PACKET, |body| {
        body.extend_from_slice(&0_u32.to_le_bytes());
        body.extend_from_slice(&((micros >> 32) as u32).to_le_bytes());
        body.extend_from_slice(&(micros as u32).to_le_bytes());
        body.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend_from_slice(&original.to_le_bytes());
        body.extend_from_slice(&bytes);
        pad(body);
        option(body, OPTION_FLAGS, &direction.to_le_bytes());
        option(body, 0, &[]);
    });
}

/// Microseconds since 1970 of a moment of the server's clock.
fn unix_micros((now, wall): (Timestamp, SystemTime), at: Timestamp) -> u64 {
    let at = wall.checked_sub(now.since(at)).unwrap_or(wall);
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The headers of a UDP datagram with so many bytes of payload.
fn ip_and_udp(from: SocketAddr, to: SocketAddr, payload: u16) -> Vec<u8> {
    let udp_length = payload.saturating_add(UDP_BYTES as u16);
    let mut bytes = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ipv4(from, to, udp_length),
        (from, to) => ipv6(from, to, udp_length),
    };
    bytes.extend_from_slice(&from.port().to_be_bytes());
    bytes.extend_from_slice(&to.port().to_be_bytes());
    bytes.extend_from_slice(&udp_length.to_be_bytes());
    // Not computed: what it would cover is not here.
    bytes.extend_from_slice(&[0; 2]);
    bytes
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, udp_length: u16) -> Vec<u8> {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&udp_length.saturating_add(20).to_be_bytes());
    header[8] = 64;
    header[9] = UDP;
    header[12..16].copy_from_slice(&from.octets());
    header[16..20].copy_from_slice(&to.octets());
    let words = header.chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let checksum = !((folded & 0xFFFF) + (folded >> 16)) as u16;
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header.to_vec()
}

fn ipv6(from: IpAddr, to: IpAddr, udp_length: u16) -> Vec<u8> {
    let octets = |ip: IpAddr| match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
    };
    let mut header = vec![0x60, 0, 0, 0];
    header.extend_from_slice(&udp_length.to_be_bytes());
    header.extend_from_slice(&[UDP, 64]);
    header.extend_from_slice(&octets(from));
    header.extend_from_slice(&octets(to));
    header
}

/// A block: its type and its length in front, its length once more behind it.
fn block(file: &mut Vec<u8>, kind: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    write(&mut body);
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    file.extend_from_slice(&kind.to_le_bytes());
    file.extend_from_slice(&length);
    file.extend_from_slice(&body);
    file.extend_from_slice(&length);
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(1_024)];
    body.extend_from_slice(&code.to_le_bytes());
    body.extend_from_slice(&u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    body.extend_from_slice(value);
    pad(body);
}

/// Everything stands at multiples of four.
fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_an_ip_header_is_that_of_the_standard() {
        // The sum of all words, the checksum among them, is all ones (RFC 1071).
        let bytes = ipv4([192, 0, 2, 1].into(), [203, 0, 113, 77].into(), 180);
        let words = bytes.chunks_exact(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xFFFF) + (sum >> 16), 0xFFFF);
    }

    #[test]
    fn blocks_are_as_long_as_they_say_at_both_ends() {
        let server = SocketAddr::from(([192, 0, 2, 1], 50_000));
        let now = (Timestamp::from_millis(5), SystemTime::UNIX_EPOCH);
        let about = About { server, relay: "relay-0", comment: "a remark", now };
        let mut file = &write(&about, &[])[..];
        let mut kinds = Vec::new();
        while !file.is_empty() {
            let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
            let length = number(4) as usize;
            assert_eq!((length % 4, number(length - 4) as usize), (0, length));
            kinds.push(number(0));
            file = &file[length..];
        }
        assert_eq!(kinds, [SECTION, INTERFACE]);
    }
}
