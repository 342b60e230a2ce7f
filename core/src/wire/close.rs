//! WebSocket close codes of both protocols.
//!
//! Here: which number and text a [`CloseReason`] has on each plane, `None` where the TCP connection
//! just ends. When to close is decided by the session machines. The numbers matter: client libraries
//! choose between resuming, joining again and giving up by them.

use crate::reasons::CloseReason;

/// A close code and its text.
pub type Close = (u16, &'static str);

/// LVSP's code for a wrong secret.
pub const CONTROL_AUTHENTICATION_FAILED: u16 = 4001;
/// LVSP's code for everything without one of its own; to a chat server that was not let in yet it says
/// that another connection is in use.
pub const CONTROL_GENERAL: u16 = 4000;
/// The gateway's code for a session that is not known, or not any more.
pub const GATEWAY_SESSION_INVALID: u16 = 4006;
/// The gateway's code for a user whom the chat server removed or moved.
pub const GATEWAY_DISCONNECTED: u16 = 4014;
/// The gateway's code for what goes on elsewhere or anew: a stop, or a session that is renewed.
pub const GATEWAY_RESTARTING: u16 = 4015;

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
        CloseReason::SessionInvalid => Some((GATEWAY_SESSION_INVALID, "session no longer valid")),
        CloseReason::IdentifyTimeout => Some((4009, "session timeout")),
        CloseReason::UnknownProtocol => Some((4012, "unknown protocol")),
        CloseReason::Disconnected => Some((GATEWAY_DISCONNECTED, "disconnected")),
        CloseReason::ShuttingDown => Some((GATEWAY_RESTARTING, "voice server restarting")),
        CloseReason::Renew => Some((GATEWAY_RESTARTING, "session is renewed")),
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
        CloseReason::AuthenticationFailed => {
            Some((CONTROL_AUTHENTICATION_FAILED, "authentication failure"))
        }
        CloseReason::Decode => Some((4002, "decode error")),
        CloseReason::TooDeep => Some((4002, "nested too deeply")),
        CloseReason::ShuttingDown => Some((CONTROL_GENERAL, "voice server restarting")),
        CloseReason::IdentifyTimeout => Some((CONTROL_GENERAL, "no IDENTIFY in time")),
        CloseReason::Silence => Some((CONTROL_GENERAL, "silent for too long")),
        CloseReason::SlowReader => Some((CONTROL_GENERAL, "reads too slowly")),
        CloseReason::BadRequest => Some((CONTROL_GENERAL, "wrong field")),
        CloseReason::NotAuthenticated => Some((CONTROL_GENERAL, "IDENTIFY or RESUME first")),
        CloseReason::AlreadyAuthenticated => Some((CONTROL_GENERAL, "already identified")),
        CloseReason::RateLimited => Some((CONTROL_GENERAL, "too many messages")),
        CloseReason::ControlReplaced => Some((CONTROL_GENERAL, "another connection is in use")),
        CloseReason::Overloaded => Some((CONTROL_GENERAL, "limit reached")),
        CloseReason::SessionInvalid
        | CloseReason::UnknownProtocol
        | CloseReason::UnknownMode
        | CloseReason::SelectLimited
        | CloseReason::Disconnected
        | CloseReason::ChannelDestroyed
        | CloseReason::Renew
        | CloseReason::ControlGeneral => Some((CONTROL_GENERAL, "general error")),
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
