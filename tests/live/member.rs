//! A voice client with the habits of its library, and the user behind it.
//!
//! What it does when its connection ends is its library's table ([`Profile`]), the same that the
//! simulator goes by. Not here: who talks when (`world`), and what should be heard (`judge`).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use lvsp_core::client::{Frame, Numbering, Role as _, Ticket, VoiceClient, VoiceEvent};
use lvsp_core::ids::Ssrc;
use lvsp_core::time::Timestamp;
use lvsp_core::transport::TlsTrust;
use lvsp_core::wire::gateway::Version;
use lvsp_mio::peers::{Connection, Payload, Socket};
use lvsp_mio::{OsEntropy, clock};
use lvsp_sim::profile::{BACK_OFF_MS, Next, Profile};
use mio::{Registry, Token};

use crate::judge::Seat;

/// How long a user looks at "connecting" before joining again: longer than a library tries.
const PATIENCE: Duration = Duration::from_secs(20);
/// When a library gave up, its user notices after this.
const NOTICE: Duration = Duration::from_secs(3);
/// Its speaking flags change this often, which is what everybody in its channel is told by a
/// numbered message.
const FLAGS_INTERVAL: Duration = Duration::from_secs(3);
/// What they change between: microphone, and microphone with the sound of a screen.
const FLAGS: [u8; 2] = [1, 3];

/// What its sockets need.
pub(crate) struct Means<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) trust: &'a TlsTrust,
    /// A relay to go through: where it stands for the gateway and for the media port.
    pub(crate) relay: Option<Detour>,
}

/// Where a relay stands in for the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Detour {
    pub(crate) gateway: SocketAddr,
    pub(crate) media: SocketAddr,
}

/// How a member has fared.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Record {
    /// Connections that ended by themselves.
    pub(crate) lost: u64,
    /// Sessions that were taken up again.
    pub(crate) resumed: u64,
    /// Sessions begun.
    pub(crate) begun: u64,
    /// How often its user had to join again, because its library had given up or got nowhere.
    pub(crate) gave_up: u64,
    /// The numbered messages of its sessions.
    pub(crate) numbering: Numbering,
}

/// One voice client.
pub(crate) struct Member {
    pub(crate) seat: Seat,
    pub(crate) profile: Profile,
    tokens: (Token, Token),
    bind: IpAddr,
    ticket: Option<(Ticket, SocketAddr)>,
    client: Option<VoiceClient>,
    connection: Option<Connection>,
    socket: Option<Socket>,
    resuming: bool,
    live_since: Option<Timestamp>,
    /// Whether its session has a key.
    keyed: bool,
    /// When it last began to connect.
    dialled: Timestamp,
    retry: Option<(Timestamp, Next)>,
    attempts: usize,
    /// When the chat server is asked, unless it is in voice by then.
    ask_at: Option<Timestamp>,
    /// Whether its user does that: its library does not, or nothing came of it.
    by_hand: bool,
    /// Whether its user wants to be in voice.
    wanted: bool,
    flagged_at: Timestamp,
    /// Which of [`FLAGS`] was said last.
    flags: usize,
    ssrc: Option<Ssrc>,
    said: u32,
    record: Record,
}

impl Member {
    pub(crate) fn new(seat: Seat, profile: Profile, tokens: (Token, Token), bind: IpAddr) -> Self {
        Self {
            seat,
            profile,
            tokens,
            bind,
            ticket: None,
            client: None,
            connection: None,
            socket: None,
            resuming: false,
            live_since: None,
            keyed: false,
            dialled: Timestamp::ZERO,
            retry: None,
            attempts: 0,
            ask_at: None,
            by_hand: false,
            wanted: false,
            flagged_at: Timestamp::ZERO,
            flags: 1,
            ssrc: None,
            said: 0,
            record: Record::default(),
        }
    }

    /// Its user wants to be in voice from now on.
    pub(crate) fn want(&mut self) {
        self.wanted = true;
        self.ask_at = Some(Timestamp::ZERO);
        self.by_hand = false;
    }

    /// Since when it is through with its handshake.
    pub(crate) const fn live_since(&self) -> Option<Timestamp> {
        self.live_since
    }

    /// From the beginning of its last handshake to the end, if it is through.
    pub(crate) fn join_time(&self) -> Option<Duration> {
        self.live_since.map(|since| since.since(self.dialled))
    }

    /// Its number, once it had one.
    pub(crate) const fn ssrc(&self) -> Option<Ssrc> {
        self.ssrc
    }

