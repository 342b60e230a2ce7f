//! Bytes in pieces: what is reported must not depend on how TCP cut them.

use lvsp_core::transport::{Stage, Transport, TransportEvent};

/// How bytes are cut: pieces of these sizes in turn; whole when there are none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cuts<'a>(pub(crate) &'a [u8]);

impl Cuts<'_> {
    /// Cuts nowhere.
    pub(crate) const WHOLE: Self = Self(&[]);
    /// Cuts everywhere.
    pub(crate) const BYTES: Self = Self(&[0]);

    fn pieces(self, mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        let mut sizes = self.0.iter().cycle();
        while !bytes.is_empty() {
            let size = sizes.next().map_or(bytes.len(), |size| usize::from(*size) + 1);
            let (piece, rest) = bytes.split_at(size.min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

/// Everything that a transport did with bytes.
#[derive(PartialEq, Debug)]
pub(crate) struct Outcome {
    pub(crate) events: Vec<TransportEvent>,
    pub(crate) outbound: Vec<u8>,
    pub(crate) stage: Stage,
}

/// Gives `bytes` to a transport in pieces. Whoever a proxy names is let in at once.
pub(crate) fn feed(transport: &mut Transport, bytes: &[u8], cuts: Cuts<'_>) -> Outcome {
    let (mut events, mut outbound) = (Vec::new(), Vec::new());
    for piece in cuts.pieces(bytes) {
        transport.handle_bytes(piece);
        while let Some(event) = transport.poll_event() {
            let is_client = matches!(event, TransportEvent::Client(_));
            events.push(event);
            if is_client {
                transport.proceed();
            }
        }
        let waiting = transport.outbound().len();
        outbound.extend_from_slice(transport.outbound());
        transport.consume(waiting);
    }
    assert_eq!(transport.is_finished(), transport.stage() == Stage::Closed, "all is written");
    Outcome { events, outbound, stage: transport.stage() }
}
