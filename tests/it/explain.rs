//! Why somebody is not heard: what is explained is what becomes of a packet.

use std::time::Duration;

use lvsp_core::command::{Command, Target};
use lvsp_core::explain::{Explanation, Facts, explain};
use lvsp_core::ids::{ControlId, MemberId, UserId};
use lvsp_core::media::inspect::{LegView, Unserved};
use lvsp_core::server::{MemberState, MemberView};
use lvsp_core::wire::lvsp::VoiceFlagsUpdate;
use proptest::prelude::*;

use crate::lifecycle::AES;
use crate::people::{CHANNEL, OTHER_CHANNEL, Voice, chat_server, gateway, join, place, resume};
use crate::spread;
use crate::world::{HOST, World};

/// The member of a user.
pub(crate) fn member(world: &World, user: u64) -> MemberView {
    let mut all = world.server.member_views(None, None);
    all.find(|view| view.user.as_u64() == user).expect("the user is placed")
}

pub(crate) fn leg(world: &mut World, member: &MemberView) -> Option<LegView> {
    let session = member.session?;
    world.relay_of(session.relay).leg_view(session.leg)
}

pub(crate) fn explanation(world: &mut World, speaker: u64, listener: u64) -> Explanation {
    let (speaker, listener) = (member(world, speaker), member(world, listener));
    let (speaker_leg, listener_leg) = (leg(world, &speaker), leg(world, &listener));
    let (now, relay) = (world.now, listener.session.map(|session| session.relay));
    let behind = relay.is_some_and(|relay| world.relay_of(relay).is_behind(now));
    explain(&Facts {
        now: world.now,
        speaker: &speaker,
        speaker_leg: speaker_leg.as_ref(),
        listener: &listener,
        listener_leg: listener_leg.as_ref(),
        listener_relay_behind: behind,
        foreign_udp: world.server.foreign_udp(),
    })
}

/// The first step that is not as it must be.
pub(crate) fn first_bad(explanation: &Explanation) -> Option<&'static str> {
    explanation.steps.iter().find(|step| step.ok == Some(false)).map(|step| step.name)
}

pub(crate) fn set_flags(world: &mut World, user: u64, flags: VoiceFlagsUpdate) {
    let target = Target { user: UserId::new(user), ..Target::default() };
    let command = Command::SetFlags { target, flags };
    world.server.handle_command(world.now, ControlId(0), command).expect("the user is placed");
    world.pump();
}

/// What may happen to a member.
#[derive(Clone, Copy, Debug)]
enum Step {
    Mute(bool),
    Suppress(bool),
    SelfMute(bool),
    Deaf(bool),
    SelfDeaf(bool),
    /// Its gateway connection breaks.
    Cut,
    /// It takes its session up again.
    Resume,
    /// Somebody sends garbage in its name.
    Garbage,
    /// Its media comes from somewhere else.
    Move(u16),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        any::<bool>().prop_map(Step::Mute),
        any::<bool>().prop_map(Step::Suppress),
        any::<bool>().prop_map(Step::SelfMute),
        any::<bool>().prop_map(Step::Deaf),
        any::<bool>().prop_map(Step::SelfDeaf),
        Just(Step::Cut),
        Just(Step::Resume),
        Just(Step::Garbage),
        (1..4_u16).prop_map(Step::Move),
        (0..3_000_u64).prop_map(Step::Wait),
    ]
}

