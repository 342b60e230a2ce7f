//! Both runtimes on real sockets of loopback.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it was about"
)]

mod drivers;
mod peers;
mod scenarios;
mod stage;
mod tokio_host;
