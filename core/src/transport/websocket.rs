//! WebSocket frames <-> messages, by tungstenite over memory.
//!
//! Here: one context with the bounds that a server with many idle clients needs, and the close code
//! for each broken rule. Not here: the upgrade before it and TLS below it.
//!
//! Invariant: a frame's declared length is checked before memory is set aside for it, memory grows
//! only with what was received (`gate.rs`), and what is held is less than one message. Pings are
//! answered, close frames are echoed; nothing that a caller must flush stays inside.
//!
//! tungstenite writes payloads to the `log` facade at its level `trace`: hosts keep it below.

use bytes::Bytes;
use tungstenite::error::CapacityError;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use super::gate::{Gate, GateStep};
use super::pipe::Pipe;
use crate::reasons::CloseReason;

/// One WebSocket connection after its upgrade.
pub(super) struct WebSocket {
    context: WebSocketContext,
    gate: Gate,
    role: Role,
    message_bytes: usize,
    outbound_bytes: usize,
}

/// What arrived.
pub(super) enum WebSocketEvent {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Bytes),
    /// The answer to one of our pings, or an unasked one.
    Pong,
    /// The peer's close frame; the echo is in the output. The last event.
    Closed {
        /// The code it carried; 1005 when it carried none.
        code: u16,
    },
    /// A broken rule; our close frame is in the output. The last event.
    Failed(CloseReason),
}

impl WebSocket {
    /// The accepting side.
    pub(super) fn server(message_bytes: usize, outbound_bytes: usize) -> Self {
        Self::new(Role::Server, message_bytes, outbound_bytes)
    }

    /// The connecting side: masks what it sends with random bytes of the library.
    pub(super) fn client(message_bytes: usize, outbound_bytes: usize) -> Self {
        Self::new(Role::Client, message_bytes, outbound_bytes)
    }

    fn new(role: Role, message_bytes: usize, outbound_bytes: usize) -> Self {
        let context = WebSocketContext::new(role, Some(config(message_bytes, outbound_bytes)));
        Self { context, gate: Gate::new(message_bytes), role, message_bytes, outbound_bytes }
    }

    /// Bytes of messages that are not complete.
    pub(super) const fn held(&self) -> usize {
        self.gate.held()
    }

    /// Changes the largest message taken. A frame whose head was read already stays admitted.
    pub(super) fn set_message_limit(&mut self, bytes: usize) {
        self.message_bytes = bytes;
        self.gate.set_limit(bytes);
        self.context.set_config(|config| {
            config.max_message_size = Some(bytes);
            config.max_frame_size = Some(bytes);
        });
    }

