//! A call between recorded machines, its recordings, and what is wrong with damaged ones.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use super::*;
use crate::command::{Command, Target};
use crate::config::{ClientAddress, Config, ControlClient, MediaConfig, Proxies};
use crate::crypto::auth::ControlSecret;
use crate::crypto::cipher::{Cipher, MediaKey};
use crate::crypto::mode::Mode;
use crate::entropy::SeededEntropy;
use crate::ids::{
    ChannelId, ConnId, ControlId, GuildId, LegId, RelayId, RelaySet, RoomId, Ssrc, UserId,
};
use crate::media::command::{Permissions, RelayCommand, RelayEvent};
use crate::media::{Filled, TransmitBatch};
use crate::output::{Output, Plane};
use crate::slab::Slab;
use crate::time::Timestamp;
use crate::wire::discovery;
use crate::wire::lvsp::VoiceFlagsUpdate;

fn config() -> Config {
    let secret = ControlSecret::new("0123456789abcdef0123456789abcdef".to_owned()).unwrap();
    Config {
        control_clients: vec![ControlClient::new("test".to_owned(), secret)],
        proxies: Proxies {
            trusted: vec!["127.0.0.0/8".parse().unwrap()],
            client_address: ClientAddress::Forwarded,
        },
        media: MediaConfig { loopback: true, ..MediaConfig::default() },
        ..Config::new(
            "voice.example.org:443".to_owned(),
            vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, 50_000)],
        )
    }
}

/// Moves outputs and bytes until there are none; a leg that was opened, and its SSRC.
fn settle(
    server: &mut RecordedServer,
    relay: &mut RecordedRelay,
    conn: ConnId,
    now: Timestamp,
) -> Option<(LegId, Ssrc)> {
    let mut opened = None;
    loop {
        while let Some(output) = server.poll_output() {
            if let Output::Relay(_, command) = output {
                if let RelayCommand::Open { leg, ssrc, .. } = &command {
                    opened = Some((*leg, *ssrc));
                }
                relay.handle_command(now, command);
            }
        }
        let waiting = server.outbound(conn).len();
        if waiting == 0 {
            return opened;
        }
        server.consume(now, conn, waiting);
    }
}

