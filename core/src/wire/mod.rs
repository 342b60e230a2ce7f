//! Codecs: bytes to values and back.
//!
//! Every function here is pure and total: any input gives a value or a refusal, never a panic, and
//! nothing is remembered. Who may say what and when is decided by the session machines above;
//! sizes are limited by the transport below; encryption is elsewhere. Below this module nobody
//! sees JSON or raw offsets.
//!
//! | module | speaks |
//! |---|---|
//! | [`gateway`] | JSON between voice clients and this server |
//! | [`lvsp`] | JSON between chat servers and this server |
//! | [`discovery`] | UDP address discovery, pings, keepalives; which datagram is what |
//! | [`rtp`], [`rtcp`] | media headers |
//! | [`close`] | WebSocket close codes of both protocols |
//! | [`json`], [`secret`] | what the JSON codecs share |
#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "a test may panic, that is what it is for"
    )
)]

pub mod close;
pub mod discovery;
pub mod gateway;
pub mod json;
pub mod lvsp;
pub mod rtcp;
pub mod rtp;
pub mod secret;
