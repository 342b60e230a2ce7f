//! The speaker's half of the way: from its socket to a packet that is to be forwarded.

use super::{ALIVE_FOR, Facts, GONE_AFTER, Step, bad, good, relay, session, unknown};
use crate::ids::Ssrc;
use crate::media::inspect::{LastDrop, LegView};
use crate::reasons::DropReason;
use crate::time::Timestamp;
use crate::wire::lvsp::VoiceFlags;

/// Why a packet of the speaker's own goes no further although it can be opened, and what to do.
const REFUSALS: [(DropReason, &str); 7] = [
    (
        DropReason::PayloadType,
        "they are not Opus, or carry another of its SSRCs, as video does: only audio is relayed",
    ),
    (DropReason::TooLarge, "they are larger than limits.payload_bytes, and than any frame of Opus"),
    (
        DropReason::RateLimited,
        "it sends more than limits.sender_packets_per_s and limits.sender_bps allow: its client \
         plays too fast, or two play at once",
    ),
    (
        DropReason::OverBitrate,
        "it sends more than twice its channel's bitrate, which media.enforce_bitrate forbids",
    ),
    (DropReason::Replayed, BEGUN_ANEW),
    (DropReason::TooOld, BEGUN_ANEW),
    (
        DropReason::Behind,
        "its relay has more to do than it can: look who else uses its processors; more relays \
         (media.relays) use more of them",
    ),
];
const BEGUN_ANEW: &str = "their sequence numbers were there before: its client began anew without \
                          a new key; let it join anew";

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
                "the speaker's gateway connection was lost {since} and its media is silent: its \
                 client or its network is gone; it may resume, or identify anew, until its session \
                 ends"
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
                    "no datagram of the speaker has ever come to relay {}: its client cannot reach \
                     the media port; open the UDP port in every firewall and NAT on the way, and \
                     check that media.public_ip is an address that clients reach",
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
        let figures = &leg.figures;
        // What else is wrong with packets that come a later step says.
        let comes = figures.last_heard.filter(|_| self.lately(figures.last_heard));
        if let Some(at) = comes.filter(|_| self.talks() || !self.lately(leg.accepted_at)) {
            return good(
                name,
                format!(
                    "audio came {}; {} packets in all, {} lost, jitter {} ms",
                    self.since(at),
                    figures.packets_in,
                    figures.lost,
                    figures.jitter.as_millis()
                ),
            );
        }
        let found = self.silence(leg);
        match self.speaks_in_vain(leg) {
            Some(since) => bad(
                name,
                format!(
                    "the speaker's client said {} that it speaks, but {found}; {}",
                    self.since(since),
                    self.way_of_silence(leg, comes.is_some())
                ),
            ),
            None => unknown(name, found),
        }
    }

    /// What comes of somebody who does not talk.
    fn silence(&self, leg: &LegView) -> String {
        let muted =
            if self.speaker.permissions.speak { "" } else { ", as it is of somebody who is muted" };
        match (leg.figures.last_heard, leg.last_drop) {
            (Some(at), _) if self.lately(Some(at)) => format!(
                "only frames of silence come of it, the last one {}: its microphone is off, or its \
                 player has nothing to play{muted}",
                self.since(at)
            ),
            (Some(at), _) => format!(
                "the speaker's last audio came {}: it is not talking, or its microphone is \
                 off{muted}",
                self.since(at)
            ),
            (None, Some(LastDrop { reason, at })) => format!(
                "datagrams of the speaker came, the last one {}, but none could be taken for its \
                 audio ({})",
                self.since(at),
                reason.name()
            ),
            (None, None) => "the speaker has not said anything yet".to_owned(),
        }
    }

    /// Since when its client says that it speaks, if nothing has come of it for too long since then and
    /// nothing was dropped that another step speaks of.
    fn speaks_in_vain(&self, leg: &LegView) -> Option<Timestamp> {
        let session = self.speaker.session.as_ref().filter(|_| self.speaker.permissions.speak)?;
        let said =
            session.stated_at.filter(|_| session.stated != 0 && session.detached.is_none())?;
        let dropped = leg.last_drop.map(|last| last.at);
        let last = leg.sounded_at.max(dropped).map_or(said, |at| at.max(said));
        (self.now.since(last) >= GONE_AFTER).then_some(said)
    }

    /// Whether its datagrams find their way, and what is to be done.
    fn way_of_silence(&self, leg: &LegView, silence_comes: bool) -> String {
        let open = if silence_comes {
            "the way is open".to_owned()
        } else if let Some(at) = leg.alive_at.filter(|at| self.now.since(*at) < ALIVE_FOR) {
            format!("its pings or keepalives do come, the last one {}", self.since(at))
        } else {
            return "nothing else of it comes either: its datagrams are lost on the way (a \
                    firewall, a NAT that forgot it, a VPN), or its client does not say when it \
                    stops"
                .to_owned();
        };
        format!(
            "{open}: look at its microphone or its player, unless it does not say when it stops"
        )
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
                    "the speaker's datagrams cannot be opened, the last one {at}, {failures} in \
                     all: they are not sealed under its key in {}; its client uses an old key or \
                     another mode: let it join anew, and update its library if that does not help",
                    mode.name()
                ),
            ),
            (Some((DropReason::NoKey, at)), _) => bad(
                name,
                format!(
                    "the speaker sent audio before it had a key, the last {at}: its client has not \
                     sent Select Protocol"
                ),
            ),
            (Some((DropReason::Malformed, at)), _) => bad(
                name,
                format!(
                    "the speaker's datagrams are not whole RTP packets, the last one {at}: a \
                     broken client, or a network that cuts large datagrams"
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
        let heard = leg.figures.last_heard;
        let strays = self.last_failure().is_some_and(|drop| drop.reason == DropReason::UnknownSsrc);
        if let Some(Ssrc(stray)) = leg.stray.filter(|_| strays && !self.lately(heard)) {
            return bad(
                "ssrc",
                format!(
                    "it sends SSRC {stray} but its SSRC is {ssrc}, as Ready told it, and nobody \
                     has the other one: {} packets were dropped; its client goes on with the \
                     number of an earlier session, or its library is broken: let it join anew, and \
                     update it if that does not help",
                    leg.figures.drops.of(DropReason::UnknownSsrc)
                ),
            );
        }
        if heard.is_some() {
            return good("ssrc", format!("the speaker's packets carry its SSRC {ssrc}"));
        }
        unknown(
            "ssrc",
            format!(
                "no packet with the speaker's SSRC {ssrc} was opened; whoever writes another one, \
                 and from another address than the one that is known, is counted as unknown_ssrc \
                 alone"
            ),
        )
    }

    pub(super) fn speaking(&self) -> Step {
        let name = "speaking";
        let Some(session) = &self.speaker.session else {
            return unknown(name, "the speaker's client has not identified");
        };
        if !self.speaker.is_announced {
            return unknown(name, "nobody is told the SSRC of somebody who may not speak");
        }
        let Some(announced) = session.announced else {
            return unknown(name, "the others are told the speaker's SSRC when it has its key");
        };
        let ssrc = session.ssrc.0;
        let lost = self.listener.session.and_then(|session| session.detached);
        if let Some(lost) = lost.filter(|lost| *lost < announced) {
            return bad(
                name,
                format!(
                    "the listener has not been told whose SSRC {ssrc} is, and clients drop audio \
                     that they cannot name: its gateway connection was lost {}, and the speaker \
                     came {}; it is told when it resumes: look at the listener's connection",
                    self.since(lost),
                    self.since(announced)
                ),
            );
        }
        if session.told != 0 {
            return good(name, format!("the others know the speaker as SSRC {ssrc}"));
        }
        let why = if session.stated_at.is_some() {
            "its client says that it does not speak, which changes the sign at its name alone"
        } else {
            "its client has not said that it speaks, which its first packet says for it"
        };
        unknown(name, format!("the others know the speaker's SSRC {ssrc}; {why}"))
    }

    pub(super) fn mute(&self) -> Step {
        let VoiceFlags { mute, suppress, self_mute, .. } = self.speaker.flags;
        let by_whom = if mute {
            "the chat server muted the speaker (mute, a moderator's): it has to unmute it"
        } else if suppress {
            "the chat server lets the speaker listen only (suppress, the audience of a stage): it \
             has to invite it to speak"
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
            .map(|(reason, _)| (reason.name(), leg.figures.drops.of(*reason)))
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let (taken, dropped) = (leg.figures.packets_in, dropped.join(", "));
        let last = leg.last_drop.filter(|last| self.tells(leg, *last));
        let advice = |of: DropReason| REFUSALS.iter().find(|(reason, _)| *reason == of);
        if let Some(LastDrop { reason, at }) = last
            && let Some((_, advice)) = advice(reason)
        {
            return bad(
                name,
                format!(
                    "packets of the speaker are dropped, the last one {} ({}): {advice}; {taken} \
                     were taken since it joined, and dropped: {dropped}",
                    self.since(at),
                    reason.name()
                ),
            );
        }
        match (taken, dropped.is_empty()) {
            (0, true) => unknown(name, "no packet of the speaker has come so far"),
            (0, false) => bad(
                name,
                format!(
                    "every packet of the speaker was dropped: {dropped}; its client sends what is \
                     not relayed, or more than limits allow"
                ),
            ),
            (_, true) => {
                good(name, "no packet of the speaker was dropped by a limit or as a repetition")
            }
            (_, false) => unknown(
                name,
                format!(
                    "{taken} packets of the speaker were taken; dropped since it joined, none of \
                     them a moment ago or for long: {dropped}"
                ),
            ),
        }
    }

    /// Whether a packet that was refused a moment ago says that something is wrong. A network doubles
    /// packets now and then, and other things than audio are refused beside it: these do only while
    /// nothing is accepted.
    fn tells(&self, leg: &LegView, LastDrop { reason, at }: LastDrop) -> bool {
        let of_audio = matches!(
            reason,
            DropReason::RateLimited | DropReason::OverBitrate | DropReason::Behind
        );
        self.lately(Some(at)) && (of_audio || !self.lately(leg.accepted_at))
    }
}