/// The recordings of a server and a relay: every kind of input is in them.
fn recordings() -> [Vec<u8>; 2] {
    let config = config();
    let mut at = Timestamp::from_millis(1_000);
    let mut relay = RecordedRelay::new(RelayId(0), &config.limits, config.media, true);
    let entropy = Box::new(SeededEntropy::new(1));
    let mut server = RecordedServer::new(config, entropy, at, true).unwrap();
    server.set_host_load(0.25);
    let place = Command::Place {
        user: UserId::new(1).unwrap(),
        channel: ChannelId::new(2).unwrap(),
        guild: GuildId::new(3),
        session_id: Some("session".into()),
        token: Some("token".into()),
        flags: VoiceFlagsUpdate::default(),
    };
    server.handle_command(at, ControlId(0), place).unwrap();
    let nobody = Command::Remove { target: Target::default() };
    server.handle_command(at, ControlId(7), nobody).unwrap_err();
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1_000));
    let conn = server.handle_accept(at, Plane::Gateway, peer).unwrap();
    let upgrade = "GET /?v=8 HTTP/1.1\r\nForwarded: for=127.0.0.9\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    server.handle_bytes(at, conn, upgrade.as_bytes());
    settle(&mut server, &mut relay, conn, at);
    let identify =
        r#"{"op":0,"d":{"server_id":"3","user_id":"1","session_id":"session","token":"token"}}"#;
    // One masked text frame; the mask is zero.
    let mut frame = vec![0x81, 0x80 | u8::try_from(identify.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(identify.bytes());
    server.handle_bytes(at, conn, &frame);
    let opened = settle(&mut server, &mut relay, conn, at);
    let (leg, ssrc) = opened.expect("the call has come so far");
    at = at + std::time::Duration::from_millis(20);
    let mut batch = TransmitBatch::new();
    for age in [0, 50, 500].map(std::time::Duration::from_millis) {
        let mut request = [0; discovery::LEN];
        discovery::write_request(&mut request, ssrc);
        let mut fanout = relay.handle_aged_datagram(at, age, peer, &mut request);
        assert_eq!(fanout.fill(&mut batch), Filled::Done);
    }
    relay.note_unsent(at, leg);
    relay.note_too_late(at, leg);
    relay.note_overflow(at, 3);
    while let Some(event) = relay.poll_event() {
        server.handle_relay_event(at, RelayId(0), event);
    }
    server.handle_timeout(at);
    server.begin_drain(at);
    server.handle_eof(at, conn);
    settle(&mut server, &mut relay, conn, at);
    [server.take_recording(), relay.take_recording()]
}

#[test]
fn a_recording_is_answered_the_same_again() {
    let [server, relay] = recordings();
    let replayed = replay(&server).unwrap();
    assert!(replayed.inputs > 8 && replayed.outputs > 8, "{replayed:?}");
    let replayed = replay(&relay).unwrap();
    assert_eq!((replayed.inputs, replayed.outputs, replayed.rest), (7, 5, 0));
}

#[test]
fn a_recording_may_end_anywhere() {
    for recording in recordings() {
        let head = 7 + 2 + 4;
        let setup = u32::from_le_bytes(recording[9..13].try_into().unwrap()) as usize;
        for end in head + setup..recording.len() {
            let replayed = replay(&recording[..end]);
            assert!(replayed.is_ok(), "{end} of {}: {replayed:?}", recording.len());
        }
    }
}

#[test]
fn another_answer_is_found_where_it_stands() {
    let [server, _] = recordings();
    // In the bytes that were written for the upgrade.
    let written = b"HTTP/1.1 101";
    let at = server.windows(written.len()).position(|window| window == written).unwrap();
    let mut other = server;
    other[at] = b'X';
    let error = replay(&other).unwrap_err();
    assert!(matches!(error, ReplayError::Diverged { at: found, .. } if found == at), "{error}");
}

#[test]
fn what_is_no_recording_is_refused() {
    let [server, relay] = recordings();
    assert_eq!(replay(b"").unwrap_err(), ReplayError::NotARecording);
    assert_eq!(replay(b"LVSPRED\x01\x00").unwrap_err(), ReplayError::NotARecording);
    let mut newer = server.clone();
    newer[7] += 1;
    assert_eq!(replay(&newer).unwrap_err(), ReplayError::Version(newer[7]));
    let mut neither = relay;
    neither[8] = 9;
    let error = replay(&neither).unwrap_err();
    assert!(error.to_string().contains("neither of a server nor of a relay"), "{error}");
    let mut unknown = server;
    let setup = u32::from_le_bytes(unknown[9..13].try_into().unwrap()) as usize;
    unknown[13 + setup] = 200;
    let error = replay(&unknown).unwrap_err();
    assert!(error.to_string().contains("a record of an unknown kind"), "{error}");
}

#[cfg(feature = "tls")]
#[test]
fn what_was_recorded_with_tls_is_refused() {
    let mut server =
        RecordedServer::new(config(), Box::new(SeededEntropy::new(1)), Timestamp::ZERO, true)
            .unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let identity =
        crate::transport::TlsIdentity::from_pem(made.cert.pem().as_bytes(), key.as_bytes());
    server.set_tls(Some(identity.unwrap()));
    assert_eq!(replay(&server.take_recording()).unwrap_err(), ReplayError::Tls);
}

#[test]
fn a_stopped_recording_grows_no_more() {
    let entropy = Box::new(SeededEntropy::new(1));
    let mut server = RecordedServer::new(config(), entropy, Timestamp::ZERO, true).unwrap();
    assert!(!server.take_recording().is_empty());
    server.stop_recording();
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1_000));
    server.handle_accept(Timestamp::ZERO, Plane::Gateway, peer).unwrap();
    assert!(server.take_recording().is_empty());
}

