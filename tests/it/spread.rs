//! A channel whose legs are spread over several relays.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};

use lvsp_core::command::{Command, Target};
use lvsp_core::ids::{ChannelId, ControlId, RelayId, UserId};
use lvsp_core::reasons::DropReason;
use lvsp_core::wire::lvsp::VoiceFlagsUpdate;

use crate::lifecycle::AES;
use crate::people::{CHANNEL, OTHER_CHANNEL, Voice, chat_server, join};
use crate::world::{PeerId, World};

/// A world of so many relays, with so many legs of a channel on each before it is spread.
pub(crate) fn world(relays: u16, legs_per_relay: usize) -> World {
    World::with(|config| {
        let at = |port| SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), port);
        config.relays = (50_000..50_000 + relays).map(at).collect();
        config.limits.legs_per_relay = legs_per_relay;
    })
}

/// So many members of one channel.
pub(crate) fn stage(world: &mut World, members: u64) -> (PeerId, Vec<Voice>) {
    let chat = chat_server(world);
    let join = |user| join(world, chat, user, CHANNEL, AES);
    (chat, (1..=members).map(join).collect())
}

/// Everybody says something in turn: everybody else hears it, once and as it was said.
#[track_caller]
fn assert_everybody_hears_everybody(world: &mut World, voices: &mut [Voice]) {
    for speaker in 0..voices.len() {
        let text = format!("from {speaker}");
        let sent = voices[speaker].speak(world, text.as_bytes());
        assert_eq!(sent.len(), voices.len() - 1, "of {speaker}");
        let (ssrc, sequence) = (voices[speaker].ssrc, voices[speaker].sequence);
        for (at, listener) in voices.iter().enumerate().filter(|(at, _)| *at != speaker) {
            let heard = listener.hear(&sent);
            assert_eq!(heard, [(ssrc, sequence, text.clone().into_bytes())], "{speaker} to {at}");
        }
    }
}

fn counts(voices: &[Voice]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for voice in voices {
        *counts.entry(voice.relay.0).or_default() += 1;
    }
    counts
}

fn order(world: &mut World, command: Command) {
    world.server.handle_command(world.now, ControlId(0), command).expect("within the limits");
    world.pump();
}

fn target(voice: &Voice) -> Target {
    Target { user: UserId::new(voice.ticket.user), ..Target::default() }
}

fn leave(world: &mut World, voice: &Voice) {
    order(world, Command::Remove { target: target(voice) });
}

#[test]
fn a_channel_over_its_relays_limit_is_spread_and_everybody_hears_everybody() {
    let mut world = world(3, 4);
    let (chat, mut voices) = stage(&mut world, 4);
    assert_eq!(counts(&voices), BTreeMap::from([(0, 4)]), "together up to the limit");
    assert_everybody_hears_everybody(&mut world, &mut voices);
    assert_eq!(world.relay.stats().handovers_out, 0);
    voices.extend((5..=11).map(|user| join(&mut world, chat, user, CHANNEL, AES)));
    assert_eq!(counts(&voices), BTreeMap::from([(0, 4), (1, 4), (2, 3)]));
    assert_everybody_hears_everybody(&mut world, &mut voices);
    assert_eq!(world.counts().legs_per_relay, 7);
    for (id, members) in counts(&voices) {
        let stats = world.relay_of(RelayId(id)).stats();
        assert_eq!(stats.handovers_out, 2 * members as u64, "once to each of the others");
        assert_eq!(stats.handovers_in, 11 - members as u64);
        assert_eq!(stats.drops.of(DropReason::RoomGone), 0);
        assert_eq!(stats.drops.of(DropReason::Unfilled), 0);
    }
}

#[test]
fn sharing_ends_with_the_last_leg_of_a_relay() {
    let mut world = world(2, 2);
    let (chat, mut voices) = stage(&mut world, 4);
    assert_eq!(counts(&voices), BTreeMap::from([(0, 2), (1, 2)]));
    for gone in [3, 2] {
        let voice = voices.remove(gone);
        leave(&mut world, &voice);
        assert_everybody_hears_everybody(&mut world, &mut voices);
    }
    assert_eq!(counts(&voices), BTreeMap::from([(0, 2)]));
    let before = world.relay.stats().handovers_out;
    assert_everybody_hears_everybody(&mut world, &mut voices);
    assert_eq!(world.relay.stats().handovers_out, before, "nobody is elsewhere");
    // The home relay may be the one that is left.
    voices.push(join(&mut world, chat, 9, CHANNEL, AES));
    assert_eq!(counts(&voices), BTreeMap::from([(0, 2), (1, 1)]));
    for _ in 0..2 {
        let voice = voices.remove(0);
        leave(&mut world, &voice);
    }
    voices.push(join(&mut world, chat, 10, CHANNEL, AES));
    assert_eq!(counts(&voices), BTreeMap::from([(0, 1), (1, 1)]), "home again");
    assert_everybody_hears_everybody(&mut world, &mut voices);
}

#[test]
fn flags_and_channels_are_kept_apart_across_relays() {
    let mut world = world(2, 2);
    let (chat, mut voices) = stage(&mut world, 4);
    let stranger = join(&mut world, chat, 9, OTHER_CHANNEL, AES);
    let sent = voices[0].speak(&mut world, b"hello");
    assert!(stranger.hear(&sent).is_empty());
    let flags = |deaf, mute| VoiceFlagsUpdate { deaf, mute, ..VoiceFlagsUpdate::default() };
    // Somebody at the other relay is deafened, and somebody here muted.
    let (target_of, deaf) = (target(&voices[3]), flags(Some(true), None));
    order(&mut world, Command::SetFlags { target: target_of, flags: deaf });
    let sent = voices[0].speak(&mut world, b"hello");
    assert_eq!(sent.len(), 2);
    assert!(voices[3].hear(&sent).is_empty());
    let (target_of, muted) = (target(&voices[0]), flags(None, Some(true)));
    order(&mut world, Command::SetFlags { target: target_of, flags: muted });
    assert!(voices[0].speak(&mut world, b"hello").is_empty());
    // Somebody who is moved away hears nobody of it any more, and is heard by nobody.
    let gone = voices.remove(2);
    let mut moved = join(&mut world, chat, gone.ticket.user, OTHER_CHANNEL, AES);
    let sent = voices[1].speak(&mut world, b"hello");
    assert_eq!(sent.len(), 1, "one is deafened and one has gone");
    assert_eq!(voices[0].hear(&sent).len(), 1);
    let sent = moved.speak(&mut world, b"hello");
    assert_eq!(sent.len(), 1);
    assert_eq!(stranger.hear(&sent).len(), 1);
}

#[test]
fn the_bitrate_of_a_channel_holds_at_every_relay() {
    let mut world = World::with(|config| {
        let at = |port| SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 7), port);
        config.relays = (50_000..50_002).map(at).collect();
        config.limits.legs_per_relay = 2;
        config.media.enforce_bitrate = true;
    });
    let (_, mut voices) = stage(&mut world, 4);
    let channel = ChannelId::new(CHANNEL).expect("not zero");
    let bitrate = Some(8_000);
    order(&mut world, Command::SetChannel { channel, guild: None, bitrate, token: None });
    for voice in &mut voices {
        let heard = (0..10).filter(|_| !voice.speak(&mut world, &[7; 1_000]).is_empty()).count();
        assert_eq!(heard, 4, "16,000 bits a second over two seconds, at {:?}", voice.relay);
    }
}
