//! Worlds in which somebody does what a limit is there for.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvsp_core::config::Config;
use lvsp_core::limits::Limits;
use lvsp_core::output::Plane;
use lvsp_core::transport::TlsIdentity;
use serde_json::json;

use crate::lifecycle::AES;
use crate::people::{CHANNEL, Ticket, Voice, chat_server, destruction, join, place, request};
use crate::world::{PeerId, World};

pub(super) fn limited(change: impl FnOnce(&mut Limits)) -> World {
    World::with(|config: &mut Config| change(&mut config.limits))
}

pub(super) fn over_tls() -> World {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let mut world = World::new();
    let identity = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).expect("usable");
    world.server.set_tls(Some(identity));
    world
}

/// Two members of a channel.
pub(super) fn call(change: impl FnOnce(&mut Limits)) -> (World, PeerId, [Voice; 2]) {
    let mut world = limited(change);
    let chat = chat_server(&mut world);
    let members = [1001, 1002].map(|user| join(&mut world, chat, user, CHANNEL, AES));
    (world, chat, members)
}

pub(super) fn pass(world: &mut World, milliseconds: u64) {
    world.advance(Duration::from_millis(milliseconds));
}

pub(super) fn strangers<const N: usize>(
    change: impl FnOnce(&mut Limits),
    hosts: [u8; N],
    plane: Plane,
) -> World {
    let mut world = limited(change);
    let last = hosts.map(|host| {
        let address = SocketAddr::new(IpAddr::from([203, 0, 113, host]), 1);
        world.server.handle_accept(world.now, plane, address).is_ok()
    });
    assert!(last[..N - 1].iter().all(|taken| *taken) && !last[N - 1], "only the last is refused");
    world
}

/// A connection that says so much and nothing more.
pub(super) fn raw(world: &mut World, plane: Plane, bytes: &[u8]) {
    let address = SocketAddr::from(([203, 0, 113, 9], 1));
    let conn = world.server.handle_accept(world.now, plane, address).expect("admitted");
    world.server.handle_bytes(world.now, conn, bytes);
}

pub(super) fn unfinished(plane: Plane, bytes: &[u8], milliseconds: u64) -> World {
    let mut world = World::new();
    raw(&mut world, plane, bytes);
    pass(&mut world, milliseconds);
    world
}

pub(super) fn unknown() -> Ticket {
    Ticket { user: 1, session_id: "nobody".to_owned(), token: "nothing".to_owned() }
}

pub(super) fn chatter(world: &mut World, voice: &Voice, messages: u8) {
    for n in 0..messages {
        world.send(voice.peer, &json!({"op": 5, "d": {"speaking": n % 2, "delay": 0}}));
    }
}

pub(super) fn flooded(messages: u8) -> World {
    let (mut world, _, [ann, _]) = call(|_| ());
    chatter(&mut world, &ann, messages);
    world
}

pub(super) fn chattered(change: impl FnOnce(&mut Limits), messages: u8) -> World {
    let (mut world, _, [ann, _]) = call(change);
    chatter(&mut world, &ann, messages);
    world
}

/// Somebody says much to somebody who does not read.
pub(super) fn unread(change: impl FnOnce(&mut Limits)) -> World {
    let (mut world, _, [ann, bob]) = call(|limits| {
        limits.message_burst = 100_000;
        change(limits);
    });
    world.set_reading(bob.peer, false);
    (0..6).for_each(|_| chatter(&mut world, &ann, 250));
    world
}

pub(super) fn silent_call(milliseconds: u64) -> World {
    let (mut world, _, _) = call(|_| ());
    pass(&mut world, milliseconds);
    world
}

pub(super) fn placed(change: impl FnOnce(&mut Limits), users: u64) -> World {
    let mut world = limited(change);
    let chat = chat_server(&mut world);
    (1..=users).for_each(|user| world.send(chat, &request(user, CHANNEL)));
    world
}

