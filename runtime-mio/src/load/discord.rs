//! Members of this server: a chat server over LVSP that places them, and voice clients.
//!
//! Decided here: ids, in which order they join and how many at once, and what is said when
//! something fails. What the roles say is theirs ([`lvsp_core::client`]).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lvsp_core::client::{Connected as _, Role as _, VoiceClient, VoiceEvent};
use lvsp_core::crypto::mode::Mode;
use lvsp_core::time::Timestamp;
use lvsp_core::wire::gateway::Version;
use mio::Token;

use super::chat::{Chat, Placed};
use super::descriptors;
use super::door::Door;
use super::ears::{Ears, Reading};
use super::run::Swarm;
use super::shape::Shape;
use crate::clock;
use crate::entropy::OsEntropy;
use crate::entry::resolve;
use crate::peers::Connection;

const VERSION: u8 = 8;
/// Handshakes at once: well below `limits.unauthenticated_per_address`.
const JOINING_MAX: usize = 64;
/// Placed over LVSP and not connected yet: they are to connect within `limits.reservation_ms`.
const PLACED_MAX: usize = 512;
/// How long nobody may get further before joining is given up.
const STALL: Duration = Duration::from_secs(20);
/// Between two looks at everybody's deadlines.
const TICK: Duration = Duration::from_millis(100);
/// How long a call may take to be ended.
const LEAVE: Duration = Duration::from_secs(2);

/// Who joins.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many of what.
    pub shape: Shape,
    /// Whether those who do not speak are suppressed, like the audience of a stage.
    pub stage: bool,
    /// How their media is sealed.
    pub mode: Mode,
    /// The address of this machine that they send media from, or any.
    pub from: IpAddr,
}

/// A swarm of Discord's kind.
pub struct Discord {
    door: Door,
    crowd: Crowd,
    ears: Ears,
    chat: Chat,
    members: Vec<Option<Member>>,
    /// Tickets of those who may connect.
    waiting: VecDeque<Placed>,
    /// Members that may have bytes or datagrams to send.
    dirty: Vec<usize>,
    joined: usize,
    /// The last endpoint that was resolved, with its host's name.
    gateway: Option<(String, String, SocketAddr)>,
    next_tick: Timestamp,
}

/// One voice client.
struct Member {
    client: VoiceClient,
    connection: Connection,
    gateway: SocketAddr,
}

impl Discord {
    /// Connects to a server as its chat server.
    ///
    /// # Errors
    /// When there is no server, or it does not let a chat server in, or there are too few
    /// descriptors: what to change.
    pub fn connect(door: Door, crowd: Crowd, reading: Reading) -> Result<Self> {
        let Crowd { shape, from, .. } = crowd;
        shape.check()?;
        descriptors::allow(2 * shape.members)?;
        let ears = Ears::bind(shape.members, from, reading)
            .with_context(|| format!("--from {from}: cannot bind UDP sockets there"))?;
        let chat_token = Token(ears.first_token());
        let chat = Chat::connect(&door, ears.registry(), chat_token)?;
        let members = (0..shape.members).map(|_| None).collect();
        let (waiting, dirty, gateway) = (VecDeque::new(), Vec::new(), None);
        let (joined, next_tick) = (0, clock::now() + TICK);
        let mut swarm =
            Self { door, crowd, ears, chat, members, waiting, dirty, joined, gateway, next_tick };
        swarm.await_ready()?;
        Ok(swarm)
    }

    fn await_ready(&mut self) -> Result<()> {
        let end = clock::now() + STALL;
        while !self.chat.is_ready() {
            if clock::now() >= end {
                bail!(
                    "{} does not answer within {} s (--control): is it a voice server's control \
                     listener, and does this server have TLS as --ca or --plain says?",
                    self.door.control,
                    STALL.as_secs()
                );
            }
            self.step(end, &mut |_, _, _| ())?;
        }
        Ok(())
    }

    /// Lets those who have tickets connect, as many at once as may.
    fn connect_waiting(&mut self, connected: &mut usize) -> Result<()> {
        while *connected - self.joined < JOINING_MAX {
            let Some(placed) = self.waiting.pop_front() else { return Ok(()) };
            let (at, context) = (placed.member, format!("member {}", placed.member));
            let member = self.open(placed).context(context)?;
            self.members[at] = Some(member);
            self.dirty.push(at);
            *connected += 1;
        }
        Ok(())
    }

