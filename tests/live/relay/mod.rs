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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    /// A read that takes longer has failed, on however busy a machine.
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(60));

    fn servers() -> (TcpListener, UdpSocket, Relay) {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_read_timeout(PATIENCE).unwrap();
        let (gateway, media) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
        let relay = Relay::start(gateway, media, 1).unwrap();
        (tcp, udp, relay)
    }

    #[test]
    fn each_client_has_a_port_of_its_own_at_the_server_and_gets_its_own_answers() {
        let (_tcp, server, relay) = servers();
        let mut ports = Vec::new();
        for word in [b"one", b"two"] {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.set_read_timeout(PATIENCE).unwrap();
            client.send_to(word, relay.detour().media).unwrap();
            let mut buffer = [0; 8];
            let (length, from) = server.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], word);
            server.send_to(b"back", from).unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), 4);
            ports.push(from.port());
        }
        assert_ne!(ports[0], ports[1]);
    }

    #[test]
    fn streams_arrive_whole_in_whatever_pieces_and_end_where_they_ended() {
        let (server, _udp, relay) = servers();
        let streams = Streams { piece: 7, ..Streams::default() };
        relay.set(Weather { streams, ..Weather::default() });
        let said: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let mut client = TcpStream::connect(relay.detour().gateway).unwrap();
        client.set_read_timeout(PATIENCE).unwrap();
        client.write_all(&said).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let (mut far, _) = server.accept().unwrap();
        far.set_read_timeout(PATIENCE).unwrap();
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, said);
        far.write_all(b"answer").unwrap();
        drop(far);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    }
}
