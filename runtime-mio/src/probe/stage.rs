//! The sockets of a probe, and one turn of them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use lvsp_core::client::{ChatServer, VoiceClient};
use lvsp_core::time::Timestamp;
use mio::{Events, Poll, Registry, Token};

use super::peer::{Peer, Telling};
use crate::clock;
use crate::peers::Socket;

const CHAT: Token = Token(0);
/// Of the first client's TCP connection; its UDP socket's is one more, and so on.
const FIRST_CLIENT: usize = 1;
/// Deadlines of the roles and of the script are looked at as often.
const LOOK: Duration = Duration::from_millis(5);

/// A voice client with both of its sockets.
pub(super) struct Caller {
    pub(super) peer: Peer<VoiceClient>,
    pub(super) udp: Socket,
    /// What the operating system says when datagrams are sent.
    pub(super) unsendable: Option<io::Error>,
}

impl Caller {
    fn turn(&mut self, now: Timestamp) {
        let Self { peer, udp, unsendable } = self;
        // An error of an earlier datagram (a port unreachable) takes no later one away.
        while udp.read(&mut peer.role).is_err() {}
        peer.turn(now);
        if let Err(error) = udp.write(&mut peer.role) {
            *unsendable = Some(error);
        }
    }
}

/// Everything that a probe has open.
pub(super) struct Stage {
    poll: Poll,
    events: Events,
    pub(super) chat: Option<Peer<ChatServer>>,
    pub(super) callers: Vec<Caller>,
}

/// A role that has its place among the sockets.
pub(super) trait Seated: Telling + Sized {
    /// The connection of this role, or of the role's instance of this number.
    fn find(stage: &mut Stage, at: usize) -> Option<&mut Peer<Self>>;
}

impl Seated for ChatServer {
    fn find(stage: &mut Stage, _at: usize) -> Option<&mut Peer<Self>> {
        stage.chat.as_mut()
    }
}

impl Seated for VoiceClient {
    fn find(stage: &mut Stage, at: usize) -> Option<&mut Peer<Self>> {
        stage.callers.get_mut(at).map(|caller| &mut caller.peer)
    }
}

impl Stage {
    pub(super) fn new() -> Result<Self> {
        let poll = Poll::new().context("cannot set up an event loop")?;
        Ok(Self { poll, events: Events::with_capacity(16), chat: None, callers: Vec::new() })
    }

    pub(super) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Begins to connect the chat server.
    pub(super) fn open_chat(&mut self, role: ChatServer, address: SocketAddr) -> io::Result<()> {
        self.chat = Some(Peer::open(role, address, self.registry(), CHAT)?);
        Ok(())
    }

    /// Begins to connect another voice client.
    pub(super) fn open_caller(&mut self, role: VoiceClient, address: SocketAddr) -> io::Result<()> {
        let token = FIRST_CLIENT + 2 * self.callers.len();
        let peer = Peer::open(role, address, self.registry(), Token(token))?;
        // Clients are told an IPv4 address for media.
        let mut udp = Socket::bind(IpAddr::V4(Ipv4Addr::UNSPECIFIED))?;
        udp.register(self.registry(), Token(token + 1))?;
        self.callers.push(Caller { peer, udp, unsendable: None });
        Ok(())
    }

    /// Waits for something to happen, but not beyond `until`, and lets everybody act.
    pub(super) fn turn(&mut self, until: Timestamp) -> Result<()> {
        self.act();
        let wait = until.since(clock::now()).min(LOOK);
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(error).context("cannot wait for events");
            }
            _ => self.act(),
        }
        Ok(())
    }

    fn act(&mut self) {
        let now = clock::now();
        if let Some(chat) = &mut self.chat {
            chat.turn(now);
        }
        for caller in &mut self.callers {
            caller.turn(now);
        }
    }
}
