//! Names of things: snowflakes from the chat server and ids that the core gives out.
//!
//! Snowflakes are newtypes so that a user can never be passed where a channel is meant. Ids from
//! the core are generational (see [`crate::slab`]): one that outlived its object names nothing.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::slab::{Key, SlabId};

macro_rules! snowflake {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// On the wire a string of 1 to 20 digits; integers are accepted. Never zero.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The smallest one; the start of a range.
            pub const MIN: Self = Self(NonZeroU64::MIN);

            /// The snowflake of this number; `None` for zero.
            #[must_use]
            pub const fn new(raw: u64) -> Option<Self> {
                match NonZeroU64::new(raw) {
                    Some(raw) => Some(Self(raw)),
                    None => None,
                }
            }

            /// The snowflake as a number.
            #[must_use]
            pub const fn as_u64(self) -> u64 {
                self.0.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                digits(text).ok_or(InvalidId).and_then(Self::try_from)
            }
        }

        impl From<NonZeroU64> for $name {
            fn from(raw: NonZeroU64) -> Self {
                Self(raw)
            }
        }

        impl TryFrom<u64> for $name {
            type Error = InvalidId;

            fn try_from(raw: u64) -> Result<Self, InvalidId> {
                Self::new(raw).ok_or(InvalidId)
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> Self {
                id.as_u64()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Written(PhantomData))
            }
        }
    )*};
}

/// A text or number that is no snowflake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no id: 1 to 20 digits are wanted, for a number from 1 to 2^64 - 1")]
#[non_exhaustive]
pub struct InvalidId;

/// The number that 1 to 20 digits and nothing else stand for.
pub(crate) fn digits(text: &str) -> Option<u64> {
    let plain = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

/// A snowflake as it may be written: a string or an integer.
struct Written<T>(PhantomData<T>);

impl<T: TryFrom<u64, Error = InvalidId>> Visitor<'_> for Written<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id, as a string of 1 to 20 digits or as an integer")
    }

    fn visit_u64<E: de::Error>(self, raw: u64) -> Result<T, E> {
        T::try_from(raw).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        digits(text).ok_or(InvalidId).and_then(T::try_from).map_err(E::custom)
    }
}

snowflake! {
    /// A guild (community) of the chat server.
    GuildId;
    /// A voice channel, or a direct or group call.
    ChannelId;
    /// A user account.
    UserId;
}

/// What an address is counted by: all of IPv4, the /64 of IPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Network(u64);

impl Network {
    pub(crate) fn of(ip: IpAddr) -> Self {
        Self(match ip.to_canonical() {
            IpAddr::V4(v4) => u64::from(u32::from(v4)),
            IpAddr::V6(v6) => u64::try_from(u128::from(v6) >> 64).unwrap_or(u64::MAX),
        })
    }
}

macro_rules! slab_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Key);

        impl SlabId for $name {
            fn from_key(key: Key) -> Self {
                Self(key)
            }

            fn key(self) -> Key {
                self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}.{})", stringify!($name), self.0.index, self.0.generation)
            }
        }
    )*};
}

slab_id! {
    /// One accepted TCP connection.
    ConnId;
    /// One channel of one chat server.
    RoomId;
    /// One voice state: a user whom a chat server placed in a channel.
    MemberId;
    /// One participant's media endpoint on a relay.
    LegId;
}

impl MemberId {
    /// The first in order; the start of a range.
    pub(crate) const MIN: Self = Self(Key { index: 0, generation: 0 });

    /// Reads what [`Display`](fmt::Display) wrote. `None` for anything else; whether somebody of that
    /// id is there, only the server knows.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (index, generation) = text.split_once('-')?;
        let id = Self(Key { index: index.parse().ok()?, generation: generation.parse().ok()? });
        // One id has one name: neither "+1-0" nor "01-0" is one.
        (id.to_string() == text).then_some(id)
    }
}

/// Its position and its generation, as in `12-3`: a name for tools.
impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.index, self.0.generation)
    }
}

/// A relay: one UDP socket and the thread that serves it. Relay `n` listens on the media port + n.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct RelayId(pub u16);

impl RelayId {
    /// As many relays as a configuration may name.
    pub const MOST: usize = 64;
}

/// Some of the relays of a configuration.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct RelaySet(pub(crate) u64);

impl RelaySet {
    /// None of them.
    pub const EMPTY: Self = Self(0);

    /// Adds a relay. One beyond [`RelayId::MOST`] is in no set.
    #[must_use]
    pub const fn with(self, relay: RelayId) -> Self {
        Self(self.0 | Self::bit(relay))
    }

    /// Takes a relay away.
    #[must_use]
    pub const fn without(self, relay: RelayId) -> Self {
        Self(self.0 & !Self::bit(relay))
    }

    /// Whether the relay is one of them.
    #[must_use]
    pub const fn contains(self, relay: RelayId) -> bool {
        self.0 & Self::bit(relay) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many there are.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The relays, in order.
    pub fn iter(self) -> impl Iterator<Item = RelayId> {
        (0..64).map(RelayId).filter(move |relay| self.contains(*relay))
    }

    const fn bit(relay: RelayId) -> u64 {
        if (relay.0 as usize) < RelayId::MOST { 1 << relay.0 } else { 0 }
    }
}

impl FromIterator<RelayId> for RelaySet {
    fn from_iter<I: IntoIterator<Item = RelayId>>(relays: I) -> Self {
        relays.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for RelaySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|relay| relay.0)).finish()
    }
}

/// A chat server, by its position in [`crate::config::Config::control_clients`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ControlId(pub u16);

/// An RTP synchronisation source: the number by which receivers know a speaker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct Ssrc(pub u32);

impl Ssrc {
    /// The first of the session's four numbers. Each session owns `4·r ..= 4·r + 3`: audio, then
    /// room for video and retransmission, so one masked look-up finds the leg.
    #[must_use]
    pub const fn session_base(self) -> Self {
        Self(self.0 & !3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snowflakes_are_read_from_texts_and_numbers_as_they_are_written() {
        let user = UserId::new(1_001).unwrap();
        assert_eq!(user.to_string().parse(), Ok(user));
        assert_eq!((UserId::try_from(1_001), u64::from(user)), (Ok(user), 1_001));
        for text in [r#""1001""#, "1001"] {
            assert_eq!(serde_json::from_str::<UserId>(text).unwrap(), user);
        }
        assert_eq!(serde_json::to_string(&user).unwrap(), r#""1001""#);
        let most = u64::MAX.to_string();
        assert_eq!(most.parse::<UserId>().map(UserId::as_u64), Ok(u64::MAX));
    }

    #[test]
    fn what_is_no_snowflake_is_refused() {
        for text in
            ["", "0", "-1", "+1", " 1", "1.0", "18446744073709551616", "000000000000000000001"]
        {
            assert_eq!(text.parse::<ChannelId>(), Err(InvalidId), "{text:?}");
            let json = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<ChannelId>(&json).is_err(), "{json}");
        }
        for json in ["0", "-1", "1.5", "null", "true", "[1]"] {
            assert!(serde_json::from_str::<GuildId>(json).is_err(), "{json}");
        }
    }
}
