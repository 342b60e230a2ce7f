//! Where media goes: discovery, rebinding, addresses that nothing vouches for, pings.

use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::config::ForeignUdp;
use crate::media::inspect::LegView;

// Clauses: V4.5
#[test]
fn an_address_moves_only_with_the_newest_packet() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut speaker = fixture.join(room, AES);
    fixture.join(room, AES);
    fixture.speak(&mut speaker, 10);
    fixture.events();
    let moved = at(200, 6_000);
    let (late, newest) = (speaker.packet(9, b"opus"), speaker.packet(11, b"opus"));
    fixture.send(moved, &late);
    fixture.refused(moved, &[0; 8]);
    assert_eq!(fixture.refused(moved, &request(speaker.ssrc)), DropReason::DiscoveryBound);
    assert_eq!(fixture.events(), []);
    fixture.send(moved, &newest);
    assert_eq!(
        fixture.events(),
        [RelayEvent::Bound { leg: speaker.leg, address: moved, foreign: false }]
    );
    assert_eq!(fixture.relay.stats().rebinds, 1);
}

#[test]
fn an_ssrc_of_nobody_is_noted_only_for_whoever_is_at_that_very_address() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut client = fixture.join(room, AES);
    let neighbour = fixture.join(room, AES);
    let (own, stray) = (client.ssrc, Ssrc(77));
    client.ssrc = stray;
    let packet = client.packet(1, b"opus");
    let mut elsewhere = client.address;
    elsewhere.set_port(client.address.port() + 1);
    let view = |fixture: &Fixture, leg| fixture.relay.leg_view(leg).expect("it is open");
    assert_eq!(fixture.refused(elsewhere, &packet), DropReason::UnknownSsrc);
    assert_eq!(view(&fixture, client.leg).last_drop, None);
    assert_eq!(fixture.refused(client.address, &packet), DropReason::UnknownSsrc);
    let LegView { ssrc, stray: noted, last_drop, figures, .. } = view(&fixture, client.leg);
    assert_eq!((ssrc, noted), (own, Some(stray)));
    assert_eq!(last_drop.map(|last| last.reason), Some(DropReason::UnknownSsrc));
    assert_eq!(figures.drops.of(DropReason::UnknownSsrc), 1);
    assert_eq!(view(&fixture, neighbour.leg).last_drop, None);
    assert_eq!(fixture.drops(DropReason::UnknownSsrc), 2);
    // Whoever has moved away is not at its old address any more.
    client.ssrc = own;
    let moved = client.packet(2, b"opus");
    fixture.send(elsewhere, &moved);
    assert_eq!(fixture.refused(client.address, &packet), DropReason::UnknownSsrc);
    assert_eq!(view(&fixture, client.leg).figures.drops.of(DropReason::UnknownSsrc), 1);
}

#[test]
fn somebody_who_copies_packets_holds_a_leg_until_its_owner_is_heard() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut victim = fixture.join(room, AES);
    let mut other = fixture.join(room, AES);
    let thief = at(66, 666);
    let mut stolen = 0;
    for n in 1..=50u16 {
        fixture.now = Timestamp::from_millis(1_000 + 20 * u64::from(n));
        let packet = victim.packet(n, b"opus");
        // Every other packet is kept back, so that only the copy arrives.
        fixture.send(if n % 2 == 0 { thief } else { victim.address }, &packet);
        let sent = fixture.speak(&mut other, n);
        stolen += usize::from(sent[0].0 == thief);
    }
    assert_eq!(stolen, 1, "in a second");
}

