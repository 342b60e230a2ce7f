//! The speaker's half of the way: from its socket to a packet that is to be forwarded.

use super::{Facts, GONE_AFTER, Step, bad, good, relay, session, unknown};
use crate::media::inspect::LastDrop;
use crate::reasons::DropReason;
use crate::wire::lvsp::VoiceFlags;

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

impl Facts<'_> {
    pub(super) fn session(&self) -> Step {
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

    pub(super) fn socket(&self) -> Step {
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

    pub(super) fn last_packet(&self) -> Step {
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
    pub(super) fn last_failure(&self) -> Option<LastDrop> {
        let leg = self.speaker_leg?;
        leg.last_drop.filter(|drop| leg.figures.last_heard.is_none_or(|heard| drop.at > heard))
    }

    pub(super) fn decrypt(&self) -> Step {
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

    pub(super) fn ssrc(&self) -> Step {
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

    pub(super) fn speaking(&self) -> Step {
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

    pub(super) fn mute(&self) -> Step {
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
    pub(super) fn accepted(&self) -> Step {
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
}
