//! A channel, and what its voice clients know of each other.

use std::collections::BTreeSet;

use crate::gateway::roster::Roster;
use crate::ids::{ChannelId, ControlId, GuildId, MemberId, RelayId, RelaySet, UserId};
use crate::server::spread::Legs;
use crate::wire::secret::Secret;

/// A channel of one chat server.
#[derive(Debug)]
pub(in crate::server) struct Room {
    pub(in crate::server) client: ControlId,
    pub(in crate::server) channel: ChannelId,
    pub(in crate::server) guild: Option<GuildId>,
    pub(in crate::server) bitrate: u32,
    /// What its voice clients may present in place of their voice state's token.
    pub(in crate::server) token: Secret,
    /// Its home: where its legs are as long as they are not too many.
    pub(in crate::server) relay: RelayId,
    /// In the order in which they were placed.
    pub(in crate::server) members: Vec<MemberId>,
    /// Whether the chat server stated it since it last identified.
    pub(in crate::server) confirmed: bool,
    /// What is known of its voice clients, while it has members.
    pub(super) crowd: Option<Box<Crowd>>,
}

/// What a channel's voice clients know and are yet to be told.
#[derive(Debug, Default)]
pub(in crate::server) struct Crowd {
    /// Who came and went, in a large channel.
    pub(in crate::server) gathered: Gathered,
    pub(in crate::server) roster: Roster,
    /// Where they are served.
    pub(in crate::server) legs: Legs,
}

impl Room {
    /// A channel without members, as it was stated.
    pub(in crate::server) fn new(
        client: ControlId,
        channel: ChannelId,
        guild: Option<GuildId>,
        bitrate: u32,
        token: Secret,
        relay: RelayId,
    ) -> Self {
        Self {
            client,
            channel,
            guild,
            bitrate,
            token,
            relay,
            members: Vec::new(),
            confirmed: true,
            crowd: None,
        }
    }

    /// The relays that have legs of it.
    pub(in crate::server) fn relays(&self) -> RelaySet {
        self.crowd.as_ref().map_or(RelaySet::EMPTY, |crowd| crowd.legs.relays())
    }

    pub(in crate::server) fn crowd(&mut self) -> &mut Crowd {
        self.crowd.get_or_insert_default()
    }
}

/// Arrivals and departures that are told together.
#[derive(Debug, Default)]
pub(in crate::server) struct Gathered {
    pub(in crate::server) came: BTreeSet<UserId>,
    pub(in crate::server) went: BTreeSet<UserId>,
}
