//! The server's role in LVSP, without sockets and without channels.
//!
//! [`link`] is one connection of a chat server: which message is legal when, and which
//! [`crate::command::Command`] it stands for. [`session`] is what survives the connection:
//! numbers, replay, the state dump's cursor. Membership belongs to `server`.
//!
//! ```text
//!            HELLO out         IDENTIFY / RESUME ok
//! (opened) ───────────▶ Fresh ─────────────────────▶ Live
//!                         │                            ▲
//!                         └─ another connection lives: │ it stays silent for 5 s
//!                            Waiting ──────────────────┘
//! ```

pub(crate) mod link;
pub(crate) mod session;
