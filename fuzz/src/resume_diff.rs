//! What a client gets that is cut off and resumes, against what its twin gets that never is.
//!
//! Both are in one call, so the server numbers the same messages for both. Input: two bytes for
//! `limits.resume_messages` and `limits.resume_bytes`, then steps, a byte of kind and one of detail.
//! An ideal list that follows the documented limits says which Resume is possible. One that is
//! must be answered by exactly the messages behind the number that it names; one that is not must be
//! refused with 4006. Nothing is lost, doubled or reordered, and what is kept stays within its limit.

use std::collections::VecDeque;
use std::time::Duration;

use lvsp_core::crypto::mode::Mode;
use serde_json::{Value, json};

use crate::people::{CHANNEL, Ticket, Voice, chat_server, connect, gateway, join, place, resume};
use crate::script::Script;
use crate::world::{PeerId, World};

const SUBJECT: u64 = 1_001;
const TWIN: u64 = 1_002;
const SPEAKER: u64 = 1_003;
const VISITOR: u64 = 1_004;
const MODE: Mode = Mode::Aes256GcmRtpSize;
/// Steps of 50 ms; the silence that ends a connection is longer than all of them.
const STEPS: usize = 700;
/// Joins of the visitor: each is a whole handshake.
const VISITS: u32 = 20;

/// The body of this target.
pub fn resume_diff(data: &[u8]) {
    let mut script = Script::new(data);
    let messages = usize::from(script.next::<u8>() % 32) + 1;
    let bytes = 1_024 + 16 * usize::from(script.next::<u8>());
    let mut case = Case::new(messages, bytes);
    for _ in 0..STEPS {
        let Some([kind, detail]) = script.step::<[u8; 2]>() else { break };
        case.step(kind, detail.into());
    }
    case.come_back();
}

struct Case {
    world: World,
    chat: PeerId,
    ticket: Ticket,
    /// The subject's connection, while it has one.
    peer: Option<PeerId>,
    twin: Voice,
    speaker: Voice,
    speaking: u64,
    visitor: Option<Voice>,
    visits: u32,
    ideal: Ideal,
    /// How many numbered messages the subject has read.
    read: usize,
}

impl Case {
    fn new(messages: usize, bytes: usize) -> Self {
        let mut world = World::with(|config| {
            config.limits.resume_messages = messages;
            config.limits.resume_bytes = bytes;
        });
        let chat = chat_server(&mut world);
        let twin = join(&mut world, chat, TWIN, CHANNEL, (8, MODE));
        let speaker = join(&mut world, chat, SPEAKER, CHANNEL, (8, MODE));
        let ticket = place(&mut world, chat, SUBJECT, CHANNEL);
        let mut case = Self {
            world,
            chat,
            ticket,
            peer: None,
            twin,
            speaker,
            speaking: 0,
            visitor: None,
            visits: 0,
            ideal: Ideal::new(messages, bytes),
            read: 0,
        };
        case.begin();
        case
    }

    fn step(&mut self, kind: u8, detail: u64) {
        self.world.advance(Duration::from_millis(50));
        match kind % 10 {
            0..=2 => self.toggle(detail),
            3 => self.visit(),
            4 => self.mute(detail & 1 == 1),
            5 => self.acknowledge(detail),
            6 => self.cut(),
            7 => self.come_back(),
            8 => self.resume_from(if detail == 255 { None } else { Some(detail) }),
            _ => self.stop_reading(detail),
        }
        self.follow();
    }

    // --- what the others do ---

    fn toggle(&mut self, flags: u64) {
        self.speaking = if self.speaking == flags & 3 { flags & 3 ^ 1 } else { flags & 3 };
        let speaking = json!({"op": 5, "d": {"speaking": self.speaking, "delay": 0}});
        self.world.send(self.speaker.peer, &speaking);
        self.world.take_all(self.speaker.peer);
    }

    fn visit(&mut self) {
        if self.visitor.take().is_some() {
            return self.order(json!({"user_id": VISITOR.to_string(), "channel_id": null}));
        }
        if self.visits < VISITS {
            self.visits += 1;
            self.visitor = Some(join(&mut self.world, self.chat, VISITOR, CHANNEL, (8, MODE)));
        }
    }

    fn mute(&mut self, mute: bool) {
        let channel = CHANNEL.to_string();
        self.order(json!({"user_id": SPEAKER.to_string(), "channel_id": channel, "mute": mute}));
    }

    fn order(&mut self, info: Value) {
        self.world.send(self.chat, &json!({"op": 6, "d": {"type": 1, "info": info}}));
        self.world.take_all(self.chat);
    }

    // --- what the subject does ---

    /// A new session, and with it a new list.
    fn begin(&mut self) {
        self.world.take_all(self.twin.peer);
        let voice = connect(&mut self.world, self.ticket.clone(), 8, MODE);
        self.peer = Some(voice.peer);
        self.ideal.clear();
        self.read = 0;
        // It is told who is there; its twin is told of it instead.
        for message in self.world.take_all(voice.peer) {
            assert!(number_of(&message).is_some(), "{message}");
            self.ideal.add(message);
        }
        self.read = self.ideal.all.len();
        let told = self.world.take_all(self.twin.peer);
        assert!(told.iter().all(is_about_subject), "{told:?}");
    }

