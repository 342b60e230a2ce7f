//! The relay's TCP half: for each connection of a client one to the server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Result;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use super::weather::{Fates, Piece, Weather};

/// Tokens of this half are odd.
const LISTENER: Token = Token(1);
/// Bytes that wait in one direction before no more are read.
const WAITING_MAX: usize = 64 * 1_024;
/// A socket that is full is tried again after this.
const RETRY: Duration = Duration::from_millis(5);

/// One direction of a connection.
#[derive(Default)]
struct Flow {
    waiting: Vec<u8>,
    /// The piece that is passed on next, and when.
    piece: Option<(usize, Instant)>,
    /// Whether bytes may be left at the sender's socket for want of room.
    full: bool,
    /// Whether the sender has ended its side.
    ended: bool,
    /// Whether the receiver was told.
    closed: bool,
}

struct Pair {
    client: TcpStream,
    server: TcpStream,
    up: Flow,
    down: Flow,
}

pub(super) struct StreamRelay {
    listener: TcpListener,
    server: SocketAddr,
    pairs: Vec<Option<Pair>>,
}

impl StreamRelay {
    pub(super) fn bind(server: SocketAddr, registry: &Registry) -> Result<Self> {
        let address = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 0);
        let mut listener = TcpListener::bind(address)?;
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self { listener, server, pairs: Vec::new() })
    }

    pub(super) fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// When something is to be done whatever the sockets say.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let flows = self.pairs.iter().flatten().flat_map(|pair| [&pair.up, &pair.down]);
        flows.filter_map(|flow| flow.piece.map(|(_, at)| at)).min()
    }

    /// Takes what has arrived at one socket.
    pub(super) fn serve(&mut self, token: Token, registry: &Registry) -> Result<()> {
        if token == LISTENER {
            while let Ok((client, _)) = self.listener.accept() {
                self.open(client, registry)?;
            }
        } else if token.0 % 2 == 1 {
            let at = (token.0 - 3) / 4;
            if let Some(pair) = self.pairs.get_mut(at).and_then(Option::as_mut)
                && pair.read().is_err()
            {
                self.pairs[at] = None;
            }
        }
        Ok(())
    }

    fn open(&mut self, mut client: TcpStream, registry: &Registry) -> Result<()> {
        let at = self.pairs.len();
        let both = Interest::READABLE | Interest::WRITABLE;
        let mut server = TcpStream::connect(self.server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        registry.register(&mut client, Token(4 * at + 3), both)?;
        registry.register(&mut server, Token(4 * at + 5), both)?;
        let (up, down) = (Flow::default(), Flow::default());
        self.pairs.push(Some(Pair { client, server, up, down }));
        Ok(())
    }

    /// Passes on what is due.
    pub(super) fn pass_on(&mut self, weather: &Weather, fates: &mut Fates) {
        for slot in &mut self.pairs {
            let Some(pair) = slot else { continue };
            if pair.pass_on(weather, fates).is_err() {
                for stream in [&pair.client, &pair.server] {
                    // Closing then resets, as a middlebox does that forgot the connection.
                    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
                }
                *slot = None;
            }
        }
    }
}

impl Pair {
    fn read(&mut self) -> io::Result<()> {
        self.up.read(&mut self.client)?;
        self.down.read(&mut self.server)
    }

    /// An error when the connection is over.
    fn pass_on(&mut self, weather: &Weather, fates: &mut Fates) -> io::Result<()> {
        self.up.pass_on(&mut self.server, weather, fates)?;
        self.down.pass_on(&mut self.client, weather, fates)?;
        if self.up.closed && self.down.closed {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if self.up.full || self.down.full { self.read() } else { Ok(()) }
    }
}

impl Flow {
    fn read(&mut self, from: &mut TcpStream) -> io::Result<()> {
        let mut buffer = [0; 4_096];
        while !self.ended && self.waiting.len() < WAITING_MAX {
            match from.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(length) => self.waiting.extend_from_slice(&buffer[..length]),
                Err(error) if is_not_yet(&error) => break,
                Err(error) => return Err(error),
            }
        }
        self.full = self.waiting.len() >= WAITING_MAX;
        Ok(())
    }

    fn pass_on(
        &mut self,
        to: &mut TcpStream,
        weather: &Weather,
        fates: &mut Fates,
    ) -> io::Result<()> {
        let now = Instant::now();
        while !self.waiting.is_empty() {
            let (length, at) = match self.piece {
                Some(piece) => piece,
                None => match fates.piece(&weather.streams, self.waiting.len()) {
                    Piece::Pass(length, after) => (length, now + after),
                    Piece::Reset => return Err(ErrorKind::ConnectionReset.into()),
                },
            };
            self.piece = Some((length, at));
            if at > now {
                return Ok(());
            }
            match to.write(&self.waiting[..length]) {
                Ok(written) => {
                    self.waiting.drain(..written);
                    self.piece = None;
                }
                Err(error) if is_not_yet(&error) => {
                    self.piece = Some((length, now + RETRY));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        if self.ended && !self.closed {
            self.closed = true;
            to.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected)
}
