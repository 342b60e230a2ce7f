//! Log lines from the server's events. Tokens, keys and session ids are in none of them.

use lvsp_core::output::Event;

pub(crate) fn event(event: &Event) {
    match event {
        Event::ConnectionClosed { plane, reason, .. } => {
            tracing::debug!(?plane, ?reason, "connection closed");
        }
        Event::ControlConnected { client, resumed, .. } => {
            tracing::info!(client = client.0, resumed, "chat server connected");
        }
        Event::ControlLost { client, .. } => {
            tracing::warn!(client = client.0, "chat server lost; calls go on");
        }
        Event::ControlRefused { client, why } => {
            tracing::warn!(client = client.0, %why, "control message refused");
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
                client = client.0,
                "a chat server waits for an answer that differs between the revisions of LVSP: set \
                 its revision in the configuration"
            );
        }
        Event::ForeignAddress { channel, user, address, .. } => {
            tracing::warn!(
                %channel, %user, %address,
                "media from an address that differs from the gateway connection's: it is sent three \
                 times what it sends; media.foreign_udp = \"open\" lifts that"
            );
        }
        Event::MemberGone { channel, user, reason, .. } => {
            tracing::info!(%channel, %user, reason = reason.name(), "member gone");
        }
        other => tracing::debug!(event = ?other, "event"),
    }
}
