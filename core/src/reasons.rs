//! Why a connection was closed, a datagram dropped or a request refused.
//!
//! A peer's mistake is one of these values, never a panic and never an error that the host has to
//! handle. Hosts count and show them.

use std::fmt;

/// Declares an enumeration of reasons so that its list, its names and its count cannot drift apart.
macro_rules! reasons {
    ($(#[$outer:meta])* $enum:ident { $($(#[$doc:meta])* $name:ident => $text:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[$doc])* $name,)*
        }

        impl $enum {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The reason's name in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

reasons! {
    /// Why a TCP connection ended. The numeric close codes are in [`crate::wire::close`].
    CloseReason {
        /// The peer closed or its TCP connection ended.
        PeerClosed => "peer_closed",
        /// The server is stopping.
        ShuttingDown => "shutting_down",
        /// No first byte, TLS handshake or upgrade in time.
        HandshakeTimeout => "handshake_timeout",
        /// The TLS handshake failed.
        TlsFailed => "tls_failed",
        /// Bytes on a TLS port that are not a TLS ClientHello.
        NotTls => "not_tls",
        /// More bytes in the TLS handshake than it takes.
        HandshakeTooBig => "handshake_too_big",
        /// An HTTP request head of too many bytes.
        HeadTooBig => "head_too_big",
        /// An HTTP request head of too many lines.
        HeadTooLong => "head_too_long",
        /// A PROXY protocol header from an address that is not believed.
        UntrustedProxy => "untrusted_proxy",
        /// No PROXY protocol header, or a malformed one, where one must come.
        BadProxyHeader => "bad_proxy_header",
        /// A PROXY protocol header of too many bytes.
        ProxyHeaderTooBig => "proxy_header_too_big",
        /// Not an acceptable WebSocket upgrade request.
        BadUpgrade => "bad_upgrade",
        /// A WebSocket rule was broken.
        WebSocketProtocol => "websocket_protocol",
        /// A message over its size limit.
        MessageTooBig => "message_too_big",
        /// No Identify or Resume in time.
        IdentifyTimeout => "identify_timeout",
        /// No heartbeat (gateway) or no byte at all (control) for too long.
        Silence => "silence",
        /// The peer does not read what is written to it.
        SlowReader => "slow_reader",
        /// The text is not the JSON it must be.
        Decode => "decode",
        /// JSON nested deeper than the limit.
        TooDeep => "too_deep",
        /// A field is missing or has an unusable value.
        BadRequest => "bad_request",
        /// A message that needs Identify first.
        NotAuthenticated => "not_authenticated",
        /// Wrong token, session or user.
        AuthenticationFailed => "authentication_failed",
        /// A second Identify.
        AlreadyAuthenticated => "already_authenticated",
        /// A Resume that is not possible, or a session that a newer connection took over.
        SessionInvalid => "session_invalid",
        /// A transport protocol that is not served.
        UnknownProtocol => "unknown_protocol",
        /// An encryption mode that was not offered.
        UnknownMode => "unknown_mode",
        /// Select Protocol again and again.
        SelectLimited => "select_limited",
        /// Too many messages.
        RateLimited => "rate_limited",
        /// The chat server removed or moved this user.
        Disconnected => "disconnected",
        /// The channel was destroyed.
        ChannelDestroyed => "channel_destroyed",
        /// The session must be set up anew: resume, be refused, identify again.
        Renew => "renew",
        /// Another connection of the same chat server is in use.
        ControlReplaced => "control_replaced",
        /// A control message that the protocol does not allow at this point.
        ControlGeneral => "control_general",
        /// A limit of the server was reached.
        Overloaded => "overloaded",
    }
}

reasons! {
    /// Why a datagram, or one copy of it, went no further.
    DropReason {
        /// Neither RTP, RTCP, discovery, ping nor a known keepalive.
        Unrecognised => "unrecognised",
        /// A client's keepalive: expected, unanswered.
        Keepalive => "keepalive",
        /// An RTP header that contradicts its length.
        Malformed => "malformed",
        /// A payload over the limit.
        TooLarge => "too_large",
        /// An SSRC that belongs to no leg.
        UnknownSsrc => "unknown_ssrc",
        /// Media before the session has a key.
        NoKey => "no_key",
        /// Authentication failed.
        Unauthentic => "unauthentic",
        /// A sequence number that was seen before.
        Replayed => "replayed",
        /// A sequence number behind the window.
        TooOld => "too_old",
        /// From a muted, suppressed or self-muted speaker.
        Muted => "muted",
        /// A payload type that is not relayed.
        PayloadType => "payload_type",
        /// An RTCP packet: read, never relayed.
        Rtcp => "rtcp",
        /// Over the sender's packet or bit rate.
        RateLimited => "rate_limited",
        /// A discovery request over the session's rate.
        DiscoveryLimited => "discovery_limited",
        /// A discovery request for a session whose address is already fixed elsewhere.
        DiscoveryBound => "discovery_bound",
        /// A ping from an address that is bound to no leg, or over its rate.
        Ping => "ping",
        /// A source address that must not be sent to.
        ForbiddenAddress => "forbidden_address",
        /// A discovery request from, or a copy to, an address that the gateway connection does not vouch
        /// for.
        ForeignAddress => "foreign_address",
        /// Above twice the channel's bitrate over 2 s, where that is enforced.
        OverBitrate => "over_bitrate",
        /// A copy whose receiver has used up its key.
        KeyExhausted => "key_exhausted",
        /// A packet that was not handed to another relay of its room, because that had no room for it.
        NotHandedOver => "not_handed_over",
        /// A packet that another relay handed over for a room that has no leg here any more.
        RoomGone => "room_gone",
        /// A copy that was not filled into a batch, or a packet that the host did not hand over.
        Unfilled => "unfilled",
        /// A copy that the socket refused.
        SocketFull => "socket_full",
        /// Unopened, because more came than the relay could handle.
        Behind => "behind",
        /// A datagram or copy older than the latency budget.
        TooLate => "too_late",
        /// The client's nonces met the server's: the session is renewed.
        NonceCollision => "nonce_collision",
    }
}

/// Why the server did not take a connection or a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Too many connections that have not identified.
    #[error("too many connections that have not identified")]
    TooManyUnauthenticated,
    /// Too many connections of this address that have not identified.
    #[error("too many connections of this address that have not identified")]
    TooManyFromAddress,
    /// This address failed to identify too often.
    #[error("this address failed to identify too often; try again in a minute")]
    BackOff,
    /// A limit on channels, voice states, members or sessions was reached.
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// As many connections as there may be.
    #[error("too many connections")]
    TooManyConnections,
    /// Nothing of that name.
    #[error("unknown {0}")]
    Unknown(&'static str),
    /// The server is draining before a stop.
    #[error("draining")]
    Draining,
}
