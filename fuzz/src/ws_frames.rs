//! WebSocket frames of a peer, cut anywhere, on an open connection.
//!
//! Input: two bytes for the message limit, a byte that says how many sizes follow, the sizes of the
//! pieces, then pieces of traffic. A piece of traffic is a frame that is built (so that masks and
//! lengths are right, or wrong on purpose), or raw bytes. It must not matter how the bytes are cut,
//! and a reader by RFC 6455 must find the same messages, answers and reason to fail. What is
//! held is bounded by what arrived and by the limit.

use lvsp_core::limits::Limits;
use lvsp_core::transport::{Stage, Transport, TransportConfig, TransportEvent};

use crate::bounds::hold_within;
use crate::chunks::{Cuts, Outcome, feed};
use crate::frames::{Peer, build};

const HEAD: &[u8] =
    b"GET /?v=8 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";

/// The body of this target.
pub fn ws_frames(data: &[u8]) {
    let Some(([high, low, sizes], rest)) = data.split_first_chunk() else { return };
    let limit = usize::from(u16::from_be_bytes([*high, *low]).max(1));
    let (cuts, traffic) = rest.split_at(usize::from(*sizes).min(rest.len()));
    let bytes = build(traffic);
    let run = |cuts| {
        let config = TransportConfig::new(&Limits::default(), limit);
        let mut transport = Transport::accept(None, config);
        feed(&mut transport, HEAD, Cuts::WHOLE);
        assert_eq!(transport.stage(), Stage::Open);
        feed(&mut transport, &bytes, cuts)
    };
    // What arrived, what is reported of it and what is answered, and one message under way.
    let memory = 6 * bytes.len() + 2 * limit + 64 * 1_024;
    let whole = hold_within(memory, || run(Cuts::WHOLE));
    for cuts in [Cuts(cuts), Cuts::BYTES] {
        let cut = run(cuts);
        assert_eq!(cut.events, whole.events, "{cuts:?}");
        assert_eq!(cut.outbound, whole.outbound, "{cuts:?}");
        assert_eq!(cut.stage, whole.stage, "{cuts:?}");
    }
    agrees(&whole, &Peer::read(&bytes, limit), bytes.len());
}

fn agrees(found: &Outcome, expected: &Peer, received: usize) {
    let (last, messages) = match found.events.split_last() {
        Some((last @ (TransportEvent::Closed { .. } | TransportEvent::Failed(_)), messages)) => {
            assert_eq!(found.stage, Stage::Closed);
            (Some(last), messages)
        }
        Some(_) | None => {
            assert_eq!(found.stage, Stage::Open);
            (None, &found.events[..])
        }
    };
    for (message, expected) in messages.iter().zip(&expected.events) {
        assert!(message == expected, "{}, not {}", shown(message), shown(expected));
    }
    assert_eq!(messages.len(), expected.events.len(), "{messages:?}");
    match (&expected.end, last) {
        (None, None) => {}
        (Some(Ok(code)), Some(TransportEvent::Closed { code: found })) => {
            assert_eq!(Some(*code), *found);
        }
        (Some(Err(reasons)), Some(TransportEvent::Failed(reason))) => {
            assert!(reasons.contains(reason), "{reason:?}, not {reasons:?}");
            let code = found.outbound[found.outbound.len().saturating_sub(20)..].iter();
            assert!(code.len() > 3, "a close frame says why");
        }
        (expected, found) => panic!("ended with {found:?}, not {expected:?}"),
    }
    // Pings are answered with their own bytes and one close frame may follow.
    assert!(found.outbound.len() <= received + 130, "{} bytes", found.outbound.len());
    if last.is_none() {
        assert_eq!(found.outbound, expected.pongs);
    } else {
        assert!(found.outbound.starts_with(&expected.pongs), "pings before the end are answered");
    }
}

/// What a message says: its `Debug` text has only its length.
fn shown(event: &TransportEvent) -> String {
    match event {
        TransportEvent::Text(text) => format!("{text:?}"),
        TransportEvent::Binary(bytes) => format!("{bytes:?}"),
        TransportEvent::Client(_)
        | TransportEvent::Opened { .. }
        | TransportEvent::Pong
        | TransportEvent::Closed { .. }
        | TransportEvent::Failed(_) => format!("{event:?}"),
    }
}
