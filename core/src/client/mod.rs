//! The other side of each protocol, as machines of the same shape as the server's.
//!
//! [`ChatServer`] speaks LVSP as a chat server does, [`VoiceClient`] the voice gateway and voice
//! UDP as a client library does. Hosts, tests and tools have their peers in them. They are not for
//! production: they trust what the server says, and keep to the happy path in its order.
//!
//! Bytes, datagrams and the time go in; bytes, datagrams, deadlines and events come out. All but the
//! events is in [`Role`], so that one loop drives both. Their `Sec-WebSocket-Key` comes from
//! [`Entropy`](crate::entropy::Entropy); only the mask bytes of their frames are drawn by a library.

mod chat_server;
mod role;
mod voice_client;
mod voice_media;

pub use chat_server::{ChatEvent, ChatServer};
pub use role::{Connected, Role};
pub use voice_client::{Numbering, Ticket, VoiceClient, VoiceEvent};
pub use voice_media::{FRAME_INTERVAL, Frame};

/// Nesting of any JSON that a server sends.
const JSON_DEPTH: usize = 16;
