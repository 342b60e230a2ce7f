//! Why one member does not hear another: the way of a packet, step by step, in words.
//!
//! It reads what `server::views` and `media::inspect` tell of both members, in the order in which a
//! packet meets it, and judges each step. Nothing is decided anew: flags are those that the control
//! plane folds into permissions, a copy's fate is what a fan-out finds. A step that nothing is known
//! of is neither good nor bad. Pure, as everything here: hosts ask the machines and bring the answers.

use std::time::Duration;

use crate::config::ForeignUdp;
use crate::ids::RelayId;
use crate::media::inspect::{LastDrop, LegView, Unserved};
use crate::reasons::DropReason;
use crate::server::{MemberView, SessionView};
use crate::stats::RelayStats;
use crate::time::Timestamp;
use crate::wire::lvsp::VoiceFlags;

/// Somebody who has sent nothing for so long is not talking.
pub const TALK_GAP: Duration = Duration::from_millis(1_000);
/// A sender that lost its gateway connection and is silent for so long has gone itself.
const GONE_AFTER: Duration = Duration::from_secs(5);

/// What is known of the two at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// When it was asked; the clock of the relays.
    pub now: Timestamp,
    /// Who speaks.
    pub speaker: &'a MemberView,
    /// The speaker's leg, if it has one.
    pub speaker_leg: Option<&'a LegView>,
    /// Who is to hear.
    pub listener: &'a MemberView,
    /// The listener's leg, if it has one.
    pub listener_leg: Option<&'a LegView>,
    /// What the listener's relay has done.
    pub listener_relay: Option<&'a RelayStats>,
    /// What an address gets that a gateway connection does not vouch for.
    pub foreign_udp: ForeignUdp,
}

/// One step on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Its name, which stays the same.
    pub name: &'static str,
    /// Whether it is as it must be; `None` where nothing can be said.
    pub ok: Option<bool>,
    /// What was found, and what to do about it.
    pub detail: String,
}

/// The whole way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Whether the listener is sent what the speaker says, now.
    pub audible: bool,
    /// The answer in one sentence: what the first bad step found.
    pub summary: String,
    /// Every step, in the order of a packet.
    pub steps: Vec<Step>,
}

/// Walks the way of a packet from a speaker to a listener.
#[must_use]
pub fn explain(facts: &Facts<'_>) -> Explanation {
    let steps = vec![
        facts.session(),
        facts.socket(),
        facts.last_packet(),
        facts.decrypt(),
        facts.ssrc(),
        facts.speaking(),
        facts.mute(),
        facts.accepted(),
        facts.channel(),
        facts.relays(),
        facts.listener_session(),
        facts.address(),
        facts.deaf(),
        facts.key(),
        facts.send(),
    ];
    let bad = steps.iter().find(|step| step.ok == Some(false));
    let audible = bad.is_none() && facts.talks();
    let summary = match bad {
        Some(step) => format!("Not heard ({}): {}", step.name, step.detail),
        None if audible => "Heard: every step is as it must be.".to_owned(),
        None => format!("Nothing to hear: {}", facts.last_packet().detail),
    };
    Explanation { audible, summary, steps }
}

