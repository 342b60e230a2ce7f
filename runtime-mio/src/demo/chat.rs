//! The chat server: it states the channels, places the callers, and mutes when it is told to.
//!
//! Not here: who is placed where (`cast.rs`).

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use anyhow::Result;
use lvsp_core::client::{ChatEvent, ChatServer, Ticket};
use lvsp_core::ids::{ChannelId, UserId};
use lvsp_core::transport::TlsTrust;
use lvsp_core::wire::lvsp::{VoiceFlagsUpdate, VoiceInfo, VoiceRequest};
use lvsp_core::wire::secret::Secret;

use super::cast::{A, B, GUILD};
use super::news::News;
use super::peer::{Peer, ending};
use crate::clock;
use crate::entropy::OsEntropy;

/// How often it looks for orders.
const TICK: Duration = Duration::from_millis(20);
const BITRATE: u32 = 64_000;

/// What the chat server is told: to mute this user in this channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mute(pub(super) UserId, pub(super) ChannelId);

/// The chat server on its thread.
pub(super) struct Chat {
    peer: Peer<ChatServer>,
    placements: Vec<(UserId, ChannelId)>,
    orders: Receiver<Mute>,
    news: Sender<News>,
}

impl Chat {
    /// Connects; [`Self::run`] does the rest.
    pub(super) fn connect(
        control: SocketAddr,
        secret: &str,
        trust: &TlsTrust,
        placements: Vec<(UserId, ChannelId)>,
        orders: Receiver<Mute>,
        news: Sender<News>,
    ) -> Result<Self> {
        let host = control.ip().to_string();
        let tls = Some((trust, host.as_str()));
        let secret = Secret::new(secret.to_owned());
        let role = ChatServer::connect(secret, true, tls, &host, &mut OsEntropy)?;
        let peer = Peer::connect(role, control)?;
        Ok(Self { peer, placements, orders, news })
    }

    /// Serves until the connection ends or nobody gives orders any more.
    pub(super) fn run(mut self) {
        let why = self.serve().unwrap_or_else(|error| error.to_string());
        // Nobody listens any more when the demonstration is over.
        let _ = self.news.send(News::Ended { who: "the chat server", why });
    }

    fn serve(&mut self) -> io::Result<String> {
        loop {
            match self.orders.try_recv() {
                Ok(Mute(user, channel)) => {
                    let flags = VoiceFlagsUpdate { mute: Some(true), ..Default::default() };
                    self.peer.role.set_flags(user, channel, flags);
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok("it is over".to_owned()),
            }
            self.peer.turn(clock::now() + TICK)?;
            while let Some(event) = self.peer.role.poll_event() {
                if let Some(why) = self.handle_event(event) {
                    return Ok(why);
                }
            }
        }
    }

    /// Why the connection is over, if it is.
    fn handle_event(&mut self, event: ChatEvent) -> Option<String> {
        match event {
            ChatEvent::Ready { .. } => self.place_everybody(),
            ChatEvent::VoiceState(info) => return self.handle_voice_state(info),
            ChatEvent::Refused(message) => return Some(format!("an order was refused: {message}")),
            ChatEvent::Closed { code } => return Some(ending(code)),
            ChatEvent::Channel(_) | _ => {}
        }
        None
    }

    fn place_everybody(&mut self) {
        for channel in [A, B] {
            self.peer.role.set_channel(channel, Some(GUILD), BITRATE);
        }
        for (user_id, channel_id) in self.placements.drain(..) {
            let request = VoiceRequest::new(user_id, channel_id);
            self.peer.role.place(VoiceRequest { guild_id: Some(GUILD), ..request });
        }
    }

    fn handle_voice_state(&self, info: VoiceInfo) -> Option<String> {
        let user = info.user_id?;
        let news = match (info.token, info.endpoint) {
            (Some(token), Some(endpoint)) => {
                let Ok(gateway) = endpoint.parse() else {
                    return Some(format!("it was given the endpoint {endpoint:?}"));
                };
                let session_id = info.session_id;
                let ticket = Ticket { server_id: GUILD.as_u64(), user, session_id, token };
                News::Placed { ticket, gateway }
            }
            _ if info.flags.mute => News::Muted(user),
            _ => return None,
        };
        let _ = self.news.send(news);
        None
    }
}
