//! What a leg is at this moment, for whoever watches a relay.
//!
//! Plain values, copied out; nothing here changes anything or is called by the hot path, but what it
//! tells of a leg's copies is what a fan-out would find: both ask the same predicates, of `leg.rs` and
//! `binding.rs`. Not here: why somebody is not heard ([`crate::explain`]).

use std::net::SocketAddr;

use crate::crypto::mode::Mode;
use crate::ids::{LegId, RelaySet, RoomId, Ssrc};
use crate::media::command::Permissions;
use crate::media::leg::{Leg, Spent};
use crate::media::relay::Relay;
use crate::reasons::DropReason;
use crate::stats::LegFigures;
use crate::time::Timestamp;
use crate::wire::discovery::{self, Kind};
use crate::wire::rtcp::RtcpHeader;
use crate::wire::rtp::{self, RtpHeader};

/// The payload of a usual copy: 20 ms of Opus at 64 kbit/s with what is added to it.
const USUAL_BYTES: usize = 200;

/// A leg of a relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LegView {
    /// Which leg it is.
    pub leg: LegId,
    /// Its room.
    pub room: RoomId,
    /// The other relays that have legs of this room.
    pub others: RelaySet,
    /// The SSRC of its audio.
    pub ssrc: Ssrc,
    /// What it may do, as this relay has been told.
    pub permissions: Permissions,
    /// How its packets are sealed; `None` before it has a key.
    pub mode: Option<Mode>,
    /// Why its key seals no more, if it does not.
    pub spent: Option<DropReason>,
    /// Packets sealed under its present key.
    pub sealed: u64,
    /// Where its media goes; `None` before a datagram of its client came.
    pub address: Option<SocketAddr>,
    /// Whether the gateway connection does not vouch for that address; see
    /// [`ForeignUdp`](crate::config::ForeignUdp).
    pub foreign: bool,
    /// Whether a discovery request came for it. Until it has a key that does not bind it.
    pub asked: bool,
    /// Why no copy reaches it at this moment, if none does.
    pub unserved: Option<Unserved>,
    /// When a packet of it was last accepted: it authenticated, was new, and within all limits.
    pub accepted_at: Option<Timestamp>,
    /// When such a packet last held more than Opus' silence.
    pub sounded_at: Option<Timestamp>,
    /// When a ping or keepalive last came from its address: its client is there and reaches the relay.
    pub alive_at: Option<Timestamp>,
    /// The last of its packets that was not forwarded, with an SSRC of nobody among them.
    pub last_drop: Option<LastDrop>,
    /// The SSRC of the last packet that came from its address with one that nobody has.
    pub stray: Option<Ssrc>,
    /// The last copy for it that was not sent.
    pub last_unsent: Option<LastDrop>,
    /// The relays that had no room for a packet of it when that last happened, and when that was.
    pub last_unshared: Option<(RelaySet, Timestamp)>,
    /// What it has sent and received.
    pub figures: LegFigures,
}

impl LegView {
    /// Whether any datagram has ever named it.
    #[must_use]
    pub fn has_sent(&self) -> bool {
        self.asked || self.figures.packets_in > 0 || self.last_drop.is_some()
    }
}

/// A packet, or a copy of one, that went no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastDrop {
    /// Why.
    pub reason: DropReason,
    /// When.
    pub at: Timestamp,
}

/// Why copies do not reach a leg: what a fan-out finds first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unserved {
    /// It may not hear.
    Deaf,
    /// It has no key yet.
    NoKey,
    /// Nothing is known of where its client is.
    NoAddress,
    /// Its key seals no more.
    Spent(DropReason),
    /// Nothing vouches for its address, and it was sent as much as it may be for what it sent.
    Uncovered,
}

impl Relay {
    /// One leg, if it is open.
    #[must_use]
    pub fn leg_view(&self, leg: LegId) -> Option<LegView> {
        let place = self.rooms.place(leg)?;
        let (room, others) = self.rooms.sharing(place.room);
        self.rooms.leg(leg).map(|leg| view(leg, room, others))
    }

    /// Whose a datagram claims to be, by the SSRC in it or, for a ping, by where it came from.
    #[must_use]
    pub fn claimed_leg(&self, from: SocketAddr, packet: &[u8]) -> Option<LegId> {
        let ssrc = match Kind::of(packet) {
            Kind::Rtp => RtpHeader::parse(packet)?.ssrc,
            Kind::Rtcp => RtcpHeader::parse(packet)?.sender,
            Kind::Discovery(ssrc) | Kind::LegacyDiscovery(ssrc) => ssrc,
            Kind::Ping(_) | Kind::Keepalive | Kind::Other => {
                let from = crate::media::binding::normalise(from);
                return self.addresses.leg_at(from);
            }
        };
        self.rooms.find(ssrc).map(|place| self.rooms.id_at(place))
    }
}

/// How much of a datagram is clear and says nothing of what is said: the header of RTP with its
/// extension's, that of RTCP, a whole discovery request, answer or ping.
#[must_use]
pub fn clear_bytes(packet: &[u8]) -> usize {
    match Kind::of(packet) {
        Kind::Rtp => RtpHeader::parse(packet).map_or(0, |header| header.clear_len(true)),
        Kind::Rtcp => crate::wire::rtcp::CLEAR_LEN.min(packet.len()),
        Kind::Discovery(_) | Kind::LegacyDiscovery(_) | Kind::Ping(_) | Kind::Keepalive => {
            packet.len()
        }
        // The answers of the server; nothing else that is as short holds anything.
        Kind::Other if packet.len() <= discovery::LEN => packet.len(),
        Kind::Other => 0,
    }
}

fn view(leg: &Leg, room: RoomId, others: RelaySet) -> LegView {
    let keyed = leg.keyed.as_ref();
    LegView {
        leg: leg.id,
        room,
        others,
        ssrc: leg.ssrc,
        permissions: leg.permissions,
        mode: keyed.map(|keyed| keyed.mode()),
        spent: keyed.and_then(|keyed| keyed.spent.drop_reason()),
        sealed: keyed.map_or(0, |keyed| keyed.sealed()),
        address: leg.binding.address(),
        foreign: leg.binding.is_foreign(),
        asked: leg.binding.was_asked_for(),
        unserved: unserved(leg),
        accepted_at: leg.accepted_at,
        sounded_at: leg.sounded_at,
        alive_at: leg.alive_at,
        last_drop: leg.last_drop,
        stray: leg.stray,
        last_unsent: leg.last_unsent,
        last_unshared: leg.last_unshared,
        figures: leg.figures(),
    }
}

/// What a copy for this leg would meet, in the order of a fan-out.
fn unserved(leg: &Leg) -> Option<Unserved> {
    if !leg.receives() {
        // Which part of it fails first.
        return Some(if !leg.permissions.hear {
            Unserved::Deaf
        } else if leg.keyed.is_none() {
            Unserved::NoKey
        } else {
            Unserved::NoAddress
        });
    }
    let keyed = leg.keyed.as_ref()?;
    if keyed.spent != Spent::No {
        return keyed.spent.drop_reason().map(Unserved::Spent);
    }
    let bytes = rtp::FORWARD_CLEAR_LEN + USUAL_BYTES + keyed.mode().overhead();
    (!leg.binding.covers(bytes)).then_some(Unserved::Uncovered)
}
