//! Tests of [`Transport`]: both roles against each other in memory, and servers against bytes.

use proptest::prelude::*;

use super::*;
use crate::limits::Limits;

const KEY: [u8; 16] = *b"0123456789abcdef";
const PING: [u8; 6] = [0x89, 0x80, 0, 0, 0, 0];

fn config() -> TransportConfig {
    TransportConfig::new(&Limits::default(), 8_192)
}

fn drain(transport: &mut Transport) -> Vec<TransportEvent> {
    std::iter::from_fn(|| transport.poll_event()).collect()
}

fn take(transport: &mut Transport) -> Vec<u8> {
    let bytes = transport.outbound().to_vec();
    transport.consume(bytes.len());
    bytes
}

/// Carries bytes both ways until none are left, split by `cut(offset, length)`, where `offset` is
/// the number of bytes carried to the server before.
struct Link<F> {
    client: Transport,
    server: Transport,
    carried: usize,
    cut: F,
}

impl<F: Fn(usize, usize) -> usize> Link<F> {
    fn run(&mut self) {
        loop {
            let (up, down) = (take(&mut self.client), take(&mut self.server));
            if up.is_empty() && down.is_empty() {
                return;
            }
            let mut rest = &up[..];
            while !rest.is_empty() {
                let length = (self.cut)(self.carried, rest.len()).clamp(1, rest.len());
                self.server.handle_bytes(&rest[..length]);
                self.carried += length;
                rest = &rest[length..];
            }
            let mut rest = &down[..];
            while !rest.is_empty() {
                let length = (self.cut)(usize::MAX, rest.len()).clamp(1, rest.len());
                self.client.handle_bytes(&rest[..length]);
                rest = &rest[length..];
            }
        }
    }
}

fn link<F: Fn(usize, usize) -> usize>(tls: bool, cut: F) -> Link<F> {
    let (client, server) = pair(tls);
    Link { client, server, carried: 0, cut }
}

#[cfg(feature = "tls")]
fn pair(tls: bool) -> (Transport, Transport) {
    use std::sync::OnceLock;
    static MATERIAL: OnceLock<(TlsIdentity, TlsTrust)> = OnceLock::new();
    let (identity, trust) = MATERIAL.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(["voice.test".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        (
            TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap(),
            TlsTrust::from_pem(chain.as_bytes(), 1_700_000_000).unwrap(),
        )
    });
    let (trust, identity) = (tls.then_some((trust, "voice.test")), tls.then_some(identity));
    let client = Transport::connect(trust, "voice.test", "/?v=8", KEY, config()).unwrap();
    (client, Transport::accept(identity, config()))
}

#[cfg(not(feature = "tls"))]
fn pair(_tls: bool) -> (Transport, Transport) {
    let client = Transport::connect(None, "voice.test", "/?v=8", KEY, config()).unwrap();
    (client, Transport::accept(None, config()))
}

/// A short conversation; gives the events of both sides and the bytes carried to the server.
fn conversation<F: Fn(usize, usize) -> usize>(
    tls: bool,
    cut: F,
) -> (Vec<TransportEvent>, Vec<TransportEvent>, usize) {
    let mut link = link(tls, cut);
    link.run();
    assert_eq!((link.client.stage(), link.server.stage()), (Stage::Open, Stage::Open));
    link.client.send_text("hello");
    link.client.send_binary(&[7; 300]);
    link.server.send_ping(b"!");
    link.server.send_text("welcome");
    link.run();
    link.client.close(4_000, "enough");
    assert_eq!(link.client.stage(), Stage::Closing);
    link.run();
    assert!(link.client.is_finished() && link.server.is_finished());
    (drain(&mut link.client), drain(&mut link.server), link.carried)
}

