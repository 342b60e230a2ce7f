//! What is there at this moment, for whoever watches a server: chat servers, channels, members.
//!
//! Plain values, copied out; nothing here changes anything. A view costs little, but there can be
//! thousands: hosts take a page of them in a turn, and go on behind the last one of it in the next.
//! Not here: what legs hear and are sent, which their relays know (`media::inspect`), how much there
//! is in all (`census`), and why somebody is not heard ([`crate::explain`]).

use std::net::SocketAddr;

use super::Server;
use super::connection::Connection;
use super::membership::{Member, Room};
use crate::command::Target;
use crate::config::{ForeignUdp, Revision};
use crate::ids::{
    ChannelId, ControlId, GuildId, LegId, MemberId, RelayId, RelaySet, RoomId, Ssrc, UserId,
};
use crate::limits::Limits;
use crate::media::command::Permissions;
use crate::time::Timestamp;
use crate::wire::lvsp::VoiceFlags;

/// A chat server and its control link.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ControlView {
    /// Which one it is.
    pub client: ControlId,
    /// Its name in the configuration.
    pub name: String,
    /// Whether it is connected and has identified.
    pub connected: bool,
    /// Since when that is so; `None` for one that has never come.
    pub since: Option<Timestamp>,
    /// Where it is connected from.
    pub peer: Option<SocketAddr>,
    /// The revision that it speaks; [`Revision::Auto`] while that is not decided.
    pub revision: Revision,
    /// Its orders that were refused since it last identified.
    pub refused_orders: u64,
}

/// A channel.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ChannelView {
    /// Its room; the place behind which a next page begins.
    pub room: RoomId,
    /// The chat server that it belongs to.
    pub client: ControlId,
    /// Its id there.
    pub id: ChannelId,
    /// Its guild, if it is known to have one.
    pub guild: Option<GuildId>,
    /// Bits a second.
    pub bitrate: u32,
    /// The relay where its legs are as long as they are not too many.
    pub home: RelayId,
    /// The relays that have legs of it.
    pub relays: RelaySet,
    /// How many users are placed in it.
    pub members: usize,
}

/// A user whom a chat server placed in a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct MemberView {
    /// Its voice state; the place behind which a next page begins.
    pub id: MemberId,
    /// The chat server that placed it.
    pub client: ControlId,
    /// Who it is.
    pub user: UserId,
    /// Where it is.
    pub channel: ChannelId,
    /// The channel's room.
    pub room: RoomId,
    /// Its guild, if that is known.
    pub guild: Option<GuildId>,
    /// What the chat server says of it: mute, deaf and suppress are the chat server's, self_mute and
    /// self_deaf the user's own.
    pub flags: VoiceFlags,
    /// What follows from the flags, as its relay enforces it.
    pub permissions: Permissions,
    /// Whether the others are told its SSRC, so that they could name what they hear of it.
    pub is_announced: bool,
    /// Its voice client's session, once that has identified.
    pub session: Option<SessionView>,
}

/// The session of a voice client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SessionView {
    /// The gateway version that it speaks.
    pub version: u8,
    /// The relay that serves it.
    pub relay: RelayId,
    /// Its leg there.
    pub leg: LegId,
    /// The first of its SSRCs, that of its audio.
    pub ssrc: Ssrc,
    /// Whether it has a key: it hears, and is announced to the others.
    pub is_live: bool,
    /// Since when it has had no connection and can be resumed; `None` while it has one.
    pub detached: Option<Timestamp>,
    /// Where its gateway connection comes from: with port 0 if a trusted proxy says so, `None` if that
    /// does not, or while it has no connection.
    pub peer: Option<SocketAddr>,
    /// The speaking flags that its client stated last, or its audio did for it.
    pub stated: u8,
    /// Since when its client has stated them; `None` if it never stated any, or its audio did.
    pub stated_at: Option<Timestamp>,
    /// Since when the others have been told its SSRC, so that they can name what they hear.
    pub announced: Option<Timestamp>,
    /// The speaking flags that the others were told last.
    pub told: u8,
}

