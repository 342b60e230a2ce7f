//! `/v1/explain`: the step that fails is the one that was made to fail.

use lvsp_core::limits::Limits;
use lvsp_core::wire::lvsp::VoiceFlagsUpdate;

use crate::common::{CHANNEL, Voice, Way, dial, options};
use crate::site::{Site, figures};

#[test]
fn an_explanation_names_who_muted_a_speaker() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    site.expect_audible(&mut one, (10, 11));
    let none = VoiceFlagsUpdate::default;
    let both = (10, 11);
    site.chat.set_flags(10, VoiceFlagsUpdate { mute: Some(true), ..none() });
    site.expect(&mut [&mut one], both, ("mute", "the chat server muted the speaker"));
    let suppress = VoiceFlagsUpdate { mute: Some(false), suppress: Some(true), ..none() };
    site.chat.set_flags(10, suppress);
    site.expect(&mut [&mut one], both, ("mute", "suppress"));
    let own = VoiceFlagsUpdate { suppress: Some(false), self_mute: Some(true), ..none() };
    site.chat.set_flags(10, own);
    site.expect(&mut [&mut one], both, ("mute", "the speaker muted itself"));
    site.chat.set_flags(10, VoiceFlagsUpdate { self_mute: Some(false), ..none() });
    site.expect_audible(&mut one, both);
}

#[test]
fn an_explanation_names_who_deafened_a_listener() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    let none = VoiceFlagsUpdate::default;
    site.chat.set_flags(11, VoiceFlagsUpdate { deaf: Some(true), ..none() });
    site.expect(&mut [&mut one], (10, 11), ("deaf", "the chat server deafened the listener"));
    let own = VoiceFlagsUpdate { deaf: Some(false), self_deaf: Some(true), ..none() };
    site.chat.set_flags(11, own);
    site.expect(&mut [&mut one], (10, 11), ("deaf", "the listener deafened itself"));
}

#[test]
fn an_explanation_finds_datagrams_that_cannot_be_opened_and_sees_when_they_can() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    one.way = Way::Damaged;
    site.expect(&mut [&mut one], (10, 11), ("decrypt", "cannot be opened"));
    assert!(figures(site.admin)["lvsp_decrypt_failures_total{relay=\"0\"}"] > 0.0);
    one.way = Way::Open;
    site.expect_audible(&mut one, (10, 11));
    one.way = Way::Damaged;
    site.expect(&mut [&mut one], (10, 11), ("decrypt", "cannot be opened"));
}

#[test]
fn an_explanation_names_both_ssrcs_of_a_client_that_writes_a_wrong_one() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    one.way = Way::Stray;
    let said = format!("it sends SSRC 77 but its SSRC is {}", site.member(10)["ssrc"]);
    site.expect(&mut [&mut one], (10, 11), ("ssrc", &said));
    assert!(site.member(10)["drops"]["unknown_ssrc"].as_u64() > Some(0));
    one.way = Way::Open;
    site.expect_audible(&mut one, (10, 11));
}

#[test]
fn an_explanation_finds_clients_whose_datagrams_never_arrive() {
    let mut site = Site::new();
    let (mut one, mut other) = (site.joined(10), site.client(11));
    other.way = Way::Closed;
    site.expect(&mut [&mut other], (11, 10), ("socket", "no datagram of the speaker"));
    assert_eq!(site.member(11)["state"], "identified");
    let said = "nobody knows where to send to";
    site.expect(&mut [&mut one, &mut other], (10, 11), ("address", said));
    let _never = site.client(12);
    site.expect(&mut [&mut one], (12, 10), ("session", "has not identified"));
    assert_eq!(site.member(12)["state"], "waiting");
}

#[test]
fn an_explanation_sees_different_channels_and_oneself() {
    let mut site = Site::new();
    let (mut one, _other) = (site.joined(10), site.joined(11));
    site.expect(&mut [&mut one], (10, 10), ("channel", "nobody is sent what they say"));
    let ticket = site.chat.place_in(CHANNEL + 1, 12);
    let mut third = Voice::new(dial(site.gateway), ticket);
    third.join();
    site.expect(&mut [&mut one], (10, 12), ("channel", "the listener in channel 78"));
}

#[test]
fn an_explanation_finds_a_speaker_whose_network_is_gone() {
    let mut site = Site::new();
    let (one, _other) = (site.joined(10), site.joined(11));
    drop(one);
    site.expect(&mut [], (10, 11), ("session", "its media is silent"));
    assert_eq!(site.member(10)["state"], "detached");
    assert_eq!(site.json("/v1/status")["resumes"]["resumed"], 0);
}

#[test]
fn an_explanation_crosses_relays() {
    let mut options = options(None);
    options.relays = 2;
    options.limits = Limits { legs_per_relay: 2, ..options.limits };
    let mut site = Site::with(options);
    let (mut one, _two, _three) = (site.joined(10), site.joined(11), site.joined(12));
    assert_ne!(site.member(10)["relay"], site.member(12)["relay"]);
    site.expect_audible(&mut one, (10, 12));
    let steps = site.explain(10, 12)["steps"].as_array().unwrap().clone();
    let relays = steps.iter().find(|step| step["name"] == "relays").unwrap();
    assert!(relays["detail"].as_str().unwrap().contains("hands what the speaker says"), "{relays}");
    // By the users' own ids as well.
    let by_users = site.json("/v1/explain?speaker=10&listener=12");
    let channel = steps.iter().position(|step| step["name"] == "channel").unwrap();
    assert_eq!(by_users["steps"][channel], steps[channel], "{by_users}");
}