    fn open(&mut self, Placed { member, ticket, endpoint }: Placed) -> Result<Member> {
        let (host, gateway) = self.resolve(&endpoint)?;
        let version = Version::new(VERSION).context("versions count from 1")?;
        let tls = self.door.tls(&host);
        let client =
            VoiceClient::connect(ticket, version, self.crowd.mode, tls, &host, &mut OsEntropy)?;
        let mut connection = Connection::open(gateway)
            .with_context(|| format!("cannot connect to the gateway at {gateway}"))?;
        let token = Token(self.ears.first_token() + 1 + member);
        connection.register(self.ears.registry(), token)?;
        Ok(Member { client, connection, gateway })
    }

    /// Where an endpoint is. Mostly all have the same.
    fn resolve(&mut self, endpoint: &str) -> Result<(String, SocketAddr)> {
        if let Some((known, host, address)) = &self.gateway
            && known == endpoint
        {
            return Ok((host.clone(), *address));
        }
        let (host, address) = resolve(endpoint).with_context(|| {
            format!("the server tells clients to connect to {endpoint:?}: see its gateway.endpoint")
        })?;
        self.gateway = Some((endpoint.to_owned(), host.clone(), address));
        Ok((host, address))
    }

    /// One turn of the ears, and everything that follows from it.
    fn step(
        &mut self,
        until: Timestamp,
        heard: &mut dyn FnMut(usize, Timestamp, &[u8]),
    ) -> Result<()> {
        self.flush()?;
        let Self { ears, members, dirty, .. } = self;
        ears.turn(until.min(self.next_tick), |at, when, datagram| {
            let Some(member) = members.get_mut(at).and_then(Option::as_mut) else { return };
            member.client.handle_datagram(datagram);
            while let Some(event) = member.client.poll_event() {
                if let VoiceEvent::Frame(frame) = event {
                    heard(at, when, &frame.payload);
                }
            }
            if !member.client.outbound().is_empty() {
                dirty.push(at);
            }
        })?;
        for Token(token) in self.ears.take_others() {
            match token.checked_sub(self.ears.first_token() + 1) {
                None => self.hear_chat()?,
                Some(at) => self.hear_gateway(at)?,
            }
        }
        if clock::now() >= self.next_tick {
            self.tick()?;
        }
        self.flush()
    }

    fn hear_chat(&mut self) -> Result<()> {
        self.waiting.extend(self.chat.read(&self.door)?);
        self.chat.write(&self.door)
    }

    fn hear_gateway(&mut self, at: usize) -> Result<()> {
        let Some(member) = self.members.get_mut(at).and_then(Option::as_mut) else { return Ok(()) };
        let Member { client, connection, gateway } = member;
        connection
            .read(client)
            .with_context(|| format!("member {at}: connection to the gateway at {gateway}"))?;
        self.dirty.push(at);
        self.note_events(at)
    }

    /// What the gateway's side told a member.
    fn note_events(&mut self, at: usize) -> Result<()> {
        let Some(member) = self.members.get_mut(at).and_then(Option::as_mut) else { return Ok(()) };
        while let Some(event) = member.client.poll_event() {
            match event {
                VoiceEvent::Connected { .. } => self.joined += 1,
                VoiceEvent::Unreachable => bail!(
                    "member {at}: its discovery requests are not answered; can this machine reach \
                     the server's media.public_ip and port over UDP?"
                ),
                VoiceEvent::Closed { code } => bail!("member {at}: {}", member.ending(code)),
                VoiceEvent::Resumed
                | VoiceEvent::Speaking { .. }
                | VoiceEvent::ClientsConnect(_)
                | VoiceEvent::ClientDisconnect(_)
                | VoiceEvent::Frame(_)
                | _ => {}
            }
        }
        Ok(())
    }

    /// Does what is due of everybody.
    fn tick(&mut self) -> Result<()> {
        let now = clock::now();
        self.next_tick = now + TICK;
        self.chat.tick(now, &self.door)?;
        for at in 0..self.members.len() {
            let Some(member) = &mut self.members[at] else { continue };
            if member.client.poll_timeout().is_some_and(|due| due <= now) {
                member.client.handle_timeout(now);
                self.dirty.push(at);
                self.note_events(at)?;
            }
        }
        Ok(())
    }

