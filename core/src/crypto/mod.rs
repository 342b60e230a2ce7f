//! Ciphers of media packets, and what proves who somebody is.
//!
//! Here: the transport modes and their packet layouts ([`mode`], [`cipher`]), whose code runs them
//! ([`provider`]), the server's nonces ([`nonce`]), the replay window ([`replay`]), constant-time
//! checks of secrets ([`auth`]). Not here: RTP (the caller says how many leading bytes stay clear),
//! sockets, the choice of a mode.
//!
//! One key serves both directions of a session. What keeps its nonces apart is [`nonce`] alone.
#![warn(clippy::indexing_slicing, clippy::cast_possible_truncation)]
#![cfg_attr(
    test,
    expect(
        clippy::indexing_slicing,
        reason = "a test that indexes wrongly fails, which is its job"
    )
)]

mod algorithm;
pub mod auth;
pub mod cipher;
pub mod mode;
pub mod nonce;
pub mod provider;
pub mod replay;
#[cfg(feature = "ring")]
mod ring;

#[cfg(test)]
mod vectors;
