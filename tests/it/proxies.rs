//! Clients behind proxies: whose address counts, and who is believed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lvsp_core::config::{ClientAddress, ForeignUdp, Proxies};
use lvsp_core::output::{Event, Plane, Shutdown};
use lvsp_core::reasons::CloseReason;

use crate::people::{CHANNEL, chat_server, identify, place};
use crate::world::{Cut, HOST, PeerId, World};

const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 80));
const ELSEWHERE: &str = "203.0.113.99";

fn world(client_address: ClientAddress) -> World {
    World::with(|config| {
        let trusted = vec!["192.0.2.80/32".parse().expect("a network")];
        config.proxies = Proxies { trusted, client_address };
        config.media.foreign_udp = ForeignUdp::Strict;
        config.limits.unauthenticated_per_address = 2;
    })
}

fn from(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, 1_234)
}

/// Has the proxy say this of a new client.
fn through(world: &mut World, how: ClientAddress, client: &str) -> PeerId {
    world.connect_through(from(PROXY), |request| {
        if how == ClientAddress::ProxyProtocol {
            format!("PROXY TCP4 {client} 192.0.2.1 5 443\r\n{request}")
        } else if how == ClientAddress::Forwarded {
            with_header(&request, &format!("Forwarded: for={client}"))
        } else {
            with_header(&request, &format!("X-Forwarded-For: 198.51.100.1, {client}"))
        }
    })
}

fn with_header(request: &str, header: &str) -> String {
    request.replacen("\r\n", &format!("\r\n{header}\r\n"), 1)
}

/// Takes a client as far as discovery from `HOST`; whether it is answered.
fn is_served(world: &mut World, peer: PeerId, user: u64, chat: PeerId) -> bool {
    let ticket = place(world, chat, user, CHANNEL);
    assert_eq!(world.take(peer)["op"], 8, "Hello");
    world.send(peer, &identify(&ticket));
    let ready = world.take(peer);
    let ssrc = u32::try_from(ready["d"]["ssrc"].as_u64().expect("Ready")).expect("32 bits");
    let mut request = vec![0, 1, 0, 70];
    request.extend(ssrc.to_be_bytes());
    request.resize(74, 0);
    !world.datagram(SocketAddr::new(HOST, 40_001), request).is_empty()
}

const ALL: [ClientAddress; 3] =
    [ClientAddress::XForwardedFor, ClientAddress::Forwarded, ClientAddress::ProxyProtocol];

// Clauses: V1.7
#[test]
fn media_is_compared_with_the_address_that_a_trusted_proxy_names() {
    for how in ALL {
        for cut_at in [Cut::Nowhere, Cut::Every(1)] {
            let mut world = world(how);
            world.cut_at = cut_at;
            let chat = chat_server(&mut world);
            let own = through(&mut world, how, &HOST.to_string());
            assert!(is_served(&mut world, own, 1, chat), "{how:?}");
            assert_eq!(counted(&world), (1, 0, 0), "{how:?}");
            let seen: Vec<_> = world.server.member_views(None, None).collect();
            let peer = seen.first().and_then(|member| member.session?.peer);
            assert_eq!(peer, Some(SocketAddr::new(HOST, 0)), "what operators are shown");
            let foreign = through(&mut world, how, ELSEWHERE);
            assert!(!is_served(&mut world, foreign, 2, chat), "{how:?}: it is elsewhere");
        }
    }
}

#[test]
fn a_proxy_that_names_nobody_has_its_clients_served_from_anywhere() {
    let silent = |world: &World| world.events.contains(&Event::ProxySilent { proxy: from(PROXY) });
    let mut world = world(ClientAddress::XForwardedFor);
    let chat = chat_server(&mut world);
    let peer = world.connect_through(from(PROXY), |request| request);
    assert!(is_served(&mut world, peer, 1, chat) && silent(&world));
    assert_eq!(counted(&world), (0, 1, 0));

    let mut world = self::world(ClientAddress::ProxyProtocol);
    let chat = chat_server(&mut world);
    let peer = world.connect_through(from(PROXY), |request| format!("PROXY UNKNOWN\r\n{request}"));
    assert!(is_served(&mut world, peer, 1, chat) && !silent(&world), "it did say so");
}

// Clauses: V1.7, V1.8
#[test]
fn nobody_else_is_believed_to_be_another() {
    for how in ALL {
        let mut world = world(how);
        let chat = chat_server(&mut world);
        // Headers of strangers are not read: theirs is the address that they come from.
        for (user, header) in [(1, "X-Forwarded-For"), (2, "Forwarded")] {
            let header = format!("{header}: for={HOST}, {HOST}");
            let stranger = from(ELSEWHERE.parse().expect("an address"));
            let peer = world.connect_through(stranger, |request| with_header(&request, &header));
            assert!(!is_served(&mut world, peer, user, chat), "{how:?} {header}");
        }
        // The protocol would be taken for a request or for TLS: it is named instead.
        let line = |request| format!("PROXY TCP4 {HOST} 192.0.2.1 5 443\r\n{request}");
        let peer = world.connect_through(from(HOST), line);
        assert_eq!(world.ended(peer), Some(Shutdown::Graceful));
        let reason = CloseReason::UntrustedProxy;
        assert!(world.events.contains(&Event::ProxyRefused { proxy: from(HOST), reason }));
        assert_eq!(counted(&world), (0, 0, 1), "{how:?}");
    }
}

