//! Log lines from the server's events. Tokens, keys and session ids are in none of them.
//!
//! Of each kind one line a second is written, and how many were left out: peers decide how much
//! happens, and must not decide how much is logged. Not limited is what is only logged for debugging,
//! and refused orders, of which each kind is told once in a session already.

use std::collections::HashMap;
use std::mem::{self, Discriminant};
use std::net::SocketAddr;
use std::time::Duration;

use lvsp_core::ids::ControlId;
use lvsp_core::output::{Event, Plane};
use lvsp_core::reasons::CloseReason;
use lvsp_core::server::Server;
use lvsp_core::time::Timestamp;

/// From one line of a kind to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes lines, as far as there are not too many of them.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// By the variants of [`Event`] and reasons to close, of which there are few.
    kinds: HashMap<(Discriminant<Event>, Option<CloseReason>), Kind>,
    not_allowed: Kind,
}

/// The lines of one kind.
#[derive(Debug, Default)]
struct Kind {
    next: Timestamp,
    left_out: u64,
}

impl Log {
    pub(crate) fn event(&mut self, now: Timestamp, event: &Event, server: &Server) {
        if let Some(left_out) = self.admit(now, event) {
            tell_left_out(left_out);
            line(event, server);
        }
    }

    /// A connection that is not taken, told like those that end.
    pub(crate) fn not_allowed(&mut self, now: Timestamp, peer: SocketAddr) {
        if let Some(left_out) = admit(&mut self.not_allowed, now) {
            tell_left_out(left_out);
            tracing::warn!(
                %peer,
                "a connection to control.listen from outside the networks of control.allow was refused"
            );
        }
    }

    /// Whether a line may be written, and how many of its kind were not since the last one.
    fn admit(&mut self, now: Timestamp, event: &Event) -> Option<u64> {
        if is_unlimited(event) {
            return Some(0);
        }
        let kind = self.kinds.entry((mem::discriminant(event), mistake(event))).or_default();
        admit(kind, now)
    }
}

/// Whether another line of this kind may be written, and how many were not since the last one.
fn admit(kind: &mut Kind, now: Timestamp) -> Option<u64> {
    if now < kind.next {
        kind.left_out += 1;
        return None;
    }
    kind.next = now + INTERVAL;
    Some(mem::take(&mut kind.left_out))
}

fn tell_left_out(left_out: u64) {
    if left_out > 0 {
        tracing::info!(left_out, "lines like the next one were left out");
    }
}

/// Why a connection ended, where an operator may have to mend something.
fn mistake(event: &Event) -> Option<CloseReason> {
    let Event::ConnectionClosed { plane, reason, .. } = event else { return None };
    let is_secret = *plane == Plane::Control && *reason == CloseReason::AuthenticationFailed;
    (is_secret || *reason == CloseReason::NotTls).then_some(*reason)
}

/// Whether it is logged for debugging alone, or few by itself.
fn is_unlimited(event: &Event) -> bool {
    if matches!(event, Event::ConnectionClosed { .. }) {
        return mistake(event).is_none();
    }
    matches!(
        event,
        Event::ChannelUpdated { .. }
            | Event::ChannelDestroyed { .. }
            | Event::ControlRefused { .. }
    )
}

/// Its name in the configuration.
fn name_of(client: ControlId, server: &Server) -> String {
    let found = server.control_views().find(|view| view.client == client);
    found.map_or_else(|| client.0.to_string(), |view| view.name)
}

fn line(event: &Event, server: &Server) {
    let name = |client: &ControlId| name_of(*client, server);
    match event {
        Event::ConnectionClosed { plane, peer, reason, .. } => {
            connection_closed(*plane, *peer, *reason);
        }
        Event::ProxyRefused { proxy, reason } => {
            tracing::warn!(%proxy, reason = reason.name(), "{}", refused_proxy(*reason));
        }
        Event::ProxySilent { proxy } => {
            tracing::warn!(
                %proxy,
                "a trusted proxy does not say who its client is: have it set the header of \
                 gateway.client_address; until then this client's media can come from anywhere"
            );
        }
        Event::ControlConnected { client, resumed, .. } => {
            let view = server.control_views().find(|view| view.client == *client);
            let peer = view.and_then(|view| view.peer).map(tracing::field::display);
            tracing::info!(chat_server = name(client), peer, resumed, "chat server connected");
        }
        Event::ControlLost { client, .. } => {
            tracing::warn!(chat_server = name(client), "chat server lost; calls go on");
        }
        Event::ControlRefused { client, why } => {
            tracing::warn!(chat_server = name(client), %why, "control message refused");
        }
        Event::ChannelUpdated { channel, bitrate, .. } => {
            tracing::debug!(%channel, bitrate, "channel updated");
        }
        Event::ChannelDestroyed { channel, .. } => tracing::debug!(%channel, "channel destroyed"),
        Event::MemberConnected { channel, user, .. } => {
            tracing::info!(%channel, %user, "member connected");
        }
        Event::MemberDetached { channel, user, .. } => {
            tracing::info!(%channel, %user, "member detached");
        }
        Event::ControlUndecided { client } => {
            tracing::warn!(
                chat_server = name(client),
                "a chat server waits for an answer that differs between the revisions of LVSP: set \
                 its revision in the configuration"
            );
        }
        Event::ForeignAddress { channel, user, address, .. } => {
            tracing::warn!(
                %channel, %user, %address,
                "media from an address that differs from the gateway connection's: it is sent \
                 three times what it sends; media.foreign_udp = \"open\" lifts that"
            );
        }
        Event::MemberGone { channel, user, reason, .. } => {
            tracing::info!(%channel, %user, reason = reason.name(), "member gone");
        }
        other => tracing::debug!(event = ?other, "event"),
    }
}

