//! What passes between the control plane and a relay: plain data in both directions.
//!
//! `Server` puts a command into the queue before the bytes that provoke the datagram it is needed
//! for (open before Ready, key before Session Description). Hosts deliver commands in order and
//! lose none.

use std::net::{IpAddr, SocketAddr};

use crate::crypto::cipher::MediaKey;
use crate::crypto::mode::Mode;
use crate::ids::{LegId, RelaySet, RoomId, Ssrc};

/// An order to a relay. Exhaustive on purpose: a host must deliver each.
#[derive(Debug)]
pub enum RelayCommand {
    /// A participant may now discover its address. It neither speaks nor hears before it has a key.
    Open {
        /// The new leg.
        leg: LegId,
        /// The room it belongs to; made when it does not exist.
        room: RoomId,
        /// First of its four SSRCs; its audio.
        ssrc: Ssrc,
        /// Address of its gateway connection, if that says anything about the client.
        peer: Option<IpAddr>,
        /// The channel's figure, in bits a second.
        bitrate: u32,
        /// Whether it may speak and hear from the start.
        permissions: Permissions,
    },
    /// From now on the leg's media is sealed under this key. Replaces an earlier key.
    SetKey {
        /// The leg.
        leg: LegId,
        /// How packets are sealed.
        mode: Mode,
        /// The key, for both directions.
        key: MediaKey,
        /// 20 random bytes that the server's nonces of the suffix mode start with.
        nonce_prefix: [u8; 20],
        /// The address that the client wrote into Select Protocol. Only ever used to choose among
        /// addresses that discovery requests came from.
        claimed: Option<SocketAddr>,
    },
    /// Who may speak or hear changed.
    SetPermissions {
        /// The leg.
        leg: LegId,
        /// What holds from now on.
        permissions: Permissions,
    },
    /// The channel's bitrate changed.
    SetBitrate {
        /// The room.
        room: RoomId,
        /// Bits a second.
        bitrate: u32,
    },
    /// Which other relays have legs of this room changed: what its speakers here say is handed to
    /// each of them; see [`Fanout::take_handover`](crate::media::Fanout::take_handover). Comes to a
    /// relay that has legs of the room.
    Share {
        /// The room.
        room: RoomId,
        /// The other relays; empty when all legs are here.
        others: RelaySet,
    },
    /// The participant is gone.
    Close {
        /// The leg.
        leg: LegId,
    },
}

/// What a leg may do. The control plane folds mute, suppress, deafen and the self-flags into these.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Permissions {
    /// Its packets are forwarded.
    pub speak: bool,
    /// It receives other people's packets.
    pub hear: bool,
}

/// News from a relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RelayEvent {
    /// The leg's address became known or changed.
    Bound {
        /// The leg.
        leg: LegId,
        /// Where its media goes now.
        address: SocketAddr,
        /// Whether the gateway connection does not vouch for that address; see
        /// [`ForeignUdp`](crate::config::ForeignUdp).
        foreign: bool,
    },
    /// The first packet of this leg that was forwarded or would have been.
    Heard {
        /// The leg.
        leg: LegId,
    },
    /// The leg's key must not be used further: the session has to be set up anew.
    Exhausted {
        /// The leg.
        leg: LegId,
    },
    /// More packets come than the relay can handle, so it drops those that have waited too long.
    /// Told once a second while it is so.
    Behind,
}
