//! What the application holds of a running server: orders in, events and figures out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lvsp_core::command::{Command, Secret, Target, VoiceFlagsUpdate, VoiceInfo};
use lvsp_core::config::ForeignUdp;
use lvsp_core::explain::{self, Explanation, Facts};
use lvsp_core::ids::{ChannelId, ControlId, GuildId, UserId};
use lvsp_core::media::inspect::LegView;
use lvsp_core::output::Event;
use lvsp_core::reasons::Refused;
use lvsp_core::record::RecordedServer;
use lvsp_core::server::MemberView;
use lvsp_core::stats::{Census, RelayStats};
use lvsp_core::time::Timestamp;
use lvsp_core::transport::TlsIdentity;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::clock::Clock;
use crate::media::Question;
use crate::ready::ReadyList;

/// Why the server did not do what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The server ended, or its future was dropped.
    #[error("the voice server has ended")]
    Ended,
    /// The server refused; nothing changed.
    #[error("refused: {0}")]
    Refused(Refused),
}

// By hand, as its text has the other one's: as a source it would be told twice.
impl From<Refused> for HandleError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Everything that places a user in a channel.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The user.
    pub user: UserId,
    /// The channel, which is created if need be.
    pub channel: ChannelId,
    /// Its guild, if it has one.
    pub guild: Option<GuildId>,
    /// What the voice client will present; drawn by the server where `None`.
    pub session_id: Option<Secret>,
    /// What the voice client will present; drawn by the server where `None`.
    pub token: Option<Secret>,
    /// Flags to begin with, or to change.
    pub flags: VoiceFlagsUpdate,
}

impl Placement {
    /// A placement without a guild, with credentials that the server draws and no flags.
    #[must_use]
    pub fn new(user: UserId, channel: ChannelId) -> Self {
        let flags = VoiceFlagsUpdate::default();
        Self { user, channel, guild: None, session_id: None, token: None, flags }
    }
}

/// How a server fares.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// How much the control plane holds.
    pub census: Census,
    /// How able the server is to take more, 0 to 1.
    pub health: f32,
    /// What each relay has done so far.
    pub relays: Vec<RelayFigures>,
}

/// What one relay has done since it started.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RelayFigures {
    /// Its counters.
    pub stats: RelayStats,
    /// Legs that are open now.
    pub legs: usize,
}

/// What a subscriber gets.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum News {
    /// Something happened.
    Event(Event),
    /// The subscriber was too slow: so many events are gone. Those that follow are whole again.
    Missed(u64),
}

/// Events of a server, from the moment of [`Handle::subscribe`] on.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Event>);

