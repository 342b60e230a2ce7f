//! Holds lvsp-mio against other servers in one interleaved run; `benches/compare.sh` prepares what
//! this needs.
//!
//! | file | decides |
//! |---|---|
//! | `contest` | which loads are run, against whom, and what their figures are held against |
//! | `swarms` | how clients of the other servers behave |
//! | `forwarder`, `senders`, `handshake` | what a part of the work costs at least |
//! | `tokio_host` | the same server on Tokio |
//! | `mmsg` | many datagrams in one system call |
#![deny(unsafe_code)]

mod contest;
mod forwarder;
mod handshake;
#[allow(unsafe_code, reason = "what the standard library does not offer; the only such file")]
mod mmsg;
mod senders;
mod swarms;
mod tokio_host;

use std::io::{Write, stderr};
use std::net::SocketAddrV4;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Holds lvsp-mio against other servers. Meant to be run by `benches/compare.sh`.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the contest: in the clients' network namespace, as root.
    Run(contest::Options),
    /// Serve as the bare forwarder.
    Forwarder {
        /// Its UDP address.
        #[arg(long)]
        listen: SocketAddrV4,
    },
    /// Send datagrams as fast as possible, and tell how many it were.
    Send(senders::Options),
    /// Serve as lvsp-tokio, with LVSP.
    TokioHost(tokio_host::Options),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Run(options) => contest::run(options),
        Command::Forwarder { listen } => forwarder::serve(listen),
        Command::Send(options) => senders::send(&options),
        Command::TokioHost(options) => tokio_host::serve(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}