/// Asking for news until there is none decides in which order later news are told.
#[test]
fn an_empty_answer_is_recorded_too() {
    let config = config();
    let now = Timestamp::from_millis(1_000);
    let mut relay = RecordedRelay::new(RelayId(0), &config.limits, config.media, true);
    let (mut legs, room) = (Slab::<LegId, ()>::default(), Slab::<RoomId, ()>::default().insert(()));
    let legs = [4, 8].map(|ssrc| {
        let leg = legs.insert(());
        let permissions = Permissions { speak: true, hear: true };
        let (ssrc, peer, bitrate) = (Ssrc(ssrc), None, 64_000);
        let open = RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions };
        relay.handle_command(now, open);
        let mut request = [0; discovery::LEN];
        discovery::write_request(&mut request, ssrc);
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1_000 + ssrc.0 as u16));
        let _ = relay.handle_datagram(now, from, &mut request).fill(&mut TransmitBatch::new());
        leg
    });
    let set_key = |relay: &mut RecordedRelay, leg| {
        let (key, nonce_prefix) = (MediaKey::new([7; 32]), [0; 20]);
        let mode = Mode::Aes256GcmRtpSize;
        let claimed = None;
        relay.handle_command(now, RelayCommand::SetKey { leg, mode, key, nonce_prefix, claimed });
    };
    let told = |relay: &mut RecordedRelay| {
        let news = std::iter::from_fn(|| relay.poll_event());
        let legs = news.map(|event| match event {
            RelayEvent::Bound { leg, .. }
            | RelayEvent::Heard { leg }
            | RelayEvent::Exhausted { leg } => leg,
            RelayEvent::Behind => panic!("nothing waited"),
        });
        legs.collect::<Vec<_>>()
    };
    set_key(&mut relay, legs[0]);
    assert_eq!(told(&mut relay), [legs[0]]);
    // The other's news come first, although this one was the first to have any.
    set_key(&mut relay, legs[1]);
    let header = [0x80, 0x78, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4];
    let cipher = Cipher::new(Mode::Aes256GcmRtpSize, &MediaKey::new([7; 32])).unwrap();
    let mut packet = [0; 100];
    let length = cipher.seal_into(&header, [b"frame", &[]], &[0, 0, 0, 1], &mut packet).unwrap();
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1_004));
    let mut fanout = relay.handle_datagram(now, from, &mut packet[..length]);
    assert_eq!(fanout.fill(&mut TransmitBatch::new()), Filled::Done);
    drop(fanout);
    assert_eq!(told(&mut relay), [legs[1], legs[0]]);
    replay(&relay.take_recording()).unwrap();
}

#[test]
fn what_is_handed_over_and_taken_is_repeated() {
    let config = config();
    let now = Timestamp::from_millis(1_000);
    let mut relays =
        [0, 1].map(|id| RecordedRelay::new(RelayId(id), &config.limits, config.media, true));
    let (leg, room) =
        (Slab::<LegId, ()>::default().insert(()), Slab::<RoomId, ()>::default().insert(()));
    let both = RelaySet::EMPTY.with(RelayId(0)).with(RelayId(1));
    for (relay, ssrc) in relays.iter_mut().zip([4, 8]) {
        let permissions = Permissions { speak: true, hear: true };
        let (ssrc, peer, bitrate) = (Ssrc(ssrc), None, 64_000);
        let open = RelayCommand::Open { leg, room, ssrc, peer, bitrate, permissions };
        relay.handle_command(now, open);
        let mut request = [0; discovery::LEN];
        discovery::write_request(&mut request, ssrc);
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1_000));
        let _ = relay.handle_datagram(now, from, &mut request).fill(&mut TransmitBatch::new());
        let (key, nonce_prefix, claimed) = (MediaKey::new([7; 32]), [0; 20], None);
        let mode = Mode::Aes256GcmRtpSize;
        relay.handle_command(now, RelayCommand::SetKey { leg, mode, key, nonce_prefix, claimed });
        relay.handle_command(now, RelayCommand::Share { room, others: both });
    }
    let header = [0x80, 0x78, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4];
    let cipher = Cipher::new(Mode::Aes256GcmRtpSize, &MediaKey::new([7; 32])).unwrap();
    let mut packet = [0; 100];
    let length = cipher.seal_into(&header, [b"frame", &[]], &[0, 0, 0, 1], &mut packet).unwrap();
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1_000));
    let [here, there] = &mut relays;
    let mut batch = TransmitBatch::new();
    let mut fanout = here.handle_datagram(now, from, &mut packet[..length]);
    let (_, handover) = fanout.take_handover().expect("it is shared");
    assert_eq!(there.handle_handover(now, &handover).fill(&mut batch), Filled::Done);
    assert_eq!(fanout.fill(&mut batch), Filled::Done);
    assert_eq!(batch.len(), 1, "the one there hears it, and the speaker does not");
    let speaker = fanout.speaker().expect("it is here");
    drop(fanout);
    here.note_not_handed_over(now, speaker, RelaySet::EMPTY.with(RelayId(1)));
    let [here, there] = relays.map(|mut relay| replay(&relay.take_recording()).unwrap());
    // Four commands and datagrams to get there; then a packet and a refusal, or a handed-over packet.
    assert_eq!((here.inputs, here.outputs), (6, 2), "a reply, and what was handed over");
    assert_eq!((there.inputs, there.outputs), (5, 2), "a reply, and a copy");
}
