//! A relay between clients and server, in user space, for what the kernel may not offer: it delays,
//! reorders, repeats and corrupts datagrams; it cuts TCP streams into pieces, stalls and resets
//! them. The server sees its addresses, one port for each client.
//!
//! | file | what |
//! |---|---|
//! | `weather` | what befalls what passes: pure, from a seed |
//! | `datagrams`, `streams` | the sockets of each kind |

mod datagrams;
mod streams;
mod weather;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::{Events, Poll};

pub(crate) use weather::{Datagrams, Streams, Weather};

use crate::member::Detour;
use datagrams::DatagramRelay;
use streams::StreamRelay;
use weather::Fates;

/// How long it waits when nothing is delayed.
const IDLE: Duration = Duration::from_millis(20);

/// A relay on a thread of its own; it ends when this is dropped.
pub(crate) struct Relay {
    detour: Detour,
    weather: Arc<Mutex<Weather>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Relay {
    /// Listens on free ports, and passes on to the server's.
    pub(crate) fn start(gateway: SocketAddr, media: SocketAddr, seed: u64) -> Result<Self> {
        let mut poll = Poll::new()?;
        let here = if gateway.ip().is_loopback() { gateway.ip() } else { IpAddr::from([0; 4]) };
        let mut datagrams = DatagramRelay::bind(here, media, poll.registry())?;
        let mut streams = StreamRelay::bind(gateway, poll.registry())?;
        let local = IpAddr::from([127, 0, 0, 1]);
        let detour = Detour {
            gateway: SocketAddr::new(local, streams.port()?),
            media: SocketAddr::new(local, datagrams.port()?),
        };
        let weather = Arc::new(Mutex::new(Weather::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (sky, over) = (Arc::clone(&weather), Arc::clone(&stop));
        let run = move || {
            let mut fates = Fates::new(seed);
            let mut events = Events::with_capacity(1_024);
            while !over.load(Ordering::Relaxed) {
                let next = [datagrams.next_at(), streams.next_at()].into_iter().flatten().min();
                let wait = next.map_or(IDLE, |at| at.saturating_duration_since(Instant::now()));
                match poll.poll(&mut events, Some(wait.min(IDLE))) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    other => other?,
                }
                let weather = *sky.lock().unwrap_or_else(PoisonError::into_inner);
                for event in &events {
                    datagrams.serve(event.token(), poll.registry(), &weather, &mut fates)?;
                    streams.serve(event.token(), poll.registry())?;
                }
                datagrams.pass_on();
                streams.pass_on(&weather, &mut fates);
            }
            Ok(())
        };
        let thread = thread::Builder::new().name("relay".to_owned()).spawn(run)?;
        Ok(Self { detour, weather, stop, thread: Some(thread) })
    }

    /// Where clients find it.
    pub(crate) const fn detour(&self) -> Detour {
        self.detour
    }

    /// The weather changes.
    pub(crate) fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it met is seen by the clients.
            let _ = thread.join();
        }
    }
}
