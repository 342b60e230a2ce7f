//! The relay's UDP half: one socket for all clients, and one for each towards the server.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use anyhow::Result;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use super::weather::{Fates, Way, Weather, flip};

/// Tokens of this half are even.
const FRONT: Token = Token(0);

/// A datagram under way: when it is due, a number that keeps equal ones in order, which client it
/// belongs to, and which way it goes.
type Delayed = Reverse<(Instant, u64, usize, bool, Vec<u8>)>;

pub(super) struct DatagramRelay {
    front: UdpSocket,
    server: SocketAddr,
    here: IpAddr,
    clients: Vec<(SocketAddr, UdpSocket)>,
    by_address: HashMap<SocketAddr, usize>,
    delayed: BinaryHeap<Delayed>,
    count: u64,
}

impl DatagramRelay {
    pub(super) fn bind(here: IpAddr, server: SocketAddr, registry: &Registry) -> Result<Self> {
        let mut front = UdpSocket::bind(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 0))?;
        socket2::SockRef::from(&front).set_recv_buffer_size(4 << 20)?;
        registry.register(&mut front, FRONT, Interest::READABLE)?;
        let (clients, by_address) = (Vec::new(), HashMap::new());
        let delayed = BinaryHeap::new();
        Ok(Self { front, server, here, clients, by_address, delayed, count: 0 })
    }

    pub(super) fn port(&self) -> Result<u16> {
        Ok(self.front.local_addr()?.port())
    }

    /// When the next datagram is due.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.delayed.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes what has arrived at one socket.
    pub(super) fn serve(
        &mut self,
        token: Token,
        registry: &Registry,
        weather: &Weather,
        fates: &mut Fates,
    ) -> Result<()> {
        let mut buffer = [0; 2_048];
        if token == FRONT {
            while let Ok((length, from)) = self.front.recv_from(&mut buffer) {
                let client = self.client(from, registry)?;
                self.delay(weather, fates, client, Way::Up, &buffer[..length]);
            }
        } else if token.0.is_multiple_of(2) {
            let client = token.0 / 2 - 1;
            while let Some((_, socket)) = self.clients.get(client)
                && let Ok(length) = socket.recv(&mut buffer)
            {
                self.delay(weather, fates, client, Way::Down, &buffer[..length]);
            }
        }
        Ok(())
    }

    /// The client at this address; a new one gets a socket of its own.
    fn client(&mut self, from: SocketAddr, registry: &Registry) -> Result<usize> {
        if let Some(client) = self.by_address.get(&from) {
            return Ok(*client);
        }
        let client = self.clients.len();
        let mut socket = UdpSocket::bind(SocketAddr::new(self.here, 0))?;
        socket.connect(self.server)?;
        registry.register(&mut socket, Token(2 * client + 2), Interest::READABLE)?;
        self.clients.push((from, socket));
        self.by_address.insert(from, client);
        Ok(client)
    }

    fn delay(
        &mut self,
        weather: &Weather,
        fates: &mut Fates,
        client: usize,
        way: Way,
        bytes: &[u8],
    ) {
        let passages = fates.datagram(&weather.datagrams, way, bytes.len());
        for passage in passages.into_iter().flatten() {
            let mut bytes = bytes.to_vec();
            if let Some(bit) = passage.flip {
                flip(&mut bytes, bit);
            }
            self.count += 1;
            let at = Instant::now() + passage.after;
            self.delayed.push(Reverse((at, self.count, client, way == Way::Up, bytes)));
        }
    }

    /// Sends what is due.
    pub(super) fn pass_on(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, ..))) = self.delayed.peek()
            && *at <= now
        {
            let Some(Reverse((_, _, client, up, bytes))) = self.delayed.pop() else { return };
            let Some((address, socket)) = self.clients.get(client) else { continue };
            // A datagram that a socket refuses is lost; that is its nature.
            let _ = if up { socket.send(&bytes) } else { self.front.send_to(&bytes, *address) };
        }
    }
}