// Clauses: V4.5
#[test]
fn somebody_who_wins_every_race_holds_a_leg_for_one_packet_a_second() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut victim = fixture.join(room, AES);
    let mut other = fixture.join(room, AES);
    let thief = at(66, 666);
    let mut stolen = 0;
    for n in 1..=250u16 {
        fixture.now = Timestamp::from_millis(1_000 + 20 * u64::from(n));
        let packet = victim.packet(n, b"opus");
        fixture.send(thief, &packet);
        stolen += usize::from(fixture.speak(&mut other, n)[0].0 == thief);
        assert_eq!(fixture.refused(victim.address, &packet), DropReason::Replayed);
        assert_eq!(
            fixture.relay.rooms.leg(victim.leg).and_then(|leg| leg.binding.address()),
            Some(victim.address),
            "the victim's own copy brings it back"
        );
    }
    assert_eq!(stolen, 5, "in five seconds");
}

// Clauses: V4.1, V4.4
#[test]
fn discovery_answers_with_the_source_and_the_key_binds_to_the_claimed_one() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let client = fixture.open(room, AES);
    for source in [at(1, 1), at(2, 2), at(3, 3)] {
        let sent = fixture.send(source, &request(client.ssrc));
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].0, sent[0].1), (source, client.leg));
        assert_eq!(discovery::parse_response(&sent[0].2), Some((client.ssrc, source)));
    }
    assert_eq!(fixture.events(), []);
    fixture.set_key(&client, Some(at(2, 2)));
    assert_eq!(
        fixture.events(),
        [RelayEvent::Bound { leg: client.leg, address: at(2, 2), foreign: false }]
    );
    assert_eq!(fixture.refused(at(3, 3), &request(client.ssrc)), DropReason::DiscoveryBound);
    assert_eq!(fixture.send(at(2, 2), &request(client.ssrc)).len(), 1);
    assert_eq!(fixture.refused(at(2, 2), &request(Ssrc(8))), DropReason::UnknownSsrc);
}

// Clauses: V4.1
#[test]
fn discovery_is_limited_a_session_and_not_an_address() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let (one, two) = (fixture.open(room, AES), fixture.open(room, AES));
    let source = at(1, 1);
    assert!((0..16).all(|_| fixture.send(source, &request(one.ssrc)).len() == 1));
    assert_eq!(fixture.refused(source, &request(one.ssrc)), DropReason::DiscoveryLimited);
    assert_eq!(fixture.send(source, &request(two.ssrc)).len(), 1);
    fixture.now = fixture.now + Duration::from_secs(1);
    assert_eq!(fixture.send(source, &request(one.ssrc)).len(), 1);
    assert_eq!(fixture.relay.stats().discovery_replies, 18);
}

// Clauses: V4.7
#[test]
fn forbidden_addresses_get_nothing_and_mapped_ones_are_plain() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let client = fixture.open(room, AES);
    for text in ["127.0.0.1:9", "[::ffff:127.0.0.1]:9", "224.0.0.1:9", "192.0.2.1:0", "[::]:9"] {
        let source = text.parse().expect("an address");
        assert_eq!(fixture.refused(source, &request(client.ssrc)), DropReason::ForbiddenAddress);
    }
    let mapped = "[::ffff:192.0.2.1]:9".parse().expect("an address");
    assert_eq!(fixture.send(mapped, &request(client.ssrc))[0].0, at(1, 9));
}

// Clauses: V4.3
#[test]
fn pings_are_answered_to_bound_addresses_five_times_a_second() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let client = fixture.join(room, AES);
    let ping = [0x13, 0x37, 0xCA, 0xFE, 1, 2, 3, 4];
    assert_eq!(fixture.refused(at(99, 9), &ping), DropReason::Ping);
    for _ in 0..5 {
        let sent = fixture.send(client.address, &ping);
        assert_eq!(sent[0].2, [0x13, 0x37, 0xF0, 0x0D, 1, 2, 3, 4]);
    }
    assert_eq!(fixture.refused(client.address, &ping), DropReason::Ping);
    fixture.command(RelayCommand::Close { leg: client.leg });
    fixture.now = fixture.now + Duration::from_secs(1);
    assert_eq!(fixture.refused(client.address, &ping), DropReason::Ping);
}