fn connection_closed(plane: Plane, peer: SocketAddr, reason: CloseReason) {
    match (plane, reason) {
        (_, CloseReason::NotTls) => tracing::warn!(
            key = plane_key(plane), %peer,
            "a client spoke plain HTTP or something else to this TLS port; it has to use wss:// \
             or https://, or a proxy in front must speak TLS to it (or tls.off = true behind the \
             proxy)"
        ),
        (Plane::Control, CloseReason::AuthenticationFailed) => tracing::warn!(
            %peer,
            "a chat server gave a wrong secret: it must be that of control.secret, \
             control.secret_file or its [[control.client]]"
        ),
        (Plane::Control | Plane::Gateway, reason) => {
            tracing::debug!(?plane, %peer, %reason, "connection closed");
        }
    }
}

/// What to do about a connection that a proxy began in the wrong way.
const fn refused_proxy(reason: CloseReason) -> &'static str {
    if matches!(reason, CloseReason::UntrustedProxy) {
        "the PROXY protocol from an address that is not believed: name its network in \
         gateway.trusted_proxies and set gateway.client_address = \"proxy-protocol\", or switch it \
         off there"
    } else if matches!(reason, CloseReason::ProxyHeaderTooBig) {
        "a PROXY protocol header over limits.proxy_header_bytes: have the proxy send less"
    } else {
        "no PROXY protocol header from a trusted proxy, or a malformed one: switch the protocol on \
         there, or change gateway.client_address"
    }
}

/// The configuration key of a listener.
const fn plane_key(plane: Plane) -> &'static str {
    match plane {
        Plane::Control => "control.listen",
        Plane::Gateway => "gateway.listen",
    }
}

#[cfg(test)]
mod tests {
    use lvsp_core::ids::{ChannelId, ConnId};
    use lvsp_core::slab::Slab;

    use super::*;

    fn connection() -> ConnId {
        Slab::default().insert(())
    }

    #[test]
    fn one_line_a_second_of_each_kind_and_the_rest_is_counted() {
        let at = Timestamp::from_millis;
        let client = ControlId(0);
        let lost = Event::ControlLost { client, conn: connection() };
        let connected = Event::ControlConnected { client, conn: connection(), resumed: false };
        let detail = Event::ChannelDestroyed { client, channel: ChannelId::MIN };
        let mut log = Log::default();
        assert_eq!(log.admit(at(5_000), &lost), Some(0));
        assert!((0..1_000).all(|n| log.admit(at(5_000 + n), &lost).is_none()));
        assert_eq!(log.admit(at(5_500), &connected), Some(0), "another kind");
        assert_eq!(log.admit(at(6_000), &lost), Some(1_000));
        assert_eq!(log.admit(at(7_000), &lost), Some(0));
        assert!((0..10).all(|_| log.admit(at(7_000), &detail) == Some(0)));
        let peer = SocketAddr::from(([192, 0, 2, 7], 4_711));
        let closed = |reason| Event::ConnectionClosed {
            plane: Plane::Control,
            conn: connection(),
            peer,
            reason,
        };
        let (secret, tls) = (CloseReason::AuthenticationFailed, CloseReason::NotTls);
        assert_eq!(log.admit(at(7_000), &closed(secret)), Some(0));
        assert_eq!(log.admit(at(7_000), &closed(tls)), Some(0), "another mistake");
        assert_eq!(log.admit(at(7_000), &closed(secret)), None);
        let ended = closed(CloseReason::PeerClosed);
        assert!((0..10).all(|_| log.admit(at(7_000), &ended) == Some(0)));
    }
}
