//! Flight recorders, read as the pcapng files that they are.

use std::net::SocketAddr;
use std::thread;

use crate::common::wait_for;
use crate::site::{Site, get};

#[test]
fn a_capture_holds_headers_with_real_addresses_and_nothing_of_what_is_said() {
    let mut site = Site::new();
    let (mut one, mut other) = (site.joined(10), site.joined(11));
    let (id, admin) = (site.id(10), site.admin);
    let port: u16 = {
        let address = site.member(10)["address"].as_str().unwrap().to_owned();
        address.parse::<SocketAddr>().unwrap().port()
    };
    let path = format!("/v1/members/{id}/capture?seconds=1");
    let capture = thread::spawn(move || get(admin, &path));
    wait_for("the capture", || {
        for client in [&mut one, &mut other] {
            client.role.send_frame(b"what is said must not be seen");
            client.carry();
        }
        capture.is_finished().then_some(())
    });
    let answer = capture.join().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.head.contains("application/vnd.tcpdump.pcap"), "{}", answer.head);
    assert!(answer.head.contains(&format!("member-{id}.pcapng")), "{}", answer.head);
    let (mut from_client, mut to_client) = (0, 0);
    for packet in packets(&answer.bytes).into_iter().filter(Packet::is_media) {
        // IPv4 and UDP, then a header of RTP: 12 bytes, or 16 with the preamble of an extension.
        assert!((28 + 12..=28 + 16).contains(&packet.bytes.len()), "{}", packet.bytes.len());
        assert!(packet.original as usize > packet.bytes.len(), "it was longer");
        let ports = [20, 22].map(|at| u16::from_be_bytes([packet.bytes[at], packet.bytes[at + 1]]));
        from_client += u32::from(ports[0] == port);
        to_client += u32::from(ports[1] == port);
        assert!(ports.contains(&port), "{ports:?}");
    }
    assert!(from_client > 0 && to_client > 0, "{from_client} and {to_client}");
}

#[test]
fn a_capture_without_time_holds_what_the_member_sent_before() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    let id = site.id(10);
    one.role.send_frame(b"said before anybody asked");
    one.carry();
    let path = format!("/v1/members/{id}/capture?seconds=0");
    let admin = site.admin;
    let (asked, said) = wait_for("what was said", || {
        let answer = get(admin, &path);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let all = packets(&answer.bytes);
        let media = all.iter().filter(|packet| packet.is_media()).count();
        (media > 0).then_some((all.len() - media, media))
    });
    assert_eq!((asked, said), (1, 1), "its discovery request and its frame");
}

struct Packet<'a> {
    bytes: &'a [u8],
    original: u32,
}

impl Packet<'_> {
    /// Whether what is in UDP is of version 2 of RTP; else it is address discovery.
    fn is_media(&self) -> bool {
        self.bytes[28] >> 6 == 2
    }
}

/// The Enhanced Packet Blocks of a pcapng file.
fn packets(mut file: &[u8]) -> Vec<Packet<'_>> {
    let mut packets = Vec::new();
    while !file.is_empty() {
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        let length = number(4) as usize;
        assert_eq!(number(length - 4) as usize, length, "the length stands at both ends");
        if number(0) == 6 {
            let captured = number(20) as usize;
            packets.push(Packet { bytes: &file[28..28 + captured], original: number(24) });
        }
        file = &file[length..];
    }
    packets
}