/// How far a member has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberState {
    /// Its voice client has not identified.
    Waiting,
    /// Its client has identified and has no key yet.
    Identified,
    /// It takes part.
    Live,
    /// It lost its gateway connection and may resume; its media goes on.
    Detached,
}

impl MemberState {
    /// Its name for tools.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Identified => "identified",
            Self::Live => "live",
            Self::Detached => "detached",
        }
    }
}

impl MemberView {
    /// How far it has come.
    #[must_use]
    pub const fn state(&self) -> MemberState {
        match self.session {
            None => MemberState::Waiting,
            Some(SessionView { detached: Some(_), .. }) => MemberState::Detached,
            Some(SessionView { is_live: false, .. }) => MemberState::Identified,
            Some(SessionView { is_live: true, .. }) => MemberState::Live,
        }
    }
}

impl Server {
    /// Every chat server of the configuration, in its order.
    pub fn control_views(&self) -> impl Iterator<Item = ControlView> + '_ {
        let all = self.config.control_clients.iter().zip(&self.controls).zip(0u16..);
        all.map(|((client, control), index)| {
            let session = control.session.as_ref();
            let peer = control.conn().and_then(|conn| self.conns.get(conn));
            ControlView {
                client: ControlId(index),
                name: client.name.clone(),
                connected: control.connected_since.is_some(),
                since: control.connected_since.or(control.lost_at),
                peer: peer.map(|connection| connection.peer),
                revision: session.map_or(client.revision, |session| session.speech.revision()),
                refused_orders: control.refused,
            }
        })
    }

    /// The channels behind `after`, which may be gone by now, in the order of their rooms.
    pub fn channel_views(&self, after: Option<RoomId>) -> impl Iterator<Item = ChannelView> + '_ {
        self.membership.rooms_after(after).map(|(id, room)| channel(id, room))
    }

    /// The members behind `after`, who may be gone by now, in the order of their ids; of one channel id
    /// alone if `channel` names it.
    pub fn member_views(
        &self,
        after: Option<MemberId>,
        channel: Option<ChannelId>,
    ) -> impl Iterator<Item = MemberView> + '_ {
        self.membership
            .members_after(after)
            .filter_map(|(id, member)| self.view(id, member))
            .filter(move |view| channel.is_none_or(|wanted| view.channel == wanted))
    }

    /// One member, if there is one of this id.
    #[must_use]
    pub fn member_view(&self, id: MemberId) -> Option<MemberView> {
        self.view(id, self.membership.member(id)?)
    }

    /// The member whom a chat server means, if it means exactly one.
    #[must_use]
    pub fn member_view_of(&self, client: ControlId, target: &Target) -> Option<MemberView> {
        self.member_view(self.find_one(client, target)?)
    }

    /// What everything that grows is bounded by.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// What a client gets at an address that its gateway connection does not vouch for.
    #[must_use]
    pub const fn foreign_udp(&self) -> ForeignUdp {
        self.config.media.foreign_udp
    }

    fn view(&self, id: MemberId, member: &Member) -> Option<MemberView> {
        let room = self.membership.room(member.room)?;
        let session = member.session.as_deref().map(|session| SessionView {
            version: session.version.number(),
            relay: session.relay,
            leg: session.leg,
            ssrc: session.ssrc,
            is_live: session.live,
            detached: session.detached,
            peer: session.conn.and_then(|conn| self.conns.get(conn)).and_then(Connection::client),
            stated: session.stated,
            stated_at: session.stated_at,
            announced: session.announced,
            told: session.speaking,
        });
        Some(MemberView {
            id,
            client: member.client,
            user: member.user,
            channel: room.channel,
            room: member.room,
            guild: member.guild,
            flags: member.flags,
            permissions: member.permissions(),
            is_announced: member.may_speak(),
            session,
        })
    }
}

fn channel(id: RoomId, room: &Room) -> ChannelView {
    ChannelView {
        room: id,
        client: room.client,
        id: room.channel,
        guild: room.guild,
        bitrate: room.bitrate,
        home: room.relay,
        relays: room.relays(),
        members: room.members.len(),
    }
}
