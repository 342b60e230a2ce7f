//! Channels that were destroyed a moment ago, so that their voice clients are told so.
//!
//! Plain data. Between calls the size is the number of channels and users that are remembered.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{ChannelId, ControlId, GuildId, UserId};
use crate::time::Timestamp;

/// A channel of one chat server.
pub(super) type Key = (ControlId, ChannelId);

/// What is remembered of a destroyed channel.
#[derive(Debug)]
pub(super) struct Tombstone {
    pub(super) since: Timestamp,
    pub(super) guild: Option<GuildId>,
    pub(super) users: Vec<UserId>,
}

impl Tombstone {
    fn size(&self) -> usize {
        1 + self.users.len()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    by_channel: BTreeMap<Key, Tombstone>,
    by_age: BTreeSet<(Timestamp, Key)>,
    size: usize,
}

impl Tombstones {
    pub(super) fn len(&self) -> usize {
        self.by_channel.len()
    }

    /// Channels and users that are remembered.
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    pub(super) fn bury(&mut self, key: Key, mut tombstone: Tombstone) {
        self.forget(key);
        tombstone.users.shrink_to_fit();
        self.size += tombstone.size();
        self.by_age.insert((tombstone.since, key));
        self.by_channel.insert(key, tombstone);
    }

    pub(super) fn forget(&mut self, key: Key) {
        if let Some(tombstone) = self.by_channel.remove(&key) {
            self.size -= tombstone.size();
            self.by_age.remove(&(tombstone.since, key));
        }
    }

    /// The channel that was destroyed first.
    pub(super) fn oldest(&self) -> Option<Key> {
        self.by_age.first().map(|(_, key)| *key)
    }

    /// Whether a voice client asks for one of them.
    pub(super) fn answers(&self, server_id: u64, user: UserId) -> bool {
        self.by_channel.iter().any(|((_, channel), tombstone)| {
            channel.as_u64() == server_id
                || (tombstone.guild.map(GuildId::as_u64) == Some(server_id)
                    && tombstone.users.contains(&user))
        })
    }
}
