//! The server's role in LVSP, without sockets and without channels.
//!
//! [`link`] is one connection of a chat server: which message is legal when. [`session`] is what
//! survives the connection: numbers, replay, the state dump's cursor, and what is yet to be told
//! ([`outbox`]). [`revision`] turns a revision's messages into [`crate::command::Command`]s and
//! news into its messages. Membership belongs to `server`.
//!
//! ```text
//!            HELLO out         IDENTIFY / RESUME ok
//! (opened) ───────────▶ Fresh ─────────────────────▶ Live
//!                         │                            ▲
//!                         └─ another connection lives: │ it stays silent for 5 s
//!                            Waiting ──────────────────┘
//! ```

pub(crate) mod link;
pub(crate) mod outbox;
pub(crate) mod revision;
pub(crate) mod session;