/// A leg whose gateway connection comes from `peer`, with its key and an address of its own.
fn join_from(fixture: &mut Fixture, room: RoomId, peer: IpAddr) -> Client {
    let client = fixture.open_from(room, AES, Some(peer));
    fixture.send(client.address, &request(client.ssrc));
    fixture.set_key(&client, None);
    client
}

// Clauses: V4.6
#[test]
fn a_foreign_address_is_told_of_and_gets_three_times_what_it_sends() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let mut member = join_from(&mut fixture, room, "203.0.113.9".parse().expect("an address"));
    let mut speaker = fixture.join(room, AES);
    let bound = RelayEvent::Bound { leg: member.leg, address: member.address, foreign: true };
    assert!(fixture.events().contains(&bound));
    assert!(fixture.speak(&mut speaker, 1).is_empty(), "it has sent nothing since it was bound");

    let packet = member.packet(1, &[7; 200]);
    assert_eq!(fixture.send(member.address, &packet).len(), 1);
    let mut sent = 0;
    for n in 2..100 {
        sent += fixture.speak(&mut speaker, n).iter().map(|copy| copy.2.len()).sum::<usize>();
    }
    assert!(sent <= 3 * packet.len() && sent > 2 * packet.len(), "{sent} for {}", packet.len());
    let refused = fixture.relay.leg_figures(member.leg).expect("open").drops;
    assert!(refused.of(DropReason::ForeignAddress) > 50);
    assert_eq!(fixture.relay.stats().foreign_binds, 1);
}

#[test]
fn the_gateways_own_address_and_the_other_family_are_served() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    for peer in [IpAddr::from([192, 0, 2, 1]), "2001:db8::9".parse().expect("an address")] {
        let member = fixture.open_from(room, AES, Some(peer));
        let address = at(1, member.address.port());
        fixture.send(address, &request(member.ssrc));
        fixture.set_key(&member, None);
        let bound = RelayEvent::Bound { leg: member.leg, address, foreign: false };
        assert!(fixture.events().contains(&bound));
    }
    let mut speaker = fixture.join(room, AES);
    assert_eq!(fixture.speak(&mut speaker, 1).len(), 2);
}

#[test]
fn a_strict_relay_serves_no_other_address() {
    let media = MediaConfig { foreign_udp: ForeignUdp::Strict, ..MediaConfig::default() };
    let mut fixture = Fixture::with(&Limits::default(), media);
    let room = fixture.room();
    let mut member = fixture.open_from(room, AES, Some(IpAddr::from([203, 0, 113, 9])));
    let elsewhere = member.address;
    let refused = fixture.refused(elsewhere, &request(member.ssrc));
    assert_eq!(refused, DropReason::ForeignAddress);
    fixture.set_key(&member, Some(elsewhere));
    fixture.speak(&mut member, 1);
    let mut speaker = fixture.join(room, AES);
    assert!(fixture.speak(&mut speaker, 1).is_empty(), "an authentic packet binds it no more");
    let home = SocketAddr::from(([203, 0, 113, 9], 4_000));
    assert_eq!(fixture.send(home, &request(member.ssrc)).len(), 1);
    assert_eq!(fixture.speak(&mut speaker, 2)[0].0, home);
}

// Clauses: V4.2
#[test]
fn the_old_discovery_is_answered_in_its_own_form_where_old_modes_are_served() {
    let mut fixture = Fixture::new();
    let room = fixture.room();
    let client = fixture.open(room, AES);
    let mut old = [0; discovery::LEGACY_LEN];
    old[..4].copy_from_slice(&client.ssrc.0.to_be_bytes());
    assert_eq!(fixture.refused(client.address, &old), DropReason::Unrecognised);

    let media = MediaConfig { legacy_modes: true, ..MediaConfig::default() };
    let mut fixture = Fixture::with(&Limits::default(), media);
    let room = fixture.room();
    let client = fixture.open(room, AES);
    let sent = fixture.send(client.address, &old);
    let port = client.address.port().to_le_bytes();
    assert_eq!((sent[0].2.len(), &sent[0].2[68..]), (discovery::LEGACY_LEN, &port[..]));
}