    /// The next event of `input`, or `None` when all of it is taken. Call until then.
    pub(super) fn handle(
        &mut self,
        input: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Option<WebSocketEvent> {
        loop {
            let frame = match self.gate.next(input) {
                GateStep::More => None,
                GateStep::Frame(frame) => Some(frame),
                GateStep::TooBig => return self.fail(&too_long(self.message_bytes), output),
            };
            let mut whole = frame.as_deref().unwrap_or_default();
            let mut pipe = Pipe { input: &mut whole, output };
            match self.context.read(&mut pipe) {
                Ok(Message::Text(text)) => {
                    let text = text.as_str().to_owned();
                    self.give_memory_back(text.len(), output);
                    return Some(WebSocketEvent::Text(text));
                }
                // A copy: a slice of the read buffer would keep the whole buffer alive.
                Ok(Message::Binary(bytes)) => {
                    let bytes = Bytes::copy_from_slice(&bytes);
                    self.give_memory_back(bytes.len(), output);
                    return Some(WebSocketEvent::Binary(bytes));
                }
                Ok(Message::Pong(_)) => return Some(WebSocketEvent::Pong),
                // The pong is written by the next read.
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                Ok(Message::Close(frame)) => {
                    // Writes the echo; "connection closed" is what it reports after that.
                    let _written = self.context.flush(&mut pipe);
                    let code = frame.map_or(NO_CODE, |frame| frame.code.into());
                    return Some(WebSocketEvent::Closed { code });
                }
                // A part of a message. What follows it may be here already.
                Err(Error::Io(_)) if frame.is_some() => {}
                Err(error) => return self.fail(&error, output),
            }
        }
    }

    /// Writes one message.
    ///
    /// # Errors
    /// [`CloseReason::SlowReader`] for a message over the outbound limit; it is not sent.
    pub(super) fn send(
        &mut self,
        message: Message,
        output: &mut Vec<u8>,
    ) -> Result<(), CloseReason> {
        let mut pipe = Pipe { input: &mut &[][..], output };
        match self.context.write(&mut pipe, message) {
            Ok(()) => Ok(()),
            Err(Error::WriteBufferFull(_)) => Err(CloseReason::SlowReader),
            Err(_) => Err(CloseReason::WebSocketProtocol),
        }
    }

    /// Writes a close frame, once. A reason that does not fit in the frame is cut.
    pub(super) fn close(&mut self, code: u16, reason: &str, output: &mut Vec<u8>) {
        let mut end = reason.len().min(REASON_BYTES);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let frame = CloseFrame { code: code.into(), reason: reason[..end].into() };
        let mut pipe = Pipe { input: &mut &[][..], output };
        // A pong that is due goes first: nothing may follow the goodbye.
        let _written = self.context.flush(&mut pipe);
        let _written = self.context.close(&mut pipe, Some(frame));
    }

    /// After a large message, begins with a new library context: the old one keeps memory as large
    /// as the largest frame it ever saw.
    fn give_memory_back(&mut self, message: usize, output: &mut Vec<u8>) {
        if message > KEPT_BYTES && self.context.can_write() && self.gate.held() == 0 {
            let mut pipe = Pipe { input: &mut &[][..], output };
            // Whatever is to be answered still, as pings are.
            let _written = self.context.flush(&mut pipe);
            let config = config(self.message_bytes, self.outbound_bytes);
            self.context = WebSocketContext::new(self.role, Some(config));
        }
    }

    fn fail(&mut self, error: &Error, output: &mut Vec<u8>) -> Option<WebSocketEvent> {
        let (code, text, reason) = match error {
            // `WouldBlock`: the pipe is empty. It has no other error.
            Error::Io(_) => return None,
            Error::ConnectionClosed | Error::AlreadyClosed => {
                debug_assert!(false, "nothing is read after the last event");
                return None;
            }
            Error::Capacity(_) => (CloseCode::Size, "too big", CloseReason::MessageTooBig),
            Error::Utf8(_) => (CloseCode::Invalid, "not UTF-8", CloseReason::WebSocketProtocol),
            Error::Tls(_)
            | Error::Protocol(_)
            | Error::WriteBufferFull(_)
            | Error::AttackAttempt
            | Error::Url(_)
            | Error::Http(_)
            | Error::HttpFormat(_) => {
                (CloseCode::Protocol, "protocol error", CloseReason::WebSocketProtocol)
            }
        };
        self.close(code.into(), text, output);
        Some(WebSocketEvent::Failed(reason))
    }
}

fn config(message_bytes: usize, outbound_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(outbound_bytes.max(1_024))
        .max_message_size(Some(message_bytes))
        .max_frame_size(Some(message_bytes))
}

/// Stands for "a close frame without a code" (RFC 6455 section 7.1.5).
const NO_CODE: u16 = 1_005;

/// How much the library reads at once, and what it holds when idle.
const READ_BYTES: usize = 512;
/// After a message above this the library's memory is given back.
const KEPT_BYTES: usize = 1_024;

fn too_long(max_size: usize) -> Error {
    Error::Capacity(CapacityError::MessageTooLong { size: usize::MAX, max_size })
}

/// What a control frame of 125 bytes leaves for the reason.
const REASON_BYTES: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame with a mask of zeros.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | length as u8),
            length => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(payload);
        bytes
    }

    fn run(input: &[u8]) -> (Vec<WebSocketEvent>, Vec<u8>) {
        let (mut socket, mut output) = (WebSocket::server(1_024, 4_096), Vec::new());
        let (mut input, mut events) = (input, Vec::new());
        while let Some(event) = socket.handle(&mut input, &mut output) {
            let is_last =
                matches!(event, WebSocketEvent::Closed { .. } | WebSocketEvent::Failed(_));
            events.push(event);
            if is_last {
                break;
            }
        }
        (events, output)
    }

    fn fails(input: &[u8], reason: CloseReason, code: u16) {
        let (events, output) = run(input);
        assert!(matches!(events[..], [WebSocketEvent::Failed(found)] if found == reason));
        assert_eq!(output[0], 0x88);
        assert_eq!(output[2..4], code.to_be_bytes());
    }

    #[test]
    fn fragments_make_one_message_and_pings_between_them_are_answered() {
        let input =
            [frame(0x01, b"one "), frame(0x89, b"?"), frame(0x00, b""), frame(0x80, b"message")]
                .concat();
        let (events, output) = run(&input);
        assert!(matches!(&events[..], [WebSocketEvent::Text(text)] if text == "one message"));
        assert_eq!(output, [0x8A, 1, b'?']);
    }

    #[test]
    fn a_ping_is_answered_before_the_goodbye_and_not_after_it() {
        let head = [0x82, 0xFE, 0xFF, 0xFF];
        let (_, output) = run(&[&frame(0x89, b"?")[..], &head].concat());
        assert_eq!(output[..3], [0x8A, 1, b'?']);
        assert_eq!(output[3], 0x88);
    }

    #[test]
    fn a_declared_length_over_the_limit_fails_before_its_bytes_arrive() {
        let mut head = vec![0x82, 0x80 | 127];
        head.extend_from_slice(&(u64::MAX >> 1).to_be_bytes());
        head.extend_from_slice(&[0; 4]);
        fails(&head, CloseReason::MessageTooBig, 1_009);
        fails(&frame(0x82, &[0; 1_025])[..8], CloseReason::MessageTooBig, 1_009);
    }

    #[test]
    fn fragments_over_the_limit_fail_together() {
        let input = [frame(0x02, &[0; 1_000]), frame(0x80, &[0; 25])].concat();
        fails(&input, CloseReason::MessageTooBig, 1_009);
    }

    #[test]
    fn broken_rules_have_their_codes() {
        let broken = CloseReason::WebSocketProtocol;
        fails(&[0x81, 1, b'a'], broken, 1_002); // not masked
        fails(&frame(0xC1, b"a"), broken, 1_002); // compressed
        fails(&frame(0x80, b"a"), broken, 1_002); // continues nothing
        fails(&frame(0x89, &[0; 126]), broken, 1_002); // control frame over 125
        fails(&frame(0x81, b"\xFF"), broken, 1_007); // not UTF-8
    }

    #[test]
    fn a_close_frame_is_echoed() {
        let (events, output) = run(&frame(0x88, &1_000_u16.to_be_bytes()));
        assert!(matches!(events[..], [WebSocketEvent::Closed { code: 1_000 }]));
        assert_eq!(output, [0x88, 2, 0x03, 0xE8]);
        let (events, output) = run(&frame(0x88, b""));
        assert!(matches!(events[..], [WebSocketEvent::Closed { code: NO_CODE }]));
        assert_eq!(output, [0x88, 0]);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut output = Vec::new();
        WebSocket::server(1_024, 4_096).close(4_000, &"ä".repeat(100), &mut output);
        assert_eq!(output[1], 2 + 122);
    }

    #[test]
    fn a_message_over_the_outbound_limit_is_refused() {
        let (mut socket, mut output) = (WebSocket::server(1_024, 4_096), Vec::new());
        let message = Message::Binary(vec![0; 5_000].into());
        assert_eq!(socket.send(message, &mut output), Err(CloseReason::SlowReader));
        assert!(output.is_empty());
    }
}
