//! The far end of a WebSocket connection.

use std::net::SocketAddr;

use lvsp_core::limits::Limits;
use lvsp_core::output::Plane;
use lvsp_core::transport::{Transport, TransportConfig, TransportEvent};
use serde_json::Value;

use crate::kit::{Kit, Who};
use crate::network::{Way, Wire};

/// What came over a link.
pub(crate) enum Heard {
    Opened,
    Message(Value),
    /// The end, with the close code that was read.
    Closed(Option<u16>),
}

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) wire: Wire,
    transport: Transport,
    /// Bytes written so far.
    written: u64,
}

impl Link {
    pub(crate) fn open(
        kit: &mut Kit,
        who: Who,
        plane: Plane,
        address: SocketAddr,
        target: &str,
    ) -> Self {
        let wire = kit.network.open(kit.now, &mut kit.agenda, who, plane, address);
        let config = TransportConfig::new(&Limits::default(), 1 << 20);
        #[expect(clippy::expect_used, reason = "nothing of a plain connection can be wrong")]
        let transport = Transport::connect(None, "voice.example.org", target, [7; 16], config)
            .expect("a plain connection needs nothing");
        let mut link = Self { wire, transport, written: 0 };
        link.flush(kit);
        link
    }

    pub(crate) fn say(&mut self, kit: &mut Kit, message: &Value) {
        self.say_text(kit, &message.to_string());
    }

    pub(crate) fn say_text(&mut self, kit: &mut Kit, text: &str) {
        kit.trace.note(kit.now, text);
        kit.tell(|| format!("{:?} {} -> {text}", kit.network.who(self.wire), self.wire));
        self.transport.send_text(text);
        self.flush(kit);
    }

    pub(crate) fn say_binary(&mut self, kit: &mut Kit, bytes: &[u8]) {
        self.transport.send_binary(bytes);
        self.flush(kit);
    }

    /// How many bytes have to arrive before everything said so far was heard.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// The program is gone; its system ends the connection.
    pub(crate) fn drop(self, kit: &mut Kit) {
        kit.network.cut(kit.now, &mut kit.agenda, self.wire);
    }

    pub(crate) fn hear(&mut self, kit: &mut Kit, bytes: &[u8]) -> Vec<Heard> {
        self.transport.handle_bytes(bytes);
        self.collect(kit)
    }

    pub(crate) fn end(&mut self, kit: &mut Kit) -> Vec<Heard> {
        self.transport.handle_eof();
        self.collect(kit)
    }

    fn collect(&mut self, kit: &mut Kit) -> Vec<Heard> {
        let mut heard = Vec::new();
        while let Some(event) = self.transport.poll_event() {
            match event {
                TransportEvent::Opened { .. } => heard.push(Heard::Opened),
                TransportEvent::Text(text) => {
                    kit.trace.note(kit.now, &text);
                    kit.tell(|| {
                        format!("{:?} {} <- {text}", kit.network.who(self.wire), self.wire)
                    });
                    match serde_json::from_str(&text) {
                        Ok(message) => heard.push(Heard::Message(message)),
                        Err(error) => {
                            kit.oracle.fault(format!("the server sent {text:?}: {error}"))
                        }
                    }
                }
                TransportEvent::Closed { code } => {
                    kit.tell(|| {
                        format!("{:?} {} closed {code:?}", kit.network.who(self.wire), self.wire)
                    });
                    heard.push(Heard::Closed(code));
                }
                TransportEvent::Failed(_) => heard.push(Heard::Closed(None)),
                TransportEvent::Client(_) | TransportEvent::Binary(_) | TransportEvent::Pong => {}
            }
        }
        self.flush(kit);
        heard
    }

    fn flush(&mut self, kit: &mut Kit) {
        let bytes = self.transport.outbound().to_vec();
        self.transport.consume(bytes.len());
        self.written += bytes.len() as u64;
        kit.network.send(kit.now, &mut kit.agenda, self.wire, Way::Up, &bytes);
    }
}
