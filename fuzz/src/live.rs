//! Two voice clients in a call, on the world of the integration tests.

use lvsp_core::crypto::mode::Mode;

use crate::people::{CHANNEL, Voice, chat_server, join};
use crate::world::{PeerId, World};

/// The users of a call.
pub(crate) const ANN: u64 = 1_001;
pub(crate) const BOB: u64 = 1_002;

/// Ann, who misbehaves, and Bob, who must not notice.
pub(crate) struct Call {
    pub(crate) world: World,
    pub(crate) chat: PeerId,
    pub(crate) ann: Voice,
    pub(crate) bob: Voice,
}

impl Call {
    pub(crate) fn new(mut world: World) -> Self {
        let chat = chat_server(&mut world);
        let ann = join(&mut world, chat, ANN, CHANNEL, (8, Mode::Aes256GcmRtpSize));
        let bob = join(&mut world, chat, BOB, CHANNEL, (8, Mode::Aes256GcmRtpSize));
        let mut call = Self { world, chat, ann, bob };
        call.settle();
        call
    }

    /// Everybody reads what has come, and the host takes its events.
    pub(crate) fn settle(&mut self) {
        for peer in [self.chat, self.ann.peer, self.bob.peer] {
            self.world.take_all(peer);
        }
        self.world.events.clear();
    }

    /// Bob was told nothing since he read last, and his connection is as it was.
    pub(crate) fn bob_noticed_nothing(&mut self) {
        let told = self.world.take_all(self.bob.peer);
        assert!(told.is_empty(), "Bob was told {told:?}");
        assert_eq!(self.world.closed(self.bob.peer), None);
    }

    /// Ann is heard by Bob and Bob by her.
    pub(crate) fn they_hear_each_other(&mut self) {
        let sent = self.ann.speak(&mut self.world, b"is it me");
        assert_eq!(self.bob.hear(&sent).len(), 1, "Bob hears Ann");
        let sent = self.bob.speak(&mut self.world, b"hello");
        assert_eq!(self.ann.hear(&sent).len(), 1, "Ann hears Bob");
    }
}

/// The rate of messages, as documented: 120 at once, and 20 a second.
#[derive(Debug)]
pub(crate) struct Allowance {
    tokens: u64,
    /// Since when time counts for the next one.
    since_ms: u64,
}

impl Allowance {
    const BURST: u64 = 120;
    const REFILL_MS: u64 = 50;

    pub(crate) const fn new(now_ms: u64) -> Self {
        Self { tokens: Self::BURST, since_ms: now_ms }
    }

    /// Whether one more message is allowed.
    pub(crate) fn take(&mut self, now_ms: u64) -> bool {
        let earned = (now_ms - self.since_ms) / Self::REFILL_MS;
        self.since_ms += earned * Self::REFILL_MS;
        self.tokens = (self.tokens + earned).min(Self::BURST);
        let allowed = self.tokens > 0;
        self.tokens -= u64::from(allowed);
        allowed
    }
}