impl Facts<'_> {
    /// Whether audio of the speaker came a moment ago.
    fn talks(&self) -> bool {
        let heard = self.speaker_leg.and_then(|leg| leg.figures.last_heard);
        heard.is_some_and(|at| self.now.since(at) < TALK_GAP)
    }

    fn since(&self, at: Timestamp) -> String {
        let ms = self.now.since(at).as_millis();
        if ms < 10_000 { format!("{ms} ms ago") } else { format!("{} s ago", ms / 1_000) }
    }

    // --- the speaker ---

    fn session(&self) -> Step {
        let session = match session("session", "speaker", self.speaker, self.speaker_leg) {
            Ok(session) => session,
            Err(step) => return step,
        };
        let Some(since) = session.detached else {
            return good("session", "the speaker's client is connected and has its key");
        };
        let since = self.since(since);
        let last = self.speaker_leg.and_then(|leg| leg.figures.last_heard);
        if last.is_some_and(|at| self.now.since(at) < GONE_AFTER) {
            let goes_on = "the speaker's gateway connection was lost, its media goes on; lost";
            return unknown("session", format!("{goes_on} {since}"));
        }
        bad(
            "session",
            format!(
                "the speaker's gateway connection was lost {since} and its media is silent: its client \
                 or its network is gone; it may resume, or identify anew, until its session ends"
            ),
        )
    }

    fn socket(&self) -> Step {
        let Some(leg) = self.speaker_leg else {
            return unknown("socket", "the speaker has no leg on a relay");
        };
        if !leg.has_sent() {
            return bad(
                "socket",
                format!(
                    "no datagram of the speaker has ever come to relay {}: its client cannot reach the \
                 media port; open the UDP port in every firewall and NAT on the way, and check that \
                 media.public_ip is an address that clients reach",
                    relay(self.speaker)
                ),
            );
        }
        match leg.address {
            Some(address) => good("socket", format!("the speaker's media is at {address}")),
            None => good("socket", "a discovery request of the speaker came"),
        }
    }

    fn last_packet(&self) -> Step {
        let name = "last packet";
        let Some(leg) = self.speaker_leg else {
            return unknown(name, "the speaker has no leg on a relay");
        };
        let muted = !self.speaker.permissions.speak;
        match leg.figures.last_heard {
            Some(at) if self.talks() => good(
                name,
                format!(
                    "audio came {}; {} packets in all, {} lost, jitter {} ms",
                    self.since(at),
                    leg.figures.packets_in,
                    leg.figures.lost,
                    leg.figures.jitter.as_millis()
                ),
            ),
            Some(at) => unknown(
                name,
                format!(
                    "the speaker's last audio came {}: it is not talking, or its microphone is off{}",
                    self.since(at),
                    if muted { ", as it is of somebody who is muted" } else { "" }
                ),
            ),
            None => match leg.last_drop {
                Some(LastDrop { reason, at }) => unknown(
                    name,
                    format!(
                        "datagrams of the speaker came, the last one {}, but none could be taken for its \
                     audio ({})",
                        self.since(at),
                        reason.name()
                    ),
                ),
                None => unknown(name, "the speaker has not said anything yet"),
            },
        }
    }

    /// Its last packet failed, and no good one came behind it.
    fn last_failure(&self) -> Option<LastDrop> {
        let leg = self.speaker_leg?;
        leg.last_drop.filter(|drop| leg.figures.last_heard.is_none_or(|heard| drop.at > heard))
    }

    fn decrypt(&self) -> Step {
        let name = "decrypt";
        let Some(leg) = self.speaker_leg else {
            return unknown(name, "the speaker has no leg on a relay");
        };
        let failures = leg.figures.drops.of(DropReason::Unauthentic);
        let failed = self.last_failure().map(|drop| (drop.reason, self.since(drop.at)));
        match (failed, leg.mode) {
            (Some((DropReason::Unauthentic, at)), Some(mode)) => bad(
                name,
                format!(
                    "the speaker's datagrams cannot be opened, the last one {at}, {failures} in all: they \
                 are not sealed under its key in {}; its client uses an old key or another mode: let it \
                 join anew, and update its library if that does not help",
                    mode.name()
                ),
            ),
            (Some((DropReason::NoKey, at)), _) => bad(
                name,
                format!(
                    "the speaker sent audio before it had a key, the last {at}: its client has not sent \
                 Select Protocol"
                ),
            ),
            (Some((DropReason::Malformed, at)), _) => bad(
                name,
                format!(
                    "the speaker's datagrams are not whole RTP packets, the last one {at}: a broken client, \
                 or a network that cuts large datagrams"
                ),
            ),
            (Some((DropReason::NonceCollision, at)), _) => bad(
                name,
                format!("the speaker's nonces met the server's {at}: its session is being renewed"),
            ),
            (_, None) => unknown(name, "the speaker has no key yet"),
            (_, Some(_)) if leg.figures.last_heard.is_none() => {
                unknown(name, "nothing of the speaker's has come to be opened")
            }
            (_, Some(mode)) => good(
                name,
                format!(
                    "the speaker's packets are opened in {}; {failures} failed since it joined",
                    mode.name()
                ),
            ),
        }
    }

    fn ssrc(&self) -> Step {
        let Some(leg) = self.speaker_leg else {
            return unknown("ssrc", "the speaker has no leg on a relay");
        };
        let ssrc = leg.ssrc.0;
        if leg.figures.last_heard.is_some() {
            return good("ssrc", format!("the speaker's packets carry its SSRC {ssrc}"));
        }
        unknown(
            "ssrc",
            format!(
                "no packet with the speaker's SSRC {ssrc} was opened; a client that writes another one is \
             counted as unknown_ssrc alone"
            ),
        )
    }

    fn speaking(&self) -> Step {
        let Some(session) = &self.speaker.session else {
            return unknown("speaking", "the speaker's client has not identified");
        };
        if !self.speaker.is_announced {
            return unknown("speaking", "nobody is told the SSRC of somebody who may not speak");
        }
        if session.told != 0 {
            return good(
                "speaking",
                format!("the others know the speaker as SSRC {}", session.ssrc.0),
            );
        }
        unknown(
            "speaking",
            format!(
                "the others know the speaker's SSRC {}; its client has not said that it speaks, which its \
             first packet says for it",
                session.ssrc.0
            ),
        )
    }

    fn mute(&self) -> Step {
        let VoiceFlags { mute, suppress, self_mute, .. } = self.speaker.flags;
        let by_whom = if mute {
            "the chat server muted the speaker (mute, a moderator's): it has to unmute it"
        } else if suppress {
            "the chat server lets the speaker listen only (suppress, the audience of a stage): it has to \
             invite it to speak"
        } else if self_mute {
            "the speaker muted itself (self_mute, in its own client)"
        } else if self.speaker_leg.is_some_and(|leg| !leg.permissions.speak) {
            return unknown(
                "mute",
                "the speaker was unmuted a moment ago; its relay is being told",
            );
        } else {
            return good("mute", "the speaker may speak: no mute, no suppress, no self_mute");
        };
        bad("mute", by_whom)
    }

    /// What is checked of an opened packet before it is forwarded.
    fn accepted(&self) -> Step {
        let name = "accepted";
        let Some(leg) = self.speaker_leg else {
            return unknown(name, "the speaker has no leg on a relay");
        };
        let dropped: Vec<_> = REFUSALS
            .iter()
            .map(|reason| (reason.name(), leg.figures.drops.of(*reason)))
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        if leg.figures.packets_in == 0 && !dropped.is_empty() {
            return bad(
                name,
                format!(
                    "every packet of the speaker was dropped: {}; its client sends what is not relayed, or \
                 more than limits allow",
                    dropped.join(", ")
                ),
            );
        }
        if leg.figures.packets_in == 0 {
            return unknown(name, "no packet of the speaker has come so far");
        }
        if dropped.is_empty() {
            return good(
                name,
                "no packet of the speaker was dropped by a limit or as a repetition",
            );
        }
        unknown(
            name,
            format!(
                "{} packets of the speaker were taken; dropped since it joined: {}",
                leg.figures.packets_in,
                dropped.join(", ")
            ),
        )
    }

    // --- between them ---

    fn channel(&self) -> Step {
        let (one, other) = (self.speaker, self.listener);
        if one.id == other.id {
            return bad("channel", "nobody is sent what they say themselves");
        }
        if one.room != other.room {
            return bad(
                "channel",
                format!(
                    "the speaker is in channel {}, the listener in channel {}{}: a moved client has to \
                 follow to its new channel",
                    one.channel,
                    other.channel,
                    if one.client == other.client { "" } else { " of another chat server" }
                ),
            );
        }
        good("channel", format!("both are in channel {}", one.channel))
    }

    fn relays(&self) -> Step {
        let name = "relays";
        let (Some(from), Some(to)) = (&self.speaker.session, &self.listener.session) else {
            return unknown(name, "one of them has no session");
        };
        if from.relay == to.relay {
            return good(name, format!("both are on relay {}", from.relay.0));
        }
        let RelayId(from_relay) = from.relay;
        let RelayId(to_relay) = to.relay;
        if self.speaker.room != self.listener.room {
            return unknown(name, format!("they are on relays {from_relay} and {to_relay}"));
        }
        match self.speaker_leg {
            Some(leg) if leg.others.contains(to.relay) => good(
                name,
                format!("relay {from_relay} hands what the speaker says to relay {to_relay}"),
            ),
            Some(_) => bad(
                name,
                format!(
                    "relay {from_relay} does not know yet that relay {to_relay} has legs of this channel: \
                 it is being told; if this stays, restart the server and report it"
                ),
            ),
            None => unknown(name, "the speaker has no leg on a relay"),
        }
    }

    // --- the listener ---

    fn listener_session(&self) -> Step {
        let session =
            match session("listener session", "listener", self.listener, self.listener_leg) {
                Ok(session) => session,
                Err(step) => return step,
            };
        let name = "listener session";
        let Some(since) = session.detached else {
            return good(name, "the listener's client is connected and has its key");
        };
        unknown(
            name,
            format!(
                "the listener's gateway connection was lost {}; copies are sent to where it was, but its \
                 client may be gone",
                self.since(since)
            ),
        )
    }

    fn address(&self) -> Step {
        let name = "address";
        let Some(leg) = self.listener_leg else {
            return unknown(name, "the listener has no leg on a relay");
        };
        let rule = match self.foreign_udp {
            ForeignUdp::Guarded => "guarded",
            ForeignUdp::Strict => "strict",
            ForeignUdp::Open => "open",
        };
        let Some(address) = leg.address else {
            if leg.last_drop.is_some_and(|drop| drop.reason == DropReason::ForeignAddress) {
                return bad(
                    name,
                    format!(
                        "the listener's discovery requests come from an address that its gateway connection \
                     does not vouch for, and media.foreign_udp = \"{rule}\" refuses them (M9): behind a \
                     proxy it has to pass client addresses on (see \"Behind a proxy\" in docs/operating.md); otherwise \
                     \"guarded\" or \"open\" serves such clients"
                    ),
                );
            }
            return bad(
                name,
                format!(
                    "no discovery request or audio of the listener has come to relay {}, so nobody knows \
                 where to send to: its client cannot reach the media port, or does not do IP discovery; \
                 check the UDP port on the way and media.public_ip",
                    relay(self.listener)
                ),
            );
        };
        if leg.unserved == Some(Unserved::Uncovered) {
            return bad(
                name,
                format!(
                    "the listener's media comes from {address}, which its gateway connection does not vouch \
                 for: under media.foreign_udp = \"{rule}\" it gets three times what it sends (M9), and it \
                 sends too little; behind a proxy it has to pass client addresses on \
                 (see \"Behind a proxy\" in docs/operating.md), or media.foreign_udp = \"open\" lifts the rule"
                ),
            );
        }
        if leg.foreign {
            return unknown(
                name,
                format!(
                    "the listener is served at {address}, which its gateway connection does not vouch for, as \
                 far as it sends itself (M9)"
                ),
            );
        }
        good(name, format!("the listener is served at {address}"))
    }

    fn deaf(&self) -> Step {
        let VoiceFlags { deaf, self_deaf, .. } = self.listener.flags;
        if deaf {
            let moderator =
                "the chat server deafened the listener (deaf, a moderator's): it has to lift it";
            return bad("deaf", moderator);
        }
        if self_deaf {
            return bad("deaf", "the listener deafened itself (self_deaf, in its own client)");
        }
        if self.listener_leg.is_some_and(|leg| leg.unserved == Some(Unserved::Deaf)) {
            return unknown(
                "deaf",
                "the listener was undeafened a moment ago; its relay is being told",
            );
        }
        good("deaf", "the listener may hear: neither deaf nor self_deaf")
    }

    fn key(&self) -> Step {
        let Some(leg) = self.listener_leg else {
            return unknown("key", "the listener has no leg on a relay");
        };
        if let Some(spent) = leg.spent {
            return bad(
                "key",
                format!(
                    "the listener's key seals no more ({}): its session is being renewed, after which its \
                 client identifies anew",
                    spent.name()
                ),
            );
        }
        match leg.mode {
            Some(mode) => good(
                "key",
                format!(
                    "the listener's copies are sealed in {}; {} packets under this key",
                    mode.name(),
                    leg.sealed
                ),
            ),
            None => bad("key", "the listener has no key: its client has not sent Select Protocol"),
        }
    }

    fn send(&self) -> Step {
        let (Some(leg), Some(stats)) = (self.listener_leg, self.listener_relay) else {
            return unknown("send", "the listener has no leg on a relay");
        };
        let lost: Vec<_> = SEND_DROPS
            .iter()
            .map(|reason| (reason.name(), stats.drops.of(*reason)))
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let sent = leg.figures.packets_out;
        if lost.is_empty() {
            return good(
                "send",
                format!("{sent} copies were sent to the listener, none was refused"),
            );
        }
        unknown(
            "send",
            format!(
                "{sent} copies were sent to the listener; of all that its relay had to send since it started \
             were dropped: {}",
                lost.join(", ")
            ),
        )
    }
}

