//! What `Server` asks of its host.

use std::fmt;
use std::net::SocketAddr;

use crate::ids::{ChannelId, ConnId, ControlId, GuildId, RelayId, UserId};
use crate::media::command::RelayCommand;
use crate::reasons::CloseReason;

/// An action for the host. Exhaustive on purpose: a host must act on each.
#[derive(Debug)]
pub enum Output {
    /// `outbound(conn)` is no longer empty. Write it after all outputs of this turn were taken.
    Write(ConnId),
    /// The connection is over and its id dead: close the TCP connection.
    Close {
        /// The connection.
        conn: ConnId,
        /// How to close it.
        how: Shutdown,
    },
    /// Queue this for the relay, before any outbound byte of this turn is written.
    Relay(RelayId, RelayCommand),
    /// Something that the host may want to know.
    Event(Event),
}

/// How a TCP connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// Everything was written: end it in the ordinary way.
    Graceful,
    /// Drop it as it stands, without waiting for anything.
    Abrupt,
}

/// Which listener a connection came in by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Plane {
    /// LVSP: chat servers.
    Control,
    /// The voice gateway: voice clients.
    Gateway,
}

/// News for the host: for logs, metrics and in-process applications.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection ended, and why.
    ConnectionClosed {
        /// The listener it came in by.
        plane: Plane,
        /// The connection.
        conn: ConnId,
        /// Where it came from: its client, with port 0, if a trusted proxy named one.
        peer: SocketAddr,
        /// Why it ended.
        reason: CloseReason,
    },
    /// A connection was ended for how a proxy began it: see `reason`.
    ProxyRefused {
        /// Where it came from.
        proxy: SocketAddr,
        /// [`CloseReason::UntrustedProxy`], [`CloseReason::BadProxyHeader`] or
        /// [`CloseReason::ProxyHeaderTooBig`].
        reason: CloseReason,
    },
    /// A trusted proxy did not say who its client is. The client is served, but its media can come
    /// from anywhere; see [`ForeignUdp`](crate::config::ForeignUdp).
    ProxySilent {
        /// The proxy.
        proxy: SocketAddr,
    },
    /// A chat server identified or resumed.
    ControlConnected {
        /// Which one.
        client: ControlId,
        /// Its connection.
        conn: ConnId,
        /// Whether it resumed its session.
        resumed: bool,
    },
    /// A chat server's connection ended: nothing more that it says is listened to. Its calls go on.
    ControlLost {
        /// Which one.
        client: ControlId,
        /// The connection.
        conn: ConnId,
    },
    /// A chat server waits for an answer, but which revision of LVSP it speaks is not known: it has
    /// to be configured.
    ControlUndecided {
        /// Which one.
        client: ControlId,
    },
    /// An order was refused; the connection goes on. Told once for each kind in a session.
    ControlRefused {
        /// Whose message.
        client: ControlId,
        /// What was wrong with it, naming the field.
        why: String,
    },
    /// A channel was created or changed.
    ChannelUpdated {
        /// The chat server that owns it.
        client: ControlId,
        /// The channel.
        channel: ChannelId,
        /// Bits a second.
        bitrate: u32,
    },
    /// A channel was destroyed.
    ChannelDestroyed {
        /// The chat server that owned it.
        client: ControlId,
        /// The channel.
        channel: ChannelId,
    },
    /// A voice client can be heard and hears: it has its key.
    MemberConnected {
        /// The chat server that placed it.
        client: ControlId,
        /// The channel.
        channel: ChannelId,
        /// The user.
        user: UserId,
    },
    /// A voice client's connection was lost; the session can be resumed and its media goes on.
    MemberDetached {
        /// The chat server that placed it.
        client: ControlId,
        /// The channel.
        channel: ChannelId,
        /// The user.
        user: UserId,
    },
    /// A voice client's media comes from an address that its gateway connection does not vouch for;
    /// see [`ForeignUdp`](crate::config::ForeignUdp).
    ForeignAddress {
        /// The chat server that placed it.
        client: ControlId,
        /// The channel.
        channel: ChannelId,
        /// The user.
        user: UserId,
        /// Where its media comes from.
        address: SocketAddr,
    },
    /// A voice state ended.
    MemberGone {
        /// The chat server that placed it.
        client: ControlId,
        /// Its guild, if the chat server named one.
        guild: Option<GuildId>,
        /// The channel.
        channel: ChannelId,
        /// The user.
        user: UserId,
        /// Why.
        reason: GoneReason,
    },
}

/// Why a voice state ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum GoneReason {
    /// The chat server removed the user.
    Removed,
    /// The chat server moved the user to another channel.
    Moved,
    /// The channel was destroyed.
    ChannelDestroyed,
    /// The voice client never came.
    NeverConnected,
    /// The voice client vanished and did not resume in time.
    Lost,
    /// The chat server came back and did not state it again.
    NotRestated,
    /// No chat server came back within the grace time.
    GraceEnded,
}

impl GoneReason {
    /// The word in LVSP's `reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Moved => "moved",
            Self::ChannelDestroyed => "channel_destroyed",
            Self::NeverConnected => "never_connected",
            Self::Lost => "lost",
            Self::NotRestated => "not_restated",
            Self::GraceEnded => "grace_ended",
        }
    }
}

impl fmt::Display for GoneReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