#[test]
fn a_conversation_is_the_same_for_every_split() {
    for tls in [false, true] {
        let (client, server, length) = conversation(tls, |_, length| length);
        assert_eq!(
            server,
            [
                TransportEvent::Opened { target: "/?v=8".to_owned() },
                TransportEvent::Text("hello".to_owned()),
                TransportEvent::Binary(Bytes::from_static(&[7; 300])),
                TransportEvent::Pong,
                TransportEvent::Closed { code: Some(4_000) },
            ]
        );
        assert_eq!(
            client,
            [
                TransportEvent::Opened { target: "/?v=8".to_owned() },
                TransportEvent::Text("welcome".to_owned()),
                TransportEvent::Closed { code: Some(4_000) },
            ]
        );
        let (client_bytes, server_bytes, _) = conversation(tls, |_, _| 1);
        assert_eq!((&client_bytes, &server_bytes), (&client, &server), "single bytes");
        for at in 1..length {
            let cut = |offset: usize, length: usize| {
                if offset < at { (at - offset).min(length) } else { length }
            };
            let (client_cut, server_cut, _) = conversation(tls, cut);
            assert_eq!((&client_cut, &server_cut), (&client, &server), "cut at {at}");
        }
    }
}

#[test]
fn the_server_closes_and_drops_what_still_arrives() {
    for tls in [false, true] {
        let mut link = link(tls, |_, length| length);
        link.run();
        link.server.close(4_006, "session");
        link.client.send_text("too late");
        let late = take(&mut link.client);
        link.server.handle_bytes(&late);
        link.run();
        assert!(link.client.is_finished() && link.server.is_finished());
        let last = TransportEvent::Closed { code: Some(4_006) };
        assert_eq!(drain(&mut link.server)[1..], *std::slice::from_ref(&last));
        assert_eq!(drain(&mut link.client)[1..], [last]);
    }
}

#[test]
fn large_messages_pass_after_the_limit_grew_and_not_before() {
    for tls in [false, true] {
        let text = "x".repeat(60_000);
        let mut link = link(tls, |_, length| length);
        link.run();
        link.server.set_message_limit(65_536);
        link.client.send_text(&text);
        link.run();
        assert_eq!(drain(&mut link.server)[1..], [TransportEvent::Text(text.clone())]);
        link.server.set_message_limit(8_192);
        link.client.send_text(&text);
        link.run();
        let failed = TransportEvent::Failed(CloseReason::MessageTooBig);
        assert_eq!(drain(&mut link.server), [failed]);
        assert_eq!(
            drain(&mut link.client).pop(),
            Some(TransportEvent::Closed { code: Some(1_009) })
        );
        assert!(link.client.is_finished() && link.server.is_finished());
    }
}

fn opened() -> Transport {
    let mut server = Transport::accept(None, config());
    assert_eq!(server.stage(), Stage::AwaitFirstByte);
    server.handle_bytes(b"G");
    assert_eq!(server.stage(), Stage::Upgrade);
    let request = upgrade::request("a", "/", KEY).unwrap();
    server.handle_bytes(&request.as_bytes()[1..]);
    assert_eq!(drain(&mut server), [TransportEvent::Opened { target: "/".to_owned() }]);
    take(&mut server);
    server
}

#[test]
fn pings_are_answered_in_the_same_call() {
    let mut server = opened();
    server.handle_bytes(&[PING, PING].concat());
    assert_eq!(server.outbound(), [0x8A, 0, 0x8A, 0]);
    assert!(drain(&mut server).is_empty());
}

#[test]
fn a_declared_length_over_the_limit_fails_on_its_head() {
    let mut server = opened();
    server.handle_bytes(&[0x81, 0x80 | 126, 0xFF, 0xFF, 0, 0, 0, 0]);
    assert_eq!(drain(&mut server), [TransportEvent::Failed(CloseReason::MessageTooBig)]);
    assert_eq!(server.outbound()[..4], [0x88, 9, 0x03, 0xF1]);
    assert_eq!(server.stage(), Stage::Closed);
    assert!(!server.is_finished());
    server.consume(usize::MAX);
    assert!(server.is_finished());
    server.handle_bytes(b"ignored");
    server.handle_eof();
    server.send_text("ignored");
    server.close(1_000, "ignored");
    assert!(server.is_finished() && drain(&mut server).is_empty());
}

