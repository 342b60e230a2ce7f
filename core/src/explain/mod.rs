//! Why one member does not hear another: the way of a packet, step by step, in words.
//!
//! It reads what `server::views` and `media::inspect` tell of both members, in the order in which a
//! packet meets it, and judges each step. Nothing is decided anew: flags are those that the control
//! plane folds into permissions, a copy's fate is what a fan-out finds. A step that nothing is known
//! of is neither good nor bad. Pure, as everything here: hosts ask the machines and bring the answers.

mod listener;
mod speaker;

use std::time::Duration;

use crate::config::ForeignUdp;
use crate::ids::RelayId;
use crate::media::inspect::LegView;
use crate::server::{MemberView, SessionView};
use crate::time::Timestamp;

/// Somebody who has sent nothing for so long is not talking, and what was lost before is over.
const TALK_GAP: Duration = Duration::from_millis(1_000);
/// A sender that lost its gateway connection, or whose client says that it speaks, and that is silent
/// for so long has gone or is cut off.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// Clients send a ping or a keepalive every five seconds.
const ALIVE_FOR: Duration = Duration::from_secs(15);

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
    /// Whether the listener's relay has more to do than it can
    /// ([`Relay::is_behind`](crate::media::Relay::is_behind)).
    pub listener_relay_behind: bool,
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
    /// Whether the listener hears what the speaker says, now, as far as the server can tell.
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
    /// Whether audio of the speaker came a moment ago that was more than silence.
    fn talks(&self) -> bool {
        self.speaker_leg.is_some_and(|leg| self.lately(leg.sounded_at))
    }

    /// Whether this was a moment ago.
    fn lately(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| self.now.since(at) < TALK_GAP)
    }

    fn since(&self, at: Timestamp) -> String {
        let ms = self.now.since(at).as_millis();
        if ms < 10_000 { format!("{ms} ms ago") } else { format!("{} s ago", ms / 1_000) }
    }

    fn channel(&self) -> Step {
        let (one, other) = (self.speaker, self.listener);
        if one.id == other.id {
            return bad("channel", "nobody is sent what they say themselves");
        }
        if one.room != other.room {
            return bad(
                "channel",
                format!(
                    "the speaker is in channel {}, the listener in channel {}{}: a moved client \
                     has to follow to its new channel",
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
        if self.listener_relay_behind {
            return bad(
                name,
                format!(
                    "relay {to_relay}, where the listener is, has more to do than it can and drops \
                     some of what relay {from_relay} hands it: look who else uses its processors; \
                     more relays (media.relays) use more of them"
                ),
            );
        }
        let unshared = self.speaker_leg.and_then(|leg| leg.last_unshared);
        if let Some((full, at)) = unshared
            && full.contains(to.relay)
            && self.lately(Some(at))
        {
            return bad(
                name,
                format!(
                    "relay {to_relay} had no room for what relay {from_relay} handed it, the last \
                     time {}: its thread does not come to it; look who else uses its processors",
                    self.since(at)
                ),
            );
        }
        match self.speaker_leg {
            Some(leg) if leg.others.contains(to.relay) => good(
                name,
                format!("relay {from_relay} hands what the speaker says to relay {to_relay}"),
            ),
            Some(_) => bad(
                name,
                format!(
                    "relay {from_relay} does not know yet that relay {to_relay} has legs of this \
                     channel: it is being told; if this stays, restart the server and report it"
                ),
            ),
            None => unknown(name, "the speaker has no leg on a relay"),
        }
    }
}

/// Somebody's session, if it has a key; otherwise what is wrong with it.
fn session(
    name: &'static str,
    who: &str,
    member: &MemberView,
    leg: Option<&LegView>,
) -> Result<SessionView, Step> {
    let Some(session) = member.session else {
        let why = format!(
            "the {who}'s voice client has not identified: it has not connected to \
             gateway.endpoint, or was refused there; the log and the count of close reasons say \
             more"
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
