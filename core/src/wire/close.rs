//! WebSocket close codes of both protocols.
//!
//! Here: which number and text a [`CloseReason`] has on each plane, `None` where the TCP connection
//! just ends. When to close is decided by the session machines. The numbers matter: client libraries
//! choose between resuming, joining again and giving up by them.

use crate::reasons::CloseReason;

/// A close code and its text.
pub type Close = (u16, &'static str);

/// The close frame for a voice client.
///
/// Missed heartbeats and slow readers get none: a bare end makes every library resume or join again
/// cleanly, while 4009 makes some stop.
#[must_use]
pub const fn gateway(reason: CloseReason) -> Option<Close> {
    match reason {
        CloseReason::PeerClosed
        | CloseReason::HandshakeTimeout
        | CloseReason::TlsFailed
        | CloseReason::NotTls
        | CloseReason::HandshakeTooBig
        | CloseReason::HeadTooBig
        | CloseReason::HeadTooLong
        | CloseReason::UntrustedProxy
        | CloseReason::BadProxyHeader
        | CloseReason::ProxyHeaderTooBig
        | CloseReason::BadUpgrade
        | CloseReason::Silence
        | CloseReason::SlowReader
        | CloseReason::ControlReplaced
        | CloseReason::ControlGeneral => None,
        CloseReason::WebSocketProtocol => Some((1002, "protocol error")),
        CloseReason::MessageTooBig => Some((1009, "message too big")),
        CloseReason::Overloaded => Some((1013, "try again later")),
        CloseReason::Decode => Some((4002, "payload does not decode")),
        CloseReason::TooDeep => Some((4002, "payload is nested too deeply")),
        CloseReason::NotAuthenticated => Some((4003, "not authenticated")),
        CloseReason::AuthenticationFailed => Some((4004, "authentication failed")),
        CloseReason::AlreadyAuthenticated => Some((4005, "already authenticated")),
        CloseReason::SessionInvalid => Some((4006, "session no longer valid")),
        CloseReason::IdentifyTimeout => Some((4009, "session timeout")),
        CloseReason::UnknownProtocol => Some((4012, "unknown protocol")),
        CloseReason::Disconnected => Some((4014, "disconnected")),
        CloseReason::ShuttingDown => Some((4015, "voice server restarting")),
        CloseReason::Renew => Some((4015, "session is renewed")),
        CloseReason::UnknownMode => Some((4016, "unknown encryption mode")),
        CloseReason::BadRequest => Some((4020, "bad request")),
        CloseReason::SelectLimited => Some((4020, "too many Select Protocols")),
        CloseReason::RateLimited => Some((4021, "rate limited")),
        CloseReason::ChannelDestroyed => Some((4022, "call terminated")),
    }
}

/// The close frame for a chat server.
#[must_use]
pub const fn control(reason: CloseReason) -> Option<Close> {
    match reason {
        CloseReason::PeerClosed
        | CloseReason::HandshakeTimeout
        | CloseReason::TlsFailed
        | CloseReason::NotTls
        | CloseReason::HandshakeTooBig
        | CloseReason::HeadTooBig
        | CloseReason::HeadTooLong
        | CloseReason::UntrustedProxy
        | CloseReason::BadProxyHeader
        | CloseReason::ProxyHeaderTooBig
        | CloseReason::BadUpgrade => None,
        CloseReason::WebSocketProtocol => Some((1002, "protocol error")),
        CloseReason::MessageTooBig => Some((1009, "message too big")),
        CloseReason::AuthenticationFailed => Some((4001, "authentication failure")),
        CloseReason::Decode => Some((4002, "decode error")),
        CloseReason::TooDeep => Some((4002, "nested too deeply")),
        CloseReason::ShuttingDown => Some((4000, "voice server restarting")),
        CloseReason::IdentifyTimeout => Some((4000, "no IDENTIFY in time")),
        CloseReason::Silence => Some((4000, "silent for too long")),
        CloseReason::SlowReader => Some((4000, "reads too slowly")),
        CloseReason::BadRequest => Some((4000, "wrong field")),
        CloseReason::NotAuthenticated => Some((4000, "IDENTIFY or RESUME first")),
        CloseReason::AlreadyAuthenticated => Some((4000, "already identified")),
        CloseReason::RateLimited => Some((4000, "too many messages")),
        CloseReason::ControlReplaced => Some((4000, "another connection is in use")),
        CloseReason::Overloaded => Some((4000, "limit reached")),
        CloseReason::SessionInvalid
        | CloseReason::UnknownProtocol
        | CloseReason::UnknownMode
        | CloseReason::SelectLimited
        | CloseReason::Disconnected
        | CloseReason::ChannelDestroyed
        | CloseReason::Renew
        | CloseReason::ControlGeneral => Some((4000, "general error")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missed_heartbeats_end_a_gateway_connection_without_a_frame() {
        assert_eq!(gateway(CloseReason::Silence), None);
        assert_eq!(gateway(CloseReason::IdentifyTimeout).map(|(code, _)| code), Some(4009));
    }

    #[test]
    fn control_connections_know_three_codes() {
        assert_eq!(control(CloseReason::AuthenticationFailed).map(|(code, _)| code), Some(4001));
        assert_eq!(control(CloseReason::Decode).map(|(code, _)| code), Some(4002));
        assert_eq!(control(CloseReason::Overloaded).map(|(code, _)| code), Some(4000));
    }
}