impl Subscription {
    /// The next event, or how many were missed; `None` when the server has ended.
    ///
    /// It can be cancelled: what was not returned comes with the next call.
    pub async fn recv(&mut self) -> Option<News> {
        match self.0.recv().await {
            Ok(event) => Some(News::Event(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(News::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Gives orders to a running server. Cheap to clone; the server goes on without any.
///
/// It speaks for one chat server of the configuration, the first unless
/// [`Self::for_client`] says otherwise, and sees the channels of that one alone.
#[derive(Clone, Debug)]
pub struct Handle {
    client: ControlId,
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) signals: Arc<Signals>,
    pub(crate) events: broadcast::WeakSender<Event>,
    pub(crate) relays: Vec<mpsc::Sender<Question>>,
    pub(crate) addresses: Addresses,
    pub(crate) clock: Clock,
}

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Addresses {
    /// Where chat servers connect, if they may.
    pub control: Option<SocketAddr>,
    /// Where voice clients connect.
    pub gateway: SocketAddr,
    /// Where media arrives, by relay.
    pub media: Vec<SocketAddr>,
}

impl Handle {
    pub(crate) fn new(shared: Shared, requests: mpsc::Sender<Request>) -> Self {
        Self { client: ControlId(0), shared: Arc::new(shared), requests }
    }

    /// The same for another chat server, by its position in `Config::control_clients`.
    #[must_use]
    pub fn for_client(&self, client: ControlId) -> Self {
        Self { client, ..self.clone() }
    }

    /// Where the server listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.shared.addresses
    }

    // --- orders ---

    /// Carries out a command, as an LVSP message of the chat server would.
    ///
    /// # Errors
    /// When the server refused or has ended.
    pub async fn command(&self, command: Command) -> Result<(), HandleError> {
        let client = self.client;
        self.ask(|reply| Request::Command { client, command, reply }).await??;
        Ok(())
    }

    /// Creates a channel or changes it. `bitrate` is in bits a second; `None` leaves what is known.
    ///
    /// # Errors
    /// When the server refused (a limit) or has ended.
    pub async fn set_channel(
        &self,
        channel: ChannelId,
        guild: Option<GuildId>,
        bitrate: Option<u32>,
    ) -> Result<(), HandleError> {
        self.command(Command::SetChannel { channel, guild, bitrate, token: None }).await
    }

    /// Ends a channel and every call in it. One that is not there is success as well.
    ///
    /// # Errors
    /// When the server has ended.
    pub async fn destroy_channel(&self, channel: ChannelId) -> Result<(), HandleError> {
        self.command(Command::DestroyChannel { channel }).await
    }

    /// Places a user in a channel; one who is in another channel of the same guild moves. Returns
    /// the voice state with the token and endpoint that the voice client needs.
    ///
    /// # Errors
    /// When the server refused (a limit, a drain) or has ended.
    pub async fn place(&self, placement: Placement) -> Result<VoiceInfo, HandleError> {
        let client = self.client;
        Ok(self.ask(|reply| Request::Place { client, placement, reply }).await??)
    }

    /// Changes what a user may do.
    ///
    /// # Errors
    /// When the target does not name exactly one voice state, or the server has ended.
    pub async fn set_flags(
        &self,
        target: Target,
        flags: VoiceFlagsUpdate,
    ) -> Result<(), HandleError> {
        self.command(Command::SetFlags { target, flags }).await
    }

    /// Removes whom the target names from where they are. Nobody is success as well.
    ///
    /// # Errors
    /// When the server has ended.
    pub async fn remove(&self, target: Target) -> Result<(), HandleError> {
        self.command(Command::Remove { target }).await
    }

    /// Serves another certificate on connections accepted from now on.
    ///
    /// # Errors
    /// When the server has ended.
    pub async fn set_tls(&self, identity: TlsIdentity) -> Result<(), HandleError> {
        self.tell(Request::Tls(identity)).await
    }

    /// Tells how busy the host is, 0 to 1: chat servers are told with the next health figure.
    ///
    /// # Errors
    /// When the server has ended.
    pub async fn set_host_load(&self, load: f32) -> Result<(), HandleError> {
        self.tell(Request::HostLoad(load)).await
    }

    // --- the end ---

    /// Begins a graceful shutdown: calls go on for `Config::drain`, then the listeners close and
    /// clients are told to resume elsewhere. The server's future ends when all have gone.
    pub fn shutdown(&self) {
        self.shared.signals.ask_to_drain();
    }

    /// Ends the server's future at once, without a word to anybody.
    pub fn stop(&self) {
        self.shared.signals.stop.store(true, Ordering::Release);
        self.shared.signals.ready.wake();
    }

    // --- news ---

    /// Events from now on, of all chat servers of the configuration. At most `Builder::event_queue` of
    /// them wait for a subscriber; one who is slower than that misses the oldest, is told how many,
    /// and keeps nobody waiting.
    ///
    /// # Errors
    /// When the server has ended.
    pub fn subscribe(&self) -> Result<Subscription, HandleError> {
        let events = self.shared.events.upgrade().ok_or(HandleError::Ended)?;
        Ok(Subscription(events.subscribe()))
    }

    /// How the server fares at this moment.
    ///
    /// # Errors
    /// When the server has ended.
    pub async fn stats(&self) -> Result<Stats, HandleError> {
        let (census, health) = self.ask(Request::Census).await?;
        let mut relays = Vec::new();
        for relay in &self.shared.relays {
            relays.push(ask_relay(relay, Question::Figures).await?);
        }
        Ok(Stats { census, health, relays })
    }

    /// Why one member does not hear another, step by step, in words; `None` when one of the targets
    /// does not name exactly one voice state. The first step that is `Some(false)` is the answer.
    ///
    /// # Errors
    /// When the server has ended.
    pub async fn explain(
        &self,
        speaker: Target,
        listener: Target,
    ) -> Result<Option<Explanation>, HandleError> {
        let client = self.client;
        let asked = |reply| Request::Pair { client, speaker, listener, reply };
        let Some((speaker, listener, foreign_udp)) = self.ask(asked).await? else {
            return Ok(None);
        };
        let (speaker_leg, _) = self.leg(&speaker).await?;
        let (listener_leg, listener_relay_behind) = self.leg(&listener).await?;
        let facts = Facts {
            now: self.shared.clock.now(),
            speaker: &speaker,
            speaker_leg: speaker_leg.as_ref(),
            listener: &listener,
            listener_leg: listener_leg.as_ref(),
            listener_relay_behind,
            foreign_udp,
        };
        Ok(Some(explain::explain(&facts)))
    }

    /// What a member's relay knows of its leg, and whether the relay is behind.
    async fn leg(&self, member: &MemberView) -> Result<(Option<LegView>, bool), HandleError> {
        let Some(session) = &member.session else { return Ok((None, false)) };
        let Some(relay) = self.shared.relays.get(usize::from(session.relay.0)) else {
            return Ok((None, false));
        };
        ask_relay(relay, |reply| Question::Leg(session.leg, reply)).await
    }

    /// The voice state that a target names, if it names exactly one.
    ///
    /// # Errors
    /// When the server has ended.
    pub async fn voice_state(&self, target: Target) -> Result<Option<VoiceInfo>, HandleError> {
        let client = self.client;
        self.ask(|reply| Request::VoiceState { client, target, reply }).await
    }

    async fn tell(&self, request: Request) -> Result<(), HandleError> {
        self.requests.send(request).await.map_err(|_| HandleError::Ended)
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, HandleError> {
        let (reply, answer) = oneshot::channel();
        self.tell(request(reply)).await?;
        answer.await.map_err(|_| HandleError::Ended)
    }
}

async fn ask_relay<T>(
    relay: &mpsc::Sender<Question>,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Result<T, HandleError> {
    let (reply, answer) = oneshot::channel();
    relay.send(question(reply)).await.map_err(|_| HandleError::Ended)?;
    answer.await.map_err(|_| HandleError::Ended)
}

/// What may be asked at any time, however much is waiting.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    drain: AtomicBool,
    stop: AtomicBool,
    pub(crate) ready: Arc<ReadyList>,
}

impl Signals {
    pub(crate) fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(crate) fn ask_to_drain(&self) {
        self.drain.store(true, Ordering::Release);
        self.ready.wake();
    }

    pub(crate) fn take_drain(&self) -> bool {
        self.drain.swap(false, Ordering::AcqRel)
    }
}

/// Two members, and what an address gets that a gateway connection does not vouch for.
type Pair = (MemberView, MemberView, ForeignUdp);

/// What the application asks of the control task.
#[derive(Debug)]
pub(crate) enum Request {
    Command {
        client: ControlId,
        command: Command,
        reply: oneshot::Sender<Result<(), Refused>>,
    },
    Place {
        client: ControlId,
        placement: Placement,
        reply: oneshot::Sender<Result<VoiceInfo, Refused>>,
    },
    VoiceState {
        client: ControlId,
        target: Target,
        reply: oneshot::Sender<Option<VoiceInfo>>,
    },
    Pair {
        client: ControlId,
        speaker: Target,
        listener: Target,
        reply: oneshot::Sender<Option<Pair>>,
    },
    Census(oneshot::Sender<(Census, f32)>),
    Tls(TlsIdentity),
    HostLoad(f32),
}

impl Request {
    /// Does it. Who asked may have given up; what was asked is done all the same.
    pub(crate) fn carry_out(self, server: &mut RecordedServer, now: Timestamp) {
        match self {
            Self::Command { client, command, reply } => {
                let _ = reply.send(server.handle_command(now, client, command));
            }
            Self::Place { client, placement, reply } => {
                let _ = reply.send(place(server, now, client, placement));
            }
            Self::VoiceState { client, target, reply } => {
                let _ = reply.send(server.voice_state(client, &target));
            }
            Self::Pair { client, speaker, listener, reply } => {
                let member = |target: &Target| server.member_view_of(client, target);
                let pair = member(&speaker).zip(member(&listener));
                let foreign_udp = server.foreign_udp();
                let _ =
                    reply.send(pair.map(|(speaker, listener)| (speaker, listener, foreign_udp)));
            }
            Self::Census(reply) => {
                let _ = reply.send((server.census(), server.health()));
            }
            Self::Tls(identity) => server.set_tls(Some(identity)),
            Self::HostLoad(load) => server.set_host_load(load),
        }
    }
}

fn place(
    server: &mut RecordedServer,
    now: Timestamp,
    client: ControlId,
    placement: Placement,
) -> Result<VoiceInfo, Refused> {
    let Placement { user, channel, guild, session_id, token, flags } = placement;
    let command = Command::Place { user, channel, guild, session_id, token, flags };
    server.handle_command(now, client, command)?;
    server
        .voice_state(client, &Target::member(channel, user))
        .ok_or(Refused::Unknown("voice state"))
}
