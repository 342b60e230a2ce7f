//! How the core's own types stand in a record. Numbers are never given to another variant.

use std::net::{IpAddr, SocketAddr};

use std::time::Duration;

use super::codec::{Corrupt, Field, Source, enum_fields, struct_fields};
use crate::command::{Command, Target};
use crate::crypto::cipher::MediaKey;
use crate::crypto::mode::Mode;
use crate::ids::{
    ChannelId, ConnId, ControlId, GuildId, LegId, RelayId, RelaySet, RoomId, Ssrc, UserId,
};
use crate::media::Handover;
use crate::media::command::{Permissions, RelayCommand, RelayEvent};
use crate::media::fanout::HEAD_BYTES;
use crate::output::{Output, Plane, Shutdown};
use crate::slab::{Key, SlabId};
use crate::time::Timestamp;
use crate::wire::lvsp::VoiceFlagsUpdate;
use crate::wire::secret::Secret;

impl Field for Timestamp {
    fn put(&self, to: &mut Vec<u8>) {
        self.as_micros().put(to);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        u64::take(from).map(Self::from_micros)
    }
}

impl Field for Duration {
    fn put(&self, to: &mut Vec<u8>) {
        u64::try_from(self.as_micros()).unwrap_or(u64::MAX).put(to);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        u64::take(from).map(Self::from_micros)
    }
}

macro_rules! snowflakes {
    ($($name:ty)*) => {$(
        impl Field for $name {
            fn put(&self, to: &mut Vec<u8>) {
                self.as_u64().put(to);
            }

            fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
                Self::new(u64::take(from)?).ok_or_else(|| from.corrupt("a snowflake of zero"))
            }
        }
    )*};
}

snowflakes! { ChannelId GuildId UserId }

macro_rules! slab_ids {
    ($($name:ty)*) => {$(
        impl Field for $name {
            fn put(&self, to: &mut Vec<u8>) {
                self.key().put(to);
            }

            fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
                Key::take(from).map(Self::from_key)
            }
        }
    )*};
}

slab_ids! { ConnId LegId RoomId }
struct_fields! { Key { index, generation } }

macro_rules! wrappers {
    ($($name:ident)*) => {$(
        impl Field for $name {
            fn put(&self, to: &mut Vec<u8>) {
                self.0.put(to);
            }

            fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
                Field::take(from).map(Self)
            }
        }
    )*};
}

wrappers! { RelayId RelaySet ControlId Ssrc }

impl Field for IpAddr {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::V4(ip) => {
                to.push(4);
                to.extend(ip.octets());
            }
            Self::V6(ip) => {
                to.push(6);
                to.extend(ip.octets());
            }
        }
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        match from.array()? {
            [4] => Ok(Self::from(from.array::<4>()?)),
            [6] => Ok(Self::from(from.array::<16>()?)),
            [_] => Err(from.corrupt("an address of no known family")),
        }
    }
}

impl Field for SocketAddr {
    fn put(&self, to: &mut Vec<u8>) {
        self.ip().put(to);
        self.port().put(to);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        Ok(Self::new(Field::take(from)?, Field::take(from)?))
    }
}

impl Field for Secret {
    fn put(&self, to: &mut Vec<u8>) {
        self.expose().to_owned().put(to);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        String::take(from).map(Self::new)
    }
}

impl Field for MediaKey {
    fn put(&self, to: &mut Vec<u8>) {
        self.expose().put(to);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        from.array().map(Self::new)
    }
}

/// By its name on the wire, which never changes.
impl Field for Mode {
    fn put(&self, to: &mut Vec<u8>) {
        self.name().to_owned().put(to);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Corrupt> {
        let name = String::take(from)?;
        Self::from_name(&name).ok_or_else(|| from.corrupt("a mode that is not known"))
    }
}

enum_fields! { Plane { 0 Control, 1 Gateway } }
enum_fields! { Shutdown { 0 Graceful, 1 Abrupt } }
struct_fields! { Permissions { speak, hear } }
struct_fields! { VoiceFlagsUpdate { deaf, mute, self_deaf, self_mute, suppress } }
struct_fields! { Target { session_id, user, guild, channel } }

enum_fields! { Command {
    0 SetChannel { channel, guild, bitrate, token },
    1 DestroyChannel { channel },
    2 Place { user, channel, guild, session_id, token, flags },
    3 SetFlags { target, flags },
    4 Remove { target },
} }

enum_fields! { RelayCommand {
    0 Open { leg, room, ssrc, peer, bitrate, permissions },
    1 SetKey { leg, mode, key, nonce_prefix, claimed },
    2 SetPermissions { leg, permissions },
    3 SetBitrate { room, bitrate },
    4 Close { leg },
    5 Share { room, others },
} }

enum_fields! { RelayEvent {
    0 Bound { leg, address, foreign },
    1 Heard { leg },
    2 Exhausted { leg },
    3 Behind {},
} }

/// A packet that goes from one relay to another, as it stands in a recording.
pub(super) struct HandedOver {
    pub(super) room: RoomId,
    pub(super) arrival: Timestamp,
    pub(super) handed: Timestamp,
    pub(super) head: [u8; HEAD_BYTES],
    pub(super) payload: Vec<u8>,
}

struct_fields! { HandedOver { room, arrival, handed, head, payload } }

impl HandedOver {
    pub(super) fn new(handover: &Handover<'_>) -> Self {
        let Handover { room, arrival, handed, head, payload } = *handover;
        Self { room, arrival, handed, head, payload: payload.to_vec() }
    }

    pub(super) fn handover(&self) -> Handover<'_> {
        let Self { room, arrival, handed, head, ref payload } = *self;
        Handover { room, arrival, handed, head, payload }
    }
}

/// What a server asked of its host, as it stands in a recording.
pub(super) enum Said {
    Write {
        conn: ConnId,
    },
    Close {
        conn: ConnId,
        how: Shutdown,
    },
    /// The command's bytes: it is no copy, so that a key is not spread.
    Relay {
        relay: RelayId,
        command: Vec<u8>,
    },
    /// In its `Debug` text, which holds no secret and is only ever compared.
    Event {
        text: String,
    },
}

enum_fields! { Said {
    0 Write { conn },
    1 Close { conn, how },
    2 Relay { relay, command },
    3 Event { text },
} }

impl Said {
    pub(super) fn new(output: &Output) -> Self {
        match output {
            Output::Write(conn) => Self::Write { conn: *conn },
            Output::Close { conn, how } => Self::Close { conn: *conn, how: *how },
            Output::Relay(relay, order) => {
                let mut command = Vec::new();
                order.put(&mut command);
                Self::Relay { relay: *relay, command }
            }
            Output::Event(event) => Self::Event { text: format!("{event:?}") },
        }
    }
}