pub(super) fn placed_together(change: impl FnOnce(&mut Limits)) -> World {
    placed(change, 12)
}

pub(super) fn placed_apart(change: impl FnOnce(&mut Limits)) -> World {
    let mut world = limited(change);
    let chat = chat_server(&mut world);
    (1..=2).for_each(|n| world.send(chat, &request(n, n)));
    world
}

/// So many users are placed while the chat server reads nothing.
pub(super) fn burst(change: impl FnOnce(&mut Limits)) -> World {
    let mut world = limited(|limits| {
        limits.control_dump_bytes = 4_096;
        change(limits);
    });
    let chat = chat_server(&mut world);
    world.set_reading(chat, false);
    (1..=200).for_each(|user| world.send(chat, &request(user, CHANNEL)));
    world
}

pub(super) fn guessed(change: impl FnOnce(&mut Limits), hosts: [u8; 2]) -> World {
    let mut world = limited(change);
    for host in hosts {
        let address = SocketAddr::new(IpAddr::from([203, 0, 113, host]), 1);
        if world.server.handle_accept(world.now, Plane::Control, address).is_ok() {
            let chat = world.connect_from(Plane::Control, "/", address);
            world.send(chat, &json!({"op": 1, "d": {"token": "guess"}}));
        }
    }
    world
}

pub(super) fn refused(change: impl FnOnce(&mut Limits), reads: bool) -> World {
    let mut world = limited(change);
    let chat = chat_server(&mut world);
    world.set_reading(chat, reads);
    for _ in 0..60 {
        world.send(chat, &json!({"op": 7, "d": {"user_id": "1"}}));
        world.send(chat, &json!({"op": 7, "d": {"channel_id": "1"}}));
    }
    world
}

/// A chat server identifies anew and states one of two users again.
pub(super) fn returned(change: impl FnOnce(&mut Limits)) -> World {
    let mut world = limited(change);
    let chat = chat_server(&mut world);
    for user in [1001, 1002] {
        place(&mut world, chat, user, CHANNEL);
    }
    world.cut(chat);
    let chat = chat_server(&mut world);
    world.send(chat, &request(1001, CHANNEL));
    world
}

pub(super) fn destroyed(change: impl FnOnce(&mut Limits)) -> World {
    let mut world = limited(change);
    let chat = chat_server(&mut world);
    for channel in [71, 72] {
        world.send(chat, &request(channel, channel));
        world.send(chat, &destruction(channel));
    }
    world
}

pub(super) fn rediscovered(requests: usize) -> World {
    let (mut world, _, [ann, _]) = call(|_| ());
    let mut request = vec![0, 1, 0, 70];
    request.extend(ann.ssrc.to_be_bytes());
    request.resize(74, 0);
    (0..requests).for_each(|_| drop(world.datagram(ann.address, request.clone())));
    world
}

pub(super) fn spoken(packets: usize, payload: usize) -> World {
    let (mut world, _, [mut ann, _]) = call(|_| ());
    (0..packets).for_each(|_| drop(ann.speak(&mut world, &vec![7; payload])));
    world
}

/// A member moves twice, with so much time between.
pub(super) fn moved(change: impl FnOnce(&mut Limits), milliseconds: u64) -> World {
    let (mut world, _, [mut ann, _]) = call(change);
    for port in [1, 2, 3] {
        pass(&mut world, milliseconds);
        ann.address.set_port(port);
        ann.speak(&mut world, b"from elsewhere");
    }
    world
}

/// So many copies are sealed under one key.
pub(super) fn keys_used(packets: usize) -> World {
    let (mut world, _, [mut ann, _]) = call(|limits| {
        (limits.key_soft_packets, limits.key_hard_packets) = (1_024, 2_048);
        limits.sender_packet_burst = 100_000;
    });
    (0..packets).for_each(|_| drop(ann.speak(&mut world, b"so many times")));
    world
}