/// Connections of proxies that named their client, did not, and were refused.
fn counted(world: &World) -> (u64, u64, u64) {
    let stats = world.server.stats();
    (stats.proxied_named, stats.proxied_silent, stats.proxied_refused)
}

// Clauses: V1.8
#[test]
fn a_proxy_that_must_begin_with_the_protocol_and_does_not_is_told() {
    let mut world = world(ClientAddress::ProxyProtocol);
    for line in ["", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "PROXY TCP9 1.2.3.4 5.6.7.8 1 2\r\n"] {
        world.events.clear();
        let peer = world.connect_through(from(PROXY), |request| format!("{line}{request}"));
        assert_eq!(world.ended(peer), Some(Shutdown::Graceful), "{line:?}");
        let reason = CloseReason::BadProxyHeader;
        assert!(world.events.contains(&Event::ProxyRefused { proxy: from(PROXY), reason }));
    }
    // A header alone is not the client's first byte: both have to come in time.
    for line in ["PROXY TCP4 1.2", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n"] {
        let before = world.counts().first_byte_ms;
        let peer = world.connect_through(from(PROXY), |_| line.to_owned());
        world.advance(Duration::from_secs(5));
        assert_eq!(world.ended(peer), Some(Shutdown::Abrupt), "{line:?}");
        assert_eq!(world.counts().first_byte_ms, before + 1);
    }
}

#[test]
fn a_client_behind_a_proxy_waits_for_room_in_its_own_share() {
    for how in ALL {
        let mut world = world(how);
        let chat = chat_server(&mut world);
        let [first, second, third, fourth] =
            [1, 2, 3, 4].map(|_| through(&mut world, how, ELSEWHERE));
        let other = through(&mut world, how, &HOST.to_string());
        assert!(world.server.has_room_for(from(PROXY)), "the proxy has no share of its own");
        let has_hello = |world: &mut World, peer| {
            world.take_all(peer).first().is_some_and(|hello| hello["op"] == 8)
        };
        let told = [first, second, third, fourth, other].map(|peer| has_hello(&mut world, peer));
        assert_eq!(told, [true, true, false, false, true], "{how:?}");
        assert_eq!(world.counts().unauthenticated_per_address, 2);

        // Whoever has identified makes room, and so does who leaves: the oldest comes first.
        let ticket = place(&mut world, chat, 1, CHANNEL);
        world.send(first, &identify(&ticket));
        world.advance(Duration::from_millis(1));
        assert!(has_hello(&mut world, third) && !has_hello(&mut world, fourth), "{how:?}");
        world.cut(second);
        world.advance(Duration::from_millis(1));
        assert!(has_hello(&mut world, fourth), "{how:?}");
    }
}

#[test]
fn who_waits_behind_a_proxy_does_not_wait_for_ever() {
    for how in ALL {
        let mut world = world(how);
        let [_, _, third, fourth] = [1, 2, 3, 4].map(|_| through(&mut world, how, ELSEWHERE));
        world.cut(third);
        let before = world.counts().upgrade_ms;
        // The two before it have Hello and ten seconds to identify; three are asked for the same.
        world.advance(Duration::from_secs(9));
        assert_eq!(world.ended(fourth), None);
        world.advance(Duration::from_secs(2));
        assert_eq!(world.take_all(fourth).len(), 1, "{how:?}: theirs ended");
        world.advance(Duration::from_secs(10));
        assert!(world.closed(fourth).is_some(), "{how:?}: as long as everybody, from then on");
        assert_eq!((world.server.connection_count(), world.counts().upgrade_ms), (0, before));
    }
    let mut world = World::with(|config| {
        let trusted = vec!["192.0.2.80/32".parse().expect("a network")];
        config.proxies = Proxies { trusted, client_address: ClientAddress::ProxyProtocol };
        config.limits.unauthenticated_per_address = 1;
        config.limits.identify_ms = lvsp_core::limits::Millis(60_000);
    });
    let [first, second] =
        [1, 2].map(|_| through(&mut world, ClientAddress::ProxyProtocol, ELSEWHERE));
    world.advance(Duration::from_secs(15));
    assert_eq!((world.ended(first), world.ended(second)), (None, Some(Shutdown::Abrupt)));
    assert_eq!(world.counts().upgrade_ms, 1);
}

#[test]
fn what_comes_while_a_client_waits_is_kept_up_to_a_limit() {
    let how = ClientAddress::ProxyProtocol;
    let mut world = world(how);
    let [first, _, third] = [1, 2, 3].map(|_| through(&mut world, how, ELSEWHERE));
    let held = world.server.census().inbound_bytes;
    assert!((100..1_000).contains(&held), "{held} bytes: the request of the third");
    world.cut(first);
    world.advance(Duration::from_millis(1));
    assert_eq!((world.server.census().inbound_bytes, world.take_all(third).len()), (0, 1));
    let flood = world.connect_through(from(PROXY), |request| {
        format!("PROXY TCP4 {ELSEWHERE} 192.0.2.1 5 443\r\n{request}{}", "x".repeat(20_000))
    });
    assert_eq!(world.closed(flood), Some(None));
    assert_eq!(world.counts().upgrade_bytes, 1);
}

#[test]
fn chat_servers_have_no_proxies() {
    let mut world = world(ClientAddress::ProxyProtocol);
    let chat = world.connect_from(Plane::Control, "/", from(PROXY));
    assert_eq!(world.take(chat)["op"], 0, "HELLO");
}