/// Why an opened packet goes no further.
const REFUSALS: [DropReason; 7] = [
    DropReason::PayloadType,
    DropReason::TooLarge,
    DropReason::RateLimited,
    DropReason::OverBitrate,
    DropReason::Replayed,
    DropReason::TooOld,
    DropReason::Behind,
];

/// Why a copy is not sent.
const SEND_DROPS: [DropReason; 4] =
    [DropReason::SocketFull, DropReason::TooLate, DropReason::Behind, DropReason::NotHandedOver];

/// Somebody's session, if it has a key; otherwise what is wrong with it.
fn session(
    name: &'static str,
    who: &str,
    member: &MemberView,
    leg: Option<&LegView>,
) -> Result<SessionView, Step> {
    let Some(session) = member.session else {
        let why = format!(
            "the {who}'s voice client has not identified: it has not connected to gateway.endpoint, or \
             was refused there; the log and the count of close reasons say more"
        );
        return Err(bad(name, why));
    };
    if session.is_live {
        return Ok(session);
    }
    let no_key = format!("the {who}'s client has identified but not sent Select Protocol");
    if leg.is_some_and(|leg| !leg.has_sent()) {
        // What it waits for is a step of its own.
        let why = "it waits for the answer to its discovery request, which has not come";
        return Err(unknown(name, format!("{no_key}: {why}")));
    }
    let why = "its discovery request was answered, but the answer may not have reached it";
    Err(bad(name, format!("{no_key}, so that it has no key: {why}; check the way back of UDP")))
}

fn relay(member: &MemberView) -> u16 {
    member.session.map_or(0, |session| session.relay.0)
}

fn good(name: &'static str, detail: impl Into<String>) -> Step {
    Step { name, ok: Some(true), detail: detail.into() }
}

fn bad(name: &'static str, detail: impl Into<String>) -> Step {
    Step { name, ok: Some(false), detail: detail.into() }
}

fn unknown(name: &'static str, detail: impl Into<String>) -> Step {
    Step { name, ok: None, detail: detail.into() }
}
