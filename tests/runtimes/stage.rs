//! What a scenario happens on: a server of some runtime, its chat server and voice clients.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use lvsp_core::client::Ticket;
use lvsp_core::limits::Limits;

use crate::drivers::{Driver, Running, Setup};
use crate::peers::{Chat, Voice, wait_for};

pub(crate) struct Stage {
    server: Running,
    pub(crate) chat: Chat,
    /// By user.
    pub(crate) voices: BTreeMap<u64, Voice>,
    /// What the next frame says.
    said: u32,
}

impl Stage {
    /// Starts a server and a chat server that is ready.
    pub(crate) fn open(driver: &Driver, limits: Limits, relays: u16, record: &Path) -> Self {
        let server = (driver.start)(Setup { limits, relays, record: record.to_owned() });
        let chat = Chat::connect(server.control);
        let mut stage = Self { server, chat, voices: BTreeMap::new(), said: 0 };
        stage.wait("READY", |stage| stage.chat.is_ready().then_some(()));
        stage
    }

    /// Ends everything; the recordings are whole then.
    pub(crate) fn close(self) {
        self.server.stop();
    }

    pub(crate) fn gateway(&self) -> SocketAddr {
        self.server.gateway
    }

    pub(crate) fn media(&self) -> SocketAddr {
        self.server.media
    }

    fn step(&mut self) {
        self.chat.step();
        for voice in self.voices.values_mut() {
            voice.step();
        }
    }

    /// Lets everybody do what there is to do until `ask` has an answer.
    #[track_caller]
    pub(crate) fn wait<T>(&mut self, what: &str, mut ask: impl FnMut(&mut Self) -> Option<T>) -> T {
        wait_for(what, || {
            self.step();
            ask(self)
        })
    }

    pub(crate) fn voice(&mut self, user: u64) -> &mut Voice {
        self.voices.get_mut(&user).expect("a user who joined")
    }

    /// Has a user placed and connected, until it has its key.
    pub(crate) fn join(&mut self, user: u64, channel: u64) {
        let ticket = self.place(user, channel);
        self.connect(user, ticket);
        self.wait("a key", |stage| stage.voice(user).is_connected().then_some(()));
    }

    /// Has a user placed; what its voice client needs.
    pub(crate) fn place(&mut self, user: u64, channel: u64) -> Ticket {
        self.chat.events.clear();
        self.chat.place(user, channel);
        self.wait("a ticket", |stage| stage.chat.ticket(user, channel))
    }

    /// Has a user's voice client begin to connect.
    pub(crate) fn connect(&mut self, user: u64, ticket: Ticket) {
        self.connect_from(Ipv4Addr::LOCALHOST, user, ticket);
    }

    /// The same from another address of this machine.
    pub(crate) fn connect_from(&mut self, ip: Ipv4Addr, user: u64, ticket: Ticket) {
        let voice = Voice::connect_from(ip, self.gateway(), ticket);
        self.voices.insert(user, voice);
    }

    /// Has a user say one frame again and again until all of these have heard it. Media may be
    /// lost; on a connection that works it is not lost for long.
    pub(crate) fn heard_by(&mut self, speaker: u64, listeners: &[u64]) {
        self.said += 1;
        let frame = self.frame();
        let mut rounds = 0u32;
        self.wait("a frame to be heard", |stage| {
            if rounds.is_multiple_of(100) {
                stage.voice(speaker).role.send_frame(&frame);
            }
            rounds += 1;
            let heard = |user: &u64| stage.voices[user].frames.iter().any(|f| f.payload == frame);
            listeners.iter().all(heard).then_some(())
        });
    }

    /// Has a user say one frame, once, that all of these hear. Nothing is lost of what comes one by one.
    pub(crate) fn heard_at_once(&mut self, speaker: u64, listeners: &[u64]) {
        self.said += 1;
        let frame = self.frame();
        self.voice(speaker).role.send_frame(&frame);
        self.wait("a frame to be heard", |stage| {
            let heard = |user: &u64| stage.voices[user].frames.iter().any(|f| f.payload == frame);
            listeners.iter().all(heard).then_some(())
        });
    }

    /// Has a user say something that `listener` does not hear, although it hears what `other` says
    /// afterwards: both take the same way through the relay.
    pub(crate) fn unheard_by(&mut self, speaker: u64, listener: u64, other: u64) {
        self.said += 1;
        let unheard = self.frame();
        self.voice(speaker).role.send_frame(&unheard);
        self.step();
        self.heard_by(other, &[listener]);
        let frames = &self.voices[&listener].frames;
        assert!(frames.iter().all(|frame| frame.payload != unheard), "heard after all");
    }

    fn frame(&self) -> Vec<u8> {
        let mut frame = vec![0xFC];
        frame.extend(self.said.to_be_bytes());
        frame
    }
}
