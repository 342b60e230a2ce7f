//! The listener's half of the way: from a packet that is to be forwarded to a copy that is sent.

use super::{Facts, Step, bad, good, relay, session, unknown};
use crate::config::ForeignUdp;
use crate::media::inspect::Unserved;
use crate::reasons::DropReason;
use crate::wire::lvsp::VoiceFlags;

impl Facts<'_> {
    pub(super) fn listener_session(&self) -> Step {
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
                "the listener's gateway connection was lost {}; copies are sent to where it was, \
                 but its client may be gone",
                self.since(since)
            ),
        )
    }

    pub(super) fn address(&self) -> Step {
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
                        "the listener's discovery requests come from an address that its gateway \
                         connection does not vouch for, and media.foreign_udp = \"{rule}\" refuses \
                         them: behind a proxy it has to pass client addresses on, and be named in \
                         gateway.trusted_proxies; otherwise \"guarded\" or \"open\" serves such \
                         clients"
                    ),
                );
            }
            return bad(
                name,
                format!(
                    "no discovery request or audio of the listener has come to relay {}, so nobody \
                     knows where to send to: its client cannot reach the media port, or does not \
                     do IP discovery; check the UDP port on the way and media.public_ip",
                    relay(self.listener)
                ),
            );
        };
        let uncovered = leg.last_unsent.filter(|last| last.reason == DropReason::ForeignAddress);
        if leg.unserved == Some(Unserved::Uncovered) || self.lately(uncovered.map(|last| last.at)) {
            return bad(
                name,
                format!(
                    "the listener's media comes from {address}, which its gateway connection does \
                     not vouch for: under media.foreign_udp = \"{rule}\" it gets three times what \
                     it sends, and it sends too little; behind a proxy it has to pass client \
                     addresses on, and be named in gateway.trusted_proxies, or media.foreign_udp = \
                     \"open\" lifts the rule"
                ),
            );
        }
        if leg.foreign {
            return unknown(
                name,
                format!(
                    "the listener is served at {address}, which its gateway connection does not \
                     vouch for, as far as it sends itself: three times that"
                ),
            );
        }
        good(name, format!("the listener is served at {address}"))
    }

    pub(super) fn deaf(&self) -> Step {
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

    pub(super) fn key(&self) -> Step {
        let Some(leg) = self.listener_leg else {
            return unknown("key", "the listener has no leg on a relay");
        };
        if let Some(spent) = leg.spent {
            return bad(
                "key",
                format!(
                    "the listener's key seals no more ({}): its session is being renewed, after \
                     which its client identifies anew",
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

    pub(super) fn send(&self) -> Step {
        let name = "send";
        let Some(leg) = self.listener_leg else {
            return unknown(name, "the listener has no leg on a relay");
        };
        let figures = &leg.figures;
        let sent = figures.packets_out;
        let [refused, late] =
            [DropReason::SocketFull, DropReason::TooLate].map(|reason| figures.drops.of(reason));
        let last = leg.last_unsent.filter(|last| self.lately(Some(last.at)));
        match last.map(|last| (last.reason, self.since(last.at))) {
            Some((DropReason::SocketFull, at)) => bad(
                name,
                format!(
                    "the socket refused {refused} of {sent} copies for the listener, the last one \
                     {at}: the send buffer or the network card is full, or its address cannot be \
                     sent to; sysctl net.core.wmem_max should be 4194304 at least; look at the \
                     line with ip -s link and tc -s qdisc, and whether others lose copies as well"
                ),
            ),
            Some((DropReason::TooLate, at)) => bad(
                name,
                format!(
                    "{late} of {sent} copies for the listener had become older than \
                     limits.media_latency_ms before they could be sent, the last one {at}: the \
                     host has more to do than it can; look who else uses its processors"
                ),
            ),
            _ if refused + late == 0 => good(
                name,
                format!(
                    "{sent} copies were made for the listener, and the socket took all of them"
                ),
            ),
            _ => good(
                name,
                format!(
                    "{sent} copies were made for the listener; since it joined the socket refused \
                     {refused} and {late} were too late, none of them a moment ago"
                ),
            ),
        }
    }
}