    /// Sends what members have to send.
    fn flush(&mut self) -> Result<()> {
        while let Some(at) = self.dirty.pop() {
            let Some(Member { client, connection, gateway }) = &mut self.members[at] else {
                continue;
            };
            connection
                .write(client)
                .with_context(|| format!("member {at}: connection to the gateway at {gateway}"))?;
            while let Some((to, datagram)) = client.poll_transmit() {
                self.ears.send(at, &datagram, to).with_context(|| {
                    format!("member {at}: sending to {to} (the server's media)")
                })?;
            }
        }
        Ok(())
    }
}

impl Member {
    /// Why its gateway connection ended, in words.
    fn ending(&self, code: Option<u16>) -> String {
        let gateway = self.gateway;
        match (code, self.client.failure()) {
            (Some(code), _) => {
                format!("the gateway at {gateway} closed the connection with code {code}")
            }
            (None, Some(reason)) => format!(
                "no connection to the gateway at {gateway}: {}; --ca must be the authority of its \
                 certificate, and the certificate must be for the name in gateway.endpoint",
                reason.name()
            ),
            (None, None) => format!(
                "the gateway at {gateway} ended the connection; its log or its counts of limits \
                 say why"
            ),
        }
    }
}

impl Swarm for Discord {
    fn mode(&self) -> String {
        self.crowd.mode.name().to_owned()
    }

    fn join(&mut self, joined: &mut dyn FnMut(usize)) -> Result<()> {
        let Shape { members, channels, .. } = self.crowd.shape;
        self.chat.state_channels(channels);
        let (mut placed, mut connected) = (0, 0);
        let mut progress = (0, clock::now() + STALL);
        while self.joined < members {
            while placed < members && placed - self.joined < PLACED_MAX {
                let Crowd { shape, stage, .. } = self.crowd;
                let is_audience = stage && placed >= shape.speakers;
                self.chat.place(placed, shape.channel(placed), is_audience);
                placed += 1;
            }
            self.chat.write(&self.door)?;
            self.connect_waiting(&mut connected)?;
            self.step(progress.1, &mut |_, _, _| ())?;
            joined(self.joined);
            // Every step of everybody's way counts, so that only a standstill is one.
            let steps = self.joined + connected + placed - self.waiting.len();
            if steps > progress.0 {
                progress = (steps, clock::now() + STALL);
            } else if clock::now() >= progress.1 {
                let late = self.joined;
                bail!(
                    "{late} of {members} members have joined, and no other for {} s ({} wait for \
                     the chat server's answer, {} for the gateway or for UDP)",
                    STALL.as_secs(),
                    placed - connected - self.waiting.len(),
                    connected - self.joined
                );
            }
        }
        Ok(())
    }

    fn announce(&mut self, speakers: usize) -> Result<()> {
        for (at, member) in self.members.iter_mut().enumerate().take(speakers) {
            if let Some(member) = member {
                member.client.set_speaking(1);
                self.dirty.push(at);
            }
        }
        self.flush()
    }

    fn stop_reading(&mut self) -> Result<()> {
        self.ears.stop_reading().context("the UDP sockets")
    }

    fn speak(&mut self, speaker: usize, frame: &[u8]) -> bool {
        let Some(member) = self.members.get_mut(speaker).and_then(Option::as_mut) else {
            return false;
        };
        member.client.send_frame(frame);
        let mut taken = false;
        while let Some((to, datagram)) = member.client.poll_transmit() {
            taken = self.ears.send(speaker, &datagram, to).is_ok();
        }
        taken
    }

    fn turn(
        &mut self,
        until: Timestamp,
        heard: &mut dyn FnMut(usize, Timestamp, &[u8]),
    ) -> Result<()> {
        self.step(until, heard)
    }

    /// Ends the calls, so that nothing of the load is left at the server.
    fn leave(&mut self) -> Result<()> {
        // From here on clients are disconnected, which is no failure.
        self.members.iter_mut().for_each(|member| *member = None);
        self.chat.end_channels(self.crowd.shape.channels);
        let end = clock::now() + LEAVE;
        self.chat.write(&self.door)?;
        while self.chat.has_to_write() && clock::now() < end {
            self.step(end, &mut |_, _, _| ())?;
            self.chat.write(&self.door)?;
        }
        Ok(())
    }
}
