//! Fuzz targets as plain functions, so that `cargo test` on a stable toolchain replays the corpus.
//!
//! Each function must accept any bytes without a panic and asserts what must hold for them.

use lvsp_core::ids::Ssrc;
use lvsp_core::wire::discovery::{self, Kind};
use lvsp_core::wire::gateway::{self, Version};
use lvsp_core::wire::lvsp;
use lvsp_core::wire::rtcp::RtcpHeader;
use lvsp_core::wire::rtp::{Elements, RtpHeader};

const DEPTH: usize = 16;

/// Every JSON message of both protocols: what is understood can be written, and what is written
/// is understood in the same way.
pub fn gateway_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = Version::from_target(text);
    for number in [1, 4, 8, 9] {
        let version = Version::new(number).expect("not zero");
        if let Ok(message) = gateway::ClientMessage::parse(text, DEPTH) {
            let written = message.encode(version);
            let again = gateway::ClientMessage::parse(&written, DEPTH).expect("we wrote it");
            assert_eq!(again.encode(version), written);
        }
        if let Ok((message, seq)) = gateway::ServerMessage::parse(text, DEPTH) {
            let written = message.encode(version, seq);
            let (again, seq) = gateway::ServerMessage::parse(&written, DEPTH).expect("we wrote it");
            assert_eq!(again.encode(version, seq), written);
        }
    }
    if let Ok(message) = lvsp::ChatMessage::parse(text, DEPTH) {
        let written = message.encode();
        let again = lvsp::ChatMessage::parse(&written, DEPTH).expect("we wrote it");
        assert_eq!(again.encode(), written);
    }
    if let Ok((message, s)) = lvsp::ServerMessage::parse(text, DEPTH) {
        let written = message.encode(s);
        let (again, s) = lvsp::ServerMessage::parse(&written, DEPTH).expect("we wrote it");
        assert_eq!(again.encode(s), written);
    }
}

/// Every datagram: it is of one kind, and the readers of that kind agree with it.
pub fn udp_datagram(data: &[u8]) {
    let _ = Elements::parse(data);
    if let Some((ssrc, address)) = discovery::parse_response(data) {
        let mut response = [0; discovery::LEN];
        discovery::write_response(&mut response, ssrc, address);
        let (again, canonical) = discovery::parse_response(&response).expect("we wrote it");
        assert_eq!((again, canonical.ip()), (ssrc, address.ip().to_canonical()));
    }
    match Kind::of(data) {
        Kind::Discovery(ssrc) => {
            assert_eq!(discovery::parse_request(data), Some(ssrc));
            let mut request = [0; discovery::LEN];
            discovery::write_request(&mut request, ssrc);
            assert_eq!(Kind::of(&request), Kind::Discovery(ssrc));
        }
        Kind::LegacyDiscovery(Ssrc(ssrc)) => assert_eq!(data[..4], ssrc.to_be_bytes()),
        Kind::Ping(opaque) => assert_eq!(discovery::pong(opaque)[4..], data[4..]),
        Kind::Rtcp => assert!(RtcpHeader::parse(data).is_some()),
        Kind::Rtp => {
            let header = RtpHeader::parse(data).expect("classified as RTP");
            for rtpsize in [true, false] {
                let Some((clear, rest)) = data.split_at_checked(header.clear_len(rtpsize)) else {
                    continue;
                };
                if let Some((_, payload)) = header.split(clear, rest, rtpsize) {
                    assert!(payload.len() <= rest.len());
                }
            }
        }
        Kind::Keepalive | Kind::Other => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn replay(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("the corpus is committed") {
            run(&std::fs::read(entry.expect("readable").path()).expect("readable"));
            count += 1;
        }
        assert!(count >= 12, "{target}: only {count} files");
    }

    #[test]
    fn the_corpus_of_gateway_json_holds() {
        replay("gateway_json", super::gateway_json);
    }

    #[test]
    fn the_corpus_of_udp_datagram_holds() {
        replay("udp_datagram", super::udp_datagram);
    }
}