// Clauses: V1.4
#[test]
fn a_plain_get_gets_one_answer_and_the_connection_ends() {
    let mut server = Transport::accept(None, config());
    server.handle_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(server.outbound().starts_with(b"HTTP/1.1 426 Upgrade Required\r\n"));
    assert_eq!(drain(&mut server), [TransportEvent::Failed(CloseReason::BadUpgrade)]);
}

#[test]
fn an_endless_head_is_refused() {
    let mut server = Transport::accept(None, config());
    for _ in 0..20 {
        server.handle_bytes(&[b'a'; 1_024]);
    }
    assert!(server.outbound().starts_with(b"HTTP/1.1 431 "));
    assert_eq!(drain(&mut server), [TransportEvent::Failed(CloseReason::HeadTooBig)]);
}

#[test]
fn close_before_the_upgrade_just_ends() {
    for tls in [false, true] {
        let (_, mut server) = pair(tls);
        server.close(1_001, "going away");
        assert_eq!(server.stage(), Stage::Closed);
        server.consume(usize::MAX);
        assert!(server.is_finished());
        assert_eq!(drain(&mut server), [TransportEvent::Closed { code: None }]);
    }
}

#[test]
fn the_end_of_the_bytes_ends_every_stage() {
    for tls in [false, true] {
        let mut link = link(tls, |_, length| length);
        link.run();
        let (_, mut fresh) = pair(tls);
        for transport in [&mut link.client, &mut link.server, &mut fresh] {
            transport.handle_eof();
            assert!(transport.is_finished());
            assert_eq!(drain(transport).pop(), Some(TransportEvent::Closed { code: None }));
        }
    }
}

#[test]
fn a_message_over_the_outbound_limit_fails_the_connection() {
    let mut server = opened();
    server.send_binary(&vec![0; config().outbound_bytes]);
    assert_eq!(drain(&mut server), [TransportEvent::Failed(CloseReason::SlowReader)]);
    assert!(server.is_finished());
}

#[test]
fn debug_text_holds_no_payload() {
    let mut server = opened();
    server.send_text("secret");
    let text = format!("{server:?}");
    assert!(!text.contains("secret") && !text.contains("115"), "{text}");
}

#[test]
fn transports_can_move_to_other_threads() {
    fn is_send<T: Send>() {}
    is_send::<Transport>();
    is_send::<TlsIdentity>();
}

#[test]
fn a_request_that_would_break_its_lines_is_refused() {
    let error = Transport::connect(None, "a\r\nb: c", "/", KEY, config()).unwrap_err();
    assert_eq!(error, TlsError::Request);
}

#[cfg(feature = "tls")]
mod over_tls {
    use super::*;

