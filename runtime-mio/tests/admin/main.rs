//! The admin plane of a running server, asked over HTTP while real clients talk.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod captures;
#[path = "../common/mod.rs"]
mod common;
mod explanations;
mod figures;
mod requests;
mod site;
