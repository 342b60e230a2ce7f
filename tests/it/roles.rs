//! The client roles of the core against the server: two independent ends of each protocol.

use std::net::SocketAddr;
use std::time::Duration;

use lvsp_core::client::{ChatEvent, ChatServer, Role, Ticket, VoiceClient, VoiceEvent};
use lvsp_core::crypto::mode::Mode;
use lvsp_core::entropy::{Entropy, SeededEntropy};
use lvsp_core::ids::{ChannelId, ConnId, UserId};
use lvsp_core::output::Plane;
use lvsp_core::wire::gateway::Version;
use lvsp_core::wire::lvsp::VoiceRequest;
use lvsp_core::wire::secret::Secret;

use crate::world::{SECRET, World};

const CHANNEL: u64 = 77;

fn entropy() -> Box<dyn Entropy + Send> {
    Box::new(SeededEntropy::new(3))
}

fn accept(world: &mut World, plane: Plane, number: u16) -> ConnId {
    let address = SocketAddr::from(([198, 51, 100, 9], 30_000 + number));
    world.server.handle_accept(world.now, plane, address).expect("admitted")
}

/// Carries bytes both ways until neither side has any.
fn exchange(world: &mut World, role: &mut impl Role, conn: ConnId) {
    loop {
        let out = role.outbound().to_vec();
        role.consume(out.len());
        world.server.handle_bytes(world.now, conn, &out);
        world.pump();
        let back = world.server.outbound(conn).to_vec();
        world.server.consume(world.now, conn, back.len());
        role.handle_bytes(world.now, &back);
        if out.is_empty() && back.is_empty() {
            break;
        }
    }
}

/// Sends what a client has to send; what the relay sends in turn.
fn transmit(
    world: &mut World,
    client: &mut VoiceClient,
    from: SocketAddr,
) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut sent = Vec::new();
    while let Some((_, datagram)) = client.poll_transmit() {
        sent.extend(world.datagram(from, datagram));
    }
    sent
}

struct Seat {
    client: VoiceClient,
    conn: ConnId,
    address: SocketAddr,
}

fn place(world: &mut World, chat: &mut ChatServer, conn: ConnId, user: u64) -> Ticket {
    let user = UserId::new(user).expect("not zero");
    chat.place(VoiceRequest::new(user, ChannelId::new(CHANNEL).expect("not zero")));
    exchange(world, chat, conn);
    while let Some(event) = chat.poll_event() {
        if let ChatEvent::VoiceState(info) = event {
            let token = info.token.expect("an answer holds the token");
            return Ticket { server_id: CHANNEL, user, session_id: info.session_id, token };
        }
    }
    panic!("a request for a voice state is answered");
}

fn sit(world: &mut World, ticket: Ticket, version: u8, mode: Mode) -> Seat {
    let last = u8::try_from(ticket.user.as_u64()).expect("small ids");
    let address = SocketAddr::from(([198, 51, 100, 9], 41_000 + u16::from(last)));
    let version = Version::new(version).expect("not zero");
    let mut client =
        VoiceClient::connect(ticket, version, mode, None, "localhost", entropy().as_mut())
            .expect("plain TCP needs nothing");
    let conn = accept(world, Plane::Gateway, u16::from(last));
    exchange(world, &mut client, conn);
    for (_, mut reply) in transmit(world, &mut client, address) {
        client.handle_datagram(&mut reply);
    }
    exchange(world, &mut client, conn);
    assert!(matches!(client.poll_event(), Some(VoiceEvent::Connected { .. })));
    Seat { client, conn, address }
}

fn chat_server(world: &mut World, hmac: bool) -> (ChatServer, ConnId) {
    let secret = Secret::new(SECRET.to_owned());
    let mut chat = ChatServer::connect(secret, hmac, None, "localhost", entropy().as_mut())
        .expect("plain TCP needs nothing");
    let conn = accept(world, Plane::Control, 1);
    exchange(world, &mut chat, conn);
    assert!(matches!(chat.poll_event(), Some(ChatEvent::Ready { resumed: false, .. })));
    (chat, conn)
}