fn happen(world: &mut World, voice: &mut Voice, step: Step) {
    let user = voice.ticket.user;
    let none = VoiceFlagsUpdate::default();
    match step {
        Step::Mute(mute) => set_flags(world, user, VoiceFlagsUpdate { mute: Some(mute), ..none }),
        Step::Suppress(suppress) => {
            set_flags(world, user, VoiceFlagsUpdate { suppress: Some(suppress), ..none });
        }
        Step::SelfMute(self_mute) => {
            set_flags(world, user, VoiceFlagsUpdate { self_mute: Some(self_mute), ..none });
        }
        Step::Deaf(deaf) => set_flags(world, user, VoiceFlagsUpdate { deaf: Some(deaf), ..none }),
        Step::SelfDeaf(self_deaf) => {
            set_flags(world, user, VoiceFlagsUpdate { self_deaf: Some(self_deaf), ..none });
        }
        Step::Cut => {
            if member(world, user).state() == MemberState::Live {
                world.cut(voice.peer);
            }
        }
        Step::Resume => {
            if member(world, user).state() == MemberState::Detached {
                voice.peer = gateway(world, 8);
                let message = resume(&voice.ticket, Some(0));
                world.send(voice.peer, &message);
            }
        }
        Step::Garbage => {
            let mut packet = voice.packet(b"garbage");
            *packet.last_mut().expect("not empty") ^= 1;
            world.datagram_to(voice.relay, voice.address, packet);
        }
        Step::Move(port) => voice.address.set_port(30_000 + 10 * port + user as u16),
        Step::Wait(ms) => world.advance(Duration::from_millis(ms)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn who_is_explained_to_be_audible_is_whoever_is_heard(
        steps in prop::collection::vec((0..5_usize, step()), 0..30),
    ) {
        let mut world = spread::world(2, 2);
        let (chat, mut voices) = spread::stage(&mut world, 4);
        voices.push(join(&mut world, chat, 5, OTHER_CHANNEL, AES));
        for (at, step) in steps {
            happen(&mut world, &mut voices[at], step);
        }
        for speaker in 0..voices.len() {
            // What is copied is as old as this packet: the explanation is asked for behind it.
            let sent = voices[speaker].speak(&mut world, b"a frame");
            for listener in 0..voices.len() {
                let ids = [speaker, listener].map(|at| voices[at].ticket.user);
                let to = member(&world, ids[1]);
                let address = leg(&mut world, &to).and_then(|leg| leg.address);
                let heard = sent.iter().any(|(to, _)| Some(*to) == address);
                let explained = explanation(&mut world, ids[0], ids[1]);
                prop_assert_eq!(explained.audible, heard, "{:?}: {:#?}", ids, explained);
                prop_assert_eq!(first_bad(&explained).is_none(), heard);
            }
        }
    }
}

#[test]
fn somebody_who_is_silent_is_not_at_fault() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut one = join(&mut world, chat, 1, CHANNEL, AES);
    let _two = join(&mut world, chat, 2, CHANNEL, AES);
    let explained = explanation(&mut world, 1, 2);
    assert_eq!((explained.audible, first_bad(&explained)), (false, None));
    assert!(explained.summary.contains("has not said anything yet"), "{}", explained.summary);
    one.speak(&mut world, b"a frame");
    assert!(explanation(&mut world, 1, 2).audible);
    world.advance(Duration::from_secs(2));
    let explained = explanation(&mut world, 1, 2);
    assert_eq!((explained.audible, first_bad(&explained)), (false, None));
    assert!(explained.summary.contains("2000 ms ago"), "{}", explained.summary);
}

#[test]
fn a_listener_at_an_address_that_nothing_vouches_for_is_told_of_the_rule() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    let mut one = join(&mut world, chat, 1, CHANNEL, AES);
    let mut two = join(&mut world, chat, 2, CHANNEL, AES);
    // Its media comes from another host from now on; it says little and hears much.
    two.address = "203.0.113.99:5000".parse().expect("an address");
    assert_ne!(two.address.ip(), HOST);
    two.speak(&mut world, b"a frame");
    for _ in 0..10 {
        one.speak(&mut world, b"a frame");
    }
    let view = member(&world, 2);
    let listener = leg(&mut world, &view).expect("a leg");
    assert_eq!((listener.foreign, listener.unserved), (true, Some(Unserved::Uncovered)));
    let explained = explanation(&mut world, 1, 2);
    assert_eq!((explained.audible, first_bad(&explained)), (false, Some("address")));
    assert!(explained.summary.contains("three times what it sends"), "{}", explained.summary);
}

#[test]
fn members_are_told_page_by_page_and_their_ids_are_read_back() {
    let mut world = World::new();
    let chat = chat_server(&mut world);
    for user in 1..=7 {
        place(&mut world, chat, user, if user < 6 { CHANNEL } else { OTHER_CHANNEL });
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page: Vec<_> = world.server.member_views(after, None).take(3).collect();
        seen.extend(page.iter().map(|view| view.user.as_u64()));
        match page.last() {
            Some(last) => after = Some(last.id),
            None => break,
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    let other = member(&world, 7).channel;
    assert_eq!(world.server.member_views(None, Some(other)).count(), 2);
    let id = member(&world, 3).id;
    assert_eq!(MemberId::parse(&id.to_string()), Some(id));
    assert_eq!(world.server.member_view(id).map(|view| view.user), UserId::new(3));
    for text in ["", "-", "1", "1-", "+1-0", "01-0", "1-0 ", "1-0-0", "99999999999-0"] {
        assert_eq!(MemberId::parse(text), None, "{text:?}");
    }
    let channels: Vec<_> = world.server.channel_views(None).map(|view| view.members).collect();
    assert_eq!(channels, [5, 2]);
    let links: Vec<_> = world.server.control_views().collect();
    assert!(links[0].connected && links[0].since == Some(world.now), "{links:?}");
    world.cut(chat);
    world.advance(Duration::from_secs(5));
    let links: Vec<_> = world.server.control_views().collect();
    assert!(!links[0].connected && links[0].since < Some(world.now), "{links:?}");
}
