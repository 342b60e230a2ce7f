//! Threads that send and do nothing else, each from a socket of its own: how much more two of them
//! send than one is what a second processor is worth here.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::mmsg::Outbox;

/// A forwarded packet of 160 bytes of Opus.
const DATAGRAM_BYTES: usize = 192;
/// Receivers, each with a port.
const RECEIVERS: u16 = 64;
const FIRST_PORT: u16 = 20_000;

/// What is sent.
#[derive(Args)]
pub(crate) struct Options {
    /// How many threads send.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Where to: something there should drop them.
    #[arg(long)]
    to: Ipv4Addr,
    /// For how long.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Sends, and prints how many datagrams it were in a second.
pub(crate) fn send(options: &Options) -> Result<()> {
    let over = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let senders: Vec<_> =
            (0..options.threads).map(|_| scope.spawn(|| flood(options.to, &over))).collect();
        thread::sleep(Duration::from_secs_f64(options.seconds));
        over.store(true, Ordering::Relaxed);
        let join = |sender: thread::ScopedJoinHandle<'_, _>| match sender.join() {
            Ok(sent) => sent,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        senders.into_iter().map(join).sum::<Result<u64>>()
    })?;
    crate::contest::say(&format!("{:.0}", sent as f64 / options.seconds))
}

fn flood(to: Ipv4Addr, over: &AtomicBool) -> Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("a UDP socket")?;
    let mut outbox = Outbox::new();
    let (mut sent, mut receiver) = (0, 0);
    while !over.load(Ordering::Relaxed) {
        while !outbox.is_full() {
            receiver = (receiver + 1) % RECEIVERS;
            outbox.push(SocketAddrV4::new(to, FIRST_PORT + receiver), |_| DATAGRAM_BYTES);
        }
        sent += outbox.send(&socket) as u64;
    }
    Ok(sent)
}