    fn acknowledge(&mut self, back: u64) {
        let Some(peer) = self.peer else { return };
        let seq = (self.read as u64).saturating_sub(back);
        self.world.send(peer, &json!({"op": 3, "d": {"t": 1, "seq_ack": seq}}));
        self.ideal.acknowledge(seq);
    }

    fn cut(&mut self) {
        if let Some(peer) = self.peer.take() {
            self.hear(peer);
            self.world.cut(peer);
        }
    }

    /// It reads a few more bytes and no others.
    fn stop_reading(&mut self, bytes: u64) {
        if let Some(peer) = self.peer {
            self.world.allow(peer, usize::try_from(bytes).expect("few"));
        }
    }

    /// Resumes as a client does, and begins anew if it is refused.
    fn come_back(&mut self) {
        self.cut();
        self.follow();
        self.resume_from(Some(self.read as u64));
        if self.peer.is_none() {
            self.begin();
        }
        self.follow();
        assert_eq!(self.read, self.ideal.all.len(), "it has everything that its twin has");
    }

    /// Resumes behind any number, on top of a connection that may still be there.
    fn resume_from(&mut self, seq: Option<u64>) {
        self.follow();
        let peer = gateway(&mut self.world, 8);
        self.world.send(peer, &resume(&self.ticket, seq));
        let Some(after) = self.ideal.resumes_behind(seq) else {
            assert_eq!(self.world.closed(peer), Some(Some(4_006)), "{seq:?}: {:?}", self.ideal);
            return;
        };
        if let Some(older) = self.peer.replace(peer) {
            self.hear(older);
        }
        assert_eq!(self.world.closed(peer), None, "{seq:?}: {:?}", self.ideal);
        assert_eq!(self.world.take(peer), json!({"op": 9, "d": null}));
        self.read = usize::try_from(after).expect("a position in the list");
        self.hear(peer);
        assert_eq!(self.read, self.ideal.all.len(), "what was missed comes at once");
    }

    // --- what is read ---

    /// Adds what the twin was told to the ideal list, and holds what the subject got against it.
    fn follow(&mut self) {
        for mut message in self.world.take_all(self.twin.peer) {
            if number_of(&message).is_some() && !is_about_subject(&message) {
                message["seq"] = json!(self.ideal.all.len() + 1);
                self.ideal.add(message);
            }
        }
        if let Some(peer) = self.peer {
            self.hear(peer);
            if self.world.ended(peer).is_some() {
                self.peer = None; // it did not read for too long
            }
        }
        assert!(self.world.server.census().replay_bytes <= 4 * self.ideal.bytes_max);
    }

    fn hear(&mut self, peer: PeerId) {
        for message in self.world.take_all(peer) {
            if number_of(&message).is_some() {
                let expected = self.ideal.all.get(self.read);
                assert_eq!(Some(&message), expected, "number {}", self.read + 1);
                self.read += 1;
            }
        }
    }
}

fn number_of(message: &Value) -> Option<u64> {
    message["seq"].as_u64()
}

fn is_about_subject(message: &Value) -> bool {
    let subject = json!(SUBJECT.to_string());
    message["d"]["user_id"] == subject || message["d"]["user_ids"] == json!([subject])
}

/// What a kept message counts beside its text.
const PLACE_BYTES: usize = 64;

/// Every numbered message of a session, and which of them are kept.
#[derive(Debug)]
struct Ideal {
    all: Vec<Value>,
    /// Lengths of those that are kept: the newest ones.
    kept: VecDeque<usize>,
    acknowledged: usize,
    /// The newest one that had to go without having been acknowledged.
    evicted: usize,
    messages_max: usize,
    bytes_max: usize,
}

impl Ideal {
    fn new(messages_max: usize, bytes_max: usize) -> Self {
        let (all, kept) = (Vec::new(), VecDeque::new());
        Self { all, kept, acknowledged: 0, evicted: 0, messages_max, bytes_max }
    }

    fn clear(&mut self) {
        *self = Self::new(self.messages_max, self.bytes_max);
    }

    fn add(&mut self, message: Value) {
        self.kept.push_back(message.to_string().len() + PLACE_BYTES);
        self.all.push(message);
        while self.kept.len() > self.messages_max
            || self.kept.iter().sum::<usize>() > self.bytes_max
        {
            self.kept.pop_front();
            self.evicted = self.all.len() - self.kept.len();
        }
    }

    fn acknowledge(&mut self, seq: u64) {
        let seq = usize::try_from(seq).expect("few");
        if (1..=self.all.len()).contains(&seq) {
            self.acknowledged = self.acknowledged.max(seq);
            while self.all.len() - self.kept.len() < seq {
                self.kept.pop_front();
            }
        }
    }

    /// Behind which message a Resume that names this number goes on; `None` if it cannot.
    fn resumes_behind(&self, seq: Option<u64>) -> Option<u64> {
        let after = match seq {
            None | Some(0) => self.acknowledged,
            Some(seq) => usize::try_from(seq).expect("few"),
        };
        let known = self.evicted.max(self.acknowledged)..=self.all.len();
        known.contains(&after).then_some(after as u64)
    }
}