    /// How it has fared so far.
    pub(crate) fn record(&self) -> Record {
        let mut record = self.record;
        record.add_numbers(self.client.as_ref());
        record
    }

    // --- its user and the chat server ---

    /// Whether its user asks the chat server for a ticket now.
    pub(crate) fn asks(&mut self, now: Timestamp) -> bool {
        if !self.wanted || self.live_since.is_some() || self.ask_at.is_none_or(|at| at > now) {
            return false;
        }
        self.ask_at = Some(now + PATIENCE);
        self.record.gave_up += u64::from(std::mem::replace(&mut self.by_hand, true));
        true
    }

    /// The chat server says where to connect.
    pub(crate) fn take_ticket(
        &mut self,
        ticket: Ticket,
        gateway: SocketAddr,
        means: &Means<'_>,
    ) -> Result<()> {
        self.hang_up();
        self.ticket = Some((ticket, gateway));
        self.ask_at = Some(clock::now() + PATIENCE);
        self.connect(false, means)
    }

    /// It is out of voice; its user does not give up.
    pub(crate) fn out(&mut self) {
        self.hang_up();
        self.ask_at = Some(clock::now() + NOTICE);
        self.by_hand = true;
    }

    /// Its machine is cut off: nothing comes from it any more, and its user does not come back.
    pub(crate) fn vanish(&mut self) {
        self.hang_up();
        self.socket = None;
        self.wanted = false;
        self.ask_at = None;
    }

    fn hang_up(&mut self) {
        self.record.add_numbers(self.client.as_ref());
        self.client = None;
        self.connection = None;
        self.keyed = false;
        self.ticket = None;
        self.live_since = None;
        self.retry = None;
        self.attempts = 0;
    }

    // --- sockets ---

    fn connect(&mut self, resuming: bool, means: &Means<'_>) -> Result<()> {
        let Some((ticket, gateway)) = self.ticket.clone() else { return Ok(()) };
        self.resuming = resuming;
        self.dialled = clock::now();
        let host = gateway.ip().to_string();
        let tls = Some((means.trust, host.as_str()));
        match &mut self.client {
            Some(client) if resuming => client.reconnect(tls, &host, &mut OsEntropy)?,
            client => {
                self.record.add_numbers(client.as_ref());
                let (version, mode) = (self.profile.version(), self.profile.mode());
                let version = Version::new(version).context("versions count from 1")?;
                let new = VoiceClient::connect(ticket, version, mode, tls, &host, &mut OsEntropy)?;
                *client = Some(new);
                self.keyed = false;
            }
        }
        if self.socket.is_none() {
            self.bind(means)?;
        }
        let to = means.relay.map_or(gateway, |relay| relay.gateway);
        self.connection = None;
        match Connection::open(to) {
            Ok(mut connection) => {
                connection.register(means.registry, self.tokens.0)?;
                self.connection = Some(connection);
            }
            // No way to the server just now.
            Err(_) => self.closed(None),
        }
        Ok(())
    }

