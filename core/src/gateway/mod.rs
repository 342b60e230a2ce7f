//! The voice gateway's machines, without sockets and without other people.
//!
//! [`link`] is one connection: which message is legal when, in which version's form. [`session`]
//! is what survives it: numbering, replay, what the client knows of the others. Neither touches
//! the chat server's side or media; `server` reads what happened and acts.
//!
//! ```text
//!            Hello out        Identify ok            Select Protocol
//! (opened) ───────────▶ Fresh ───────────▶ Identified ───────────▶ Identified, and live
//!                         │                     ▲ ▲                  ▲ │ Select again: new key
//!                         ├─ unknown: Held ─────┘ │                  │ ▼
//!                         └─ Resume ok ───────────┴──────────────────┘
//! ```

pub(crate) mod link;
pub(crate) mod roster;
pub(crate) mod session;
