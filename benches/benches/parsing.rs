//! What it takes to read what peers send: gateway and LVSP messages, RTP headers.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use lvsp_core::wire::gateway::ClientMessage;
use lvsp_core::wire::lvsp::ChatMessage;
use lvsp_core::wire::rtp::RtpHeader;

const DEPTH: usize = 16;

const GATEWAY: [(&str, &str); 4] = [
    (
        "identify",
        r#"{"op":0,"d":{"server_id":"41771983423143937","user_id":"104694319306248192","session_id":"30f32c5d54ae86130fc4a215c7474263","token":"66d29164ee8cd919","video":true,"streams":[{"type":"video","rid":"100","quality":100}],"max_dave_protocol_version":1}}"#,
    ),
    (
        "select_protocol",
        r#"{"op":1,"d":{"protocol":"udp","data":{"address":"203.0.113.20","port":50004,"mode":"aead_aes256_gcm_rtpsize"}}}"#,
    ),
    ("heartbeat", r#"{"op":3,"d":{"t":1501184119561,"seq_ack":10}}"#),
    ("speaking", r#"{"op":5,"d":{"speaking":1,"delay":0,"ssrc":16}}"#),
];

const CHAT: [(&str, &str); 2] = [
    ("heartbeat", r#"{"op":4,"d":{"s":10}}"#),
    (
        "vst_request",
        r#"{"op":7,"d":{"user_id":"104694319306248192","channel_id":"41771983423143937","guild_id":"41771983423143936"}}"#,
    ),
];

fn parsing(criterion: &mut Criterion) {
    for (name, text) in GATEWAY {
        let read = ClientMessage::parse(text, DEPTH);
        assert!(!matches!(read, Err(_) | Ok(ClientMessage::Unknown { .. })), "{name}: {read:?}");
        criterion.bench_function(&format!("parse/gateway/{name}"), |bencher| {
            bencher.iter(|| ClientMessage::parse(black_box(text), DEPTH));
        });
    }
    for (name, text) in CHAT {
        let read = ChatMessage::parse(text, DEPTH);
        let is_known = !matches!(
            read,
            Err(_) | Ok(ChatMessage::Unknown { .. } | ChatMessage::UnknownInfo { .. })
        );
        assert!(is_known, "{name}: {read:?}");
        criterion.bench_function(&format!("parse/lvsp/{name}"), |bencher| {
            bencher.iter(|| ChatMessage::parse(black_box(text), DEPTH));
        });
    }
    let mut packet = [0x5A; 192];
    packet[..12].copy_from_slice(&[0x90, 0x78, 0, 1, 0, 0, 0, 1, 0, 0, 0, 8]);
    assert!(RtpHeader::parse(&packet).is_some());
    criterion.bench_function("parse/rtp", |bencher| {
        bencher.iter(|| RtpHeader::parse(black_box(&packet)));
    });
}

criterion_group!(benches, parsing);
criterion_main!(benches);