    /// Takes a new port for its media, as a NAT does that forgot the old one.
    pub(crate) fn bind(&mut self, means: &Means<'_>) -> Result<()> {
        self.socket = None;
        let mut socket = Socket::bind(self.bind)?;
        socket.register(means.registry, self.tokens.1)?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Moves bytes and datagrams both ways, and gives what was heard to `hear`.
    pub(crate) fn serve(&mut self, means: &Means<'_>, hear: impl FnMut(&Frame)) {
        let Some(client) = &mut self.client else { return };
        let read = match &mut self.connection {
            Some(connection) => connection.read(client),
            None => Ok(()),
        };
        if let Some(socket) = &self.socket {
            // What a datagram met on its way concerns nobody.
            let _ = socket.read(client);
        }
        self.settle(means, read.is_err(), hear);
    }

    /// Takes what happened, and sends what there is to send.
    fn settle(&mut self, means: &Means<'_>, broke: bool, mut hear: impl FnMut(&Frame)) {
        let mut ended = broke.then_some(None);
        while let Some(event) = self.client.as_mut().and_then(VoiceClient::poll_event) {
            match event {
                VoiceEvent::Frame(frame) => hear(&frame),
                VoiceEvent::Connected { ssrc } => {
                    self.ssrc = Some(ssrc);
                    self.arrived(false);
                }
                VoiceEvent::Resumed => self.arrived(true),
                VoiceEvent::Closed { code } => ended = Some(code),
                VoiceEvent::Unreachable => ended = Some(None),
                VoiceEvent::Speaking { .. }
                | VoiceEvent::ClientsConnect(_)
                | VoiceEvent::ClientDisconnect(_)
                | _ => {}
            }
        }
        if self.write(means).is_err() {
            ended = ended.or(Some(None));
        }
        if let Some(code) = ended.filter(|_| self.connection.is_some()) {
            self.closed(code);
        }
    }

    fn write(&mut self, means: &Means<'_>) -> io::Result<()> {
        let Some(client) = &mut self.client else { return Ok(()) };
        while let Some((to, datagram)) = client.poll_transmit() {
            let to = means.relay.map_or(to, |relay| relay.media);
            if let Some(socket) = &self.socket {
                // Without a way to the server, a datagram is lost; that is its nature.
                let _ = socket.send(&datagram, to);
            }
        }
        match &mut self.connection {
            Some(connection) => connection.write(client),
            None => Ok(()),
        }
    }

    fn arrived(&mut self, resumed: bool) {
        let now = clock::now();
        self.live_since = Some(now);
        self.keyed = true;
        self.attempts = 0;
        self.ask_at = None;
        if resumed {
            self.record.resumed += 1;
        } else {
            self.record.begun += 1;
        }
        if !resumed {
            // They are said with the next frame.
            self.flagged_at = Timestamp::ZERO;
        }
    }

    fn closed(&mut self, code: Option<u16>) {
        let now = clock::now();
        self.connection = None;
        self.record.lost += 1;
        let was_live = self.live_since.take().is_some();
        let mut next = self.profile.after(code, self.resuming);
        if next == Next::Resume && !(was_live || self.resuming) {
            // @discordjs/voice takes up only what was ready.
            let is_discord_js = self.profile == Profile::DiscordJs;
            next = if is_discord_js { Next::Rejoin } else { Next::Identify };
        }
        if was_live {
            self.attempts = 0;
        }
        let Some(wait) = BACK_OFF_MS.get(self.attempts) else {
            return self.out();
        };
        match next {
            Next::Resume | Next::Identify => {
                self.attempts += 1;
                self.retry = Some((now + Duration::from_millis(*wait), next));
                self.ask_at.get_or_insert(now + PATIENCE);
                self.by_hand = true;
            }
            Next::Rejoin => {
                self.hang_up();
                self.ask_at = Some(now);
                self.by_hand = false;
            }
            Next::Leave => self.out(),
        }
    }

    // --- time ---

    /// Does what is due.
    pub(crate) fn tick(&mut self, means: &Means<'_>) -> Result<()> {
        let now = clock::now();
        if let Some((at, next)) = self.retry
            && at <= now
        {
            self.retry = None;
            self.connect(next == Next::Resume, means)?;
        }
        if let Some(client) = &mut self.client {
            client.handle_timeout(now);
            self.settle(means, false, |_| ());
        }
        Ok(())
    }

    /// Says a frame; whether it could.
    pub(crate) fn speak(&mut self, now: Timestamp, means: &Means<'_>) -> bool {
        // songbird's media does not ask how its gateway connection is.
        let goes_on = self.keyed && self.profile == Profile::Songbird;
        let can = self.live_since.is_some() || goes_on;
        let Some(client) = self.client.as_mut().filter(|_| can) else { return false };
        if now.since(self.flagged_at) > FLAGS_INTERVAL {
            self.flagged_at = now;
            self.flags ^= 1;
            client.set_speaking(FLAGS[self.flags]);
        }
        self.said += 1;
        let (speaker, part) = (self.seat.user, self.seat.channel.as_u64());
        let payload = Payload { speaker, part, index: self.said, sent: now };
        client.send_frame(&payload.encode());
        if self.write(means).is_err() {
            self.closed(None);
        }
        true
    }
}

impl Record {
    fn add_numbers(&mut self, client: Option<&VoiceClient>) {
        let Some(more) = client.map(VoiceClient::numbering) else { return };
        self.numbering.arrived += more.arrived;
        self.numbering.missed += more.missed;
        self.numbering.repeated += more.repeated;
    }

    /// Both together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.lost += other.lost;
        self.resumed += other.resumed;
        self.begun += other.begun;
        self.gave_up += other.gave_up;
        self.numbering.arrived += other.numbering.arrived;
        self.numbering.missed += other.numbering.missed;
        self.numbering.repeated += other.numbering.repeated;
        self
    }
}