fn frames(seat: &mut Seat, sent: &[(SocketAddr, Vec<u8>)]) -> Vec<(Option<u64>, Vec<u8>)> {
    for (to, datagram) in sent {
        if *to == seat.address {
            seat.client.handle_datagram(&mut datagram.clone());
        }
    }
    let mut frames = Vec::new();
    while let Some(event) = seat.client.poll_event() {
        if let VoiceEvent::Frame(frame) = event {
            frames.push((frame.user.map(UserId::as_u64), frame.payload));
        }
    }
    frames
}

#[test]
fn two_voice_clients_of_a_chat_server_hear_each_other() {
    for hmac in [false, true] {
        let mut world = World::new();
        let (mut chat, control) = chat_server(&mut world, hmac);
        let tickets = [10, 11].map(|user| place(&mut world, &mut chat, control, user));
        let [ann, bob] = tickets;
        let mut ann = sit(&mut world, ann, 8, Mode::Aes256GcmRtpSize);
        let mut bob = sit(&mut world, bob, 4, Mode::XChaCha20Poly1305RtpSize);
        exchange(&mut world, &mut ann.client, ann.conn);
        for frame in 0..50u8 {
            ann.client.send_frame(&[0xFC, frame]);
            let sent = transmit(&mut world, &mut ann.client, ann.address);
            assert_eq!(frames(&mut bob, &sent), [(Some(10), vec![0xFC, frame])]);
            bob.client.send_frame(&[0xFD, frame]);
            let sent = transmit(&mut world, &mut bob.client, bob.address);
            assert_eq!(frames(&mut ann, &sent), [(Some(11), vec![0xFD, frame])]);
        }
    }
}

#[test]
fn both_roles_resume_after_a_lost_connection() {
    let mut world = World::new();
    let (mut chat, control) = chat_server(&mut world, false);
    let ticket = place(&mut world, &mut chat, control, 10);
    let mut ann = sit(&mut world, ticket, 8, Mode::Aes256GcmRtpSize);
    let ticket = place(&mut world, &mut chat, control, 11);
    let mut bob = sit(&mut world, ticket, 8, Mode::Aes256GcmRtpSize);
    bob.client.set_speaking(1);
    exchange(&mut world, &mut bob.client, bob.conn);
    exchange(&mut world, &mut ann.client, ann.conn);
    while ann.client.poll_event().is_some() {}

    world.server.handle_eof(world.now, ann.conn);
    ann.client.handle_eof(world.now);
    assert_eq!(ann.client.poll_event(), Some(VoiceEvent::Closed { code: None }));
    bob.client.set_speaking(0);
    exchange(&mut world, &mut bob.client, bob.conn);
    world.advance(Duration::from_secs(20));
    ann.client.reconnect(None, "localhost", entropy().as_mut()).expect("plain TCP");
    ann.conn = accept(&mut world, Plane::Gateway, 99);
    exchange(&mut world, &mut ann.client, ann.conn);
    assert_eq!(ann.client.poll_event(), Some(VoiceEvent::Resumed));
    let missed = ann.client.poll_event();
    assert!(matches!(missed, Some(VoiceEvent::Speaking { flags: 0, .. })), "{missed:?}");
    let numbering = ann.client.numbering();
    assert!(numbering.arrived >= 3, "presence and speaking flags are numbered: {numbering:?}");
    assert_eq!((numbering.missed, numbering.repeated), (0, 0));

    world.server.handle_eof(world.now, control);
    chat.handle_eof(world.now);
    chat.reconnect(None, "localhost", entropy().as_mut()).expect("plain TCP");
    let control = accept(&mut world, Plane::Control, 2);
    exchange(&mut world, &mut chat, control);
    let mut resumed = None;
    while let Some(event) = chat.poll_event() {
        if let ChatEvent::Ready { resumed: how, .. } = event {
            resumed = Some(how);
        }
    }
    assert_eq!(resumed, Some(true));
}

#[test]
fn heartbeats_of_both_roles_keep_their_connections() {
    let mut world = World::new();
    let (mut chat, control) = chat_server(&mut world, false);
    let ticket = place(&mut world, &mut chat, control, 10);
    let mut ann = sit(&mut world, ticket, 8, Mode::Aes256GcmRtpSize);
    for _ in 0..200 {
        world.advance(Duration::from_secs(1));
        chat.handle_timeout(world.now);
        ann.client.handle_timeout(world.now);
        exchange(&mut world, &mut chat, control);
        exchange(&mut world, &mut ann.client, ann.conn);
    }
    assert_eq!(world.server.connection_count(), 2);
}