    // Clauses: V1.4
    #[test]
    fn other_bytes_on_a_tls_port_get_one_plain_answer() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], &[0x16, 0x02, 0, 0], &[0]] {
            for split in [false, true] {
                let (_, mut server) = pair(true);
                if split {
                    bytes.iter().for_each(|byte| server.handle_bytes(&[*byte]));
                } else {
                    server.handle_bytes(bytes);
                }
                let answer = String::from_utf8(take(&mut server)).unwrap();
                assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
                assert!(answer.ends_with("\r\n\r\nthis port speaks TLS\n"), "{answer}");
                assert_eq!(drain(&mut server), [TransportEvent::Failed(CloseReason::NotTls)]);
                assert!(server.is_finished());
            }
        }
    }

    #[test]
    fn a_broken_handshake_leaves_an_alert() {
        let (_, mut server) = pair(true);
        server.handle_bytes(&[0x16]);
        assert_eq!(server.stage(), Stage::Tls);
        server.handle_bytes(&[0x03, 0x01, 0x00, 0x04, 0x02, 0, 0, 0]);
        assert_eq!(drain(&mut server), [TransportEvent::Failed(CloseReason::TlsFailed)]);
        assert_eq!(server.outbound()[0], 0x15);
    }

    #[test]
    fn a_changed_record_fails_after_the_messages_before_it() {
        let mut link = link(true, |_, length| length);
        link.run();
        link.client.send_text("first");
        let mut bytes = take(&mut link.client);
        link.client.send_text("second");
        bytes.extend(take(&mut link.client));
        *bytes.last_mut().unwrap() ^= 1;
        link.server.handle_bytes(&bytes);
        assert_eq!(
            drain(&mut link.server)[1..],
            [
                TransportEvent::Text("first".to_owned()),
                TransportEvent::Failed(CloseReason::TlsFailed)
            ]
        );
        link.server.consume(usize::MAX);
        assert!(link.server.is_finished());
    }

    #[test]
    fn another_server_name_is_refused() {
        let (_, server) = pair(true);
        assert_eq!(server.stage(), Stage::AwaitFirstByte);
        let made = rcgen::generate_simple_self_signed(["voice.test".to_owned()]).unwrap();
        let trust = TlsTrust::from_pem(made.cert.pem().as_bytes(), 1_700_000_000).unwrap();
        let connect =
            |name: &str| Transport::connect(Some((&trust, name)), "a", "/", KEY, config());
        assert!(matches!(connect("not a name"), Err(TlsError::ServerName(_))));
        let mut link = Link {
            client: connect("other.test").unwrap(),
            server,
            carried: 0,
            cut: |_, length| length,
        };
        link.run();
        assert_eq!(drain(&mut link.client), [TransportEvent::Failed(CloseReason::TlsFailed)]);
        assert_eq!(drain(&mut link.server), [TransportEvent::Failed(CloseReason::TlsFailed)]);
    }
}

/// Feeds `bytes` in parts of the given sizes, taking turns; gives events and output.
fn fed(mut server: Transport, bytes: &[u8], sizes: &[usize]) -> (Vec<TransportEvent>, Vec<u8>) {
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    while !rest.is_empty() {
        let length = sizes.next().map_or(rest.len(), |size| (*size).min(rest.len()));
        server.handle_bytes(&rest[..length]);
        rest = &rest[length..];
    }
    server.handle_eof();
    let last = drain(&mut server);
    let ends = last
        .iter()
        .filter(|event| matches!(event, TransportEvent::Closed { .. } | TransportEvent::Failed(_)));
    assert_eq!(ends.count(), 1);
    (last, take(&mut server))
}

/// A frame of a client, mostly legal.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81_u8, 0x82, 0x01, 0x80, 0x00, 0x89, 0x8A]),
        1 => any::<u8>(),
    ];
    (first, any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 0..125)).prop_map(
        |(first, mask, payload)| {
            let mut bytes = vec![first, 0x80 | payload.len() as u8];
            bytes.extend_from_slice(&mask);
            bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| (a & 0x7F) ^ b));
            bytes
        },
    )
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        sizes in prop::collection::vec(1..50_usize, 1..5),
        tls: bool,
    ) {
        fed(pair(tls).1, &bytes, &sizes);
        let mut hello = vec![0x16, 0x03];
        hello.extend_from_slice(&bytes);
        fed(pair(tls).1, &hello, &sizes);
        let mut client = pair(tls).0;
        take(&mut client);
        fed(client, &bytes, &sizes);
    }

    #[test]
    fn frames_give_the_same_result_for_every_split(
        frames in prop::collection::vec(any_frame(), 0..12),
        tail in prop::collection::vec(any::<u8>(), 0..20),
        sizes in prop::collection::vec(1..50_usize, 1..5),
    ) {
        let mut bytes = upgrade::request("a", "/", KEY).unwrap().into_bytes();
        bytes.extend(frames.concat());
        bytes.extend(tail);
        let whole = fed(pair(false).1, &bytes, &[]);
        prop_assert_eq!(&whole, &fed(pair(false).1, &bytes, &sizes));
        prop_assert_eq!(&whole, &fed(pair(false).1, &bytes, &[1]));
    }
}
