//! Binary messages of a voice client, at every stage of its connection.
//!
//! Input: a byte for the stage, then steps: a binary message, one of several thousand bytes, a
//! heartbeat, or time. Only end-to-end encryption uses binary messages, which is not served: from a
//! client that is identified they are taken and lead to nothing, not a byte of an answer, as long
//! as their size and rate allow; any other is closed with the code that a model says. What they
//! leave behind is bounded.

use std::time::Duration;

use serde_json::json;

use crate::live::{Allowance, Call};
use crate::people::{CHANNEL, gateway, identify, place};
use crate::script::Script;
use crate::world::{PeerId, World};

/// `limits.gateway_message_unidentified_bytes` and `limits.gateway_message_bytes`.
const FRESH_BYTES: usize = 8_192;
const IDENTIFIED_BYTES: usize = 65_536;
/// What a call may hold of messages that are over: both ends' buffers.
const LEFT_BYTES: i64 = 512 * 1_024;
/// Well below the silence that ends a connection.
const PASSED_MS: u64 = 40_000;

/// The body of this target.
pub fn gw_binary(data: &[u8]) {
    let mut script = Script::new(data);
    let mut call = Call::new(World::new());
    let now_ms = call.world.now.as_micros() / 1_000;
    let mut sender = Sender::new(&mut call, script.next::<u8>() % 4, now_ms);
    let census = call.world.server.census();
    let info = allocation_counter::measure(|| {
        while let Some(tag) = script.step::<u8>() {
            if !sender.step(&mut call.world, tag, &mut script) {
                break;
            }
        }
    });
    assert!(info.bytes_current <= LEFT_BYTES, "{} bytes were left behind", info.bytes_current);
    if sender.end == Some(4_021) && sender.peer == call.ann.peer {
        // Her session is over, which Bob is told like any other end.
        assert_eq!(call.world.take_all(call.bob.peer).len(), 1);
    }
    call.bob_noticed_nothing();
    if sender.end.is_some() {
        return;
    }
    assert_eq!(call.world.server.census(), census, "nothing has become more");
    if sender.peer == call.ann.peer {
        call.they_hear_each_other();
    }
}

/// Who sends binary messages, and what a model knows of it.
struct Sender {
    peer: PeerId,
    identified: bool,
    allowance: Allowance,
    now_ms: u64,
    end_ms: u64,
    /// The code that ended its connection.
    end: Option<u16>,
}

impl Sender {
    /// 0 nothing said yet, 1 waits for a voice state, 2 identified, 3 in the call.
    fn new(call: &mut Call, stage: u8, now_ms: u64) -> Self {
        let world = &mut call.world;
        let mut allowance = Allowance::new(now_ms);
        let mut patience_ms = PASSED_MS;
        let peer = match stage {
            0 => {
                patience_ms = 9_000;
                gateway(world, 8)
            }
            1 => {
                patience_ms = 2_000;
                let peer = gateway(world, 8);
                let d = json!({"server_id": "77", "user_id": "5", "session_id": "x", "token": "y"});
                world.send(peer, &json!({"op": 0, "d": d}));
                allowance.take(now_ms);
                peer
            }
            2 => {
                let ticket = place(world, call.chat, 1_003, CHANNEL);
                let peer = gateway(world, 8);
                world.send(peer, &identify(&ticket));
                allowance.take(now_ms);
                peer
            }
            _ => {
                // Identify and Select Protocol.
                allowance.take(now_ms);
                allowance.take(now_ms);
                call.ann.peer
            }
        };
        call.world.take_all(peer);
        let end_ms = now_ms + patience_ms;
        Self { peer, identified: stage >= 2, allowance, now_ms, end_ms, end: None }
    }

    /// One step; whether the connection goes on.
    fn step(&mut self, world: &mut World, tag: u8, script: &mut Script<'_>) -> bool {
        match tag & 3 {
            0 => {
                let length = usize::from(tag >> 2) * 4;
                self.send(world, script.bytes(length));
            }
            1 => {
                let length = usize::from(script.next::<u16>()) + usize::from(tag >> 2) * 64;
                self.send(world, &vec![script.next::<u8>(); length]);
            }
            2 => self.beat(world),
            _ => {
                let wait = u64::from(script.next::<u8>()) << (tag >> 6);
                if self.now_ms + wait < self.end_ms {
                    self.now_ms += wait;
                    world.advance(Duration::from_millis(wait));
                }
            }
        }
        self.end.is_none()
    }

    fn send(&mut self, world: &mut World, bytes: &[u8]) {
        let limit = if self.identified { IDENTIFIED_BYTES } else { FRESH_BYTES };
        let expected = if bytes.len() > limit {
            Some(1_009)
        } else if !self.allowance.take(self.now_ms) {
            Some(4_021)
        } else if !self.identified {
            Some(4_003)
        } else {
            None
        };
        world.send_binary(self.peer, bytes);
        assert!(world.take_all(self.peer).is_empty(), "a binary message was answered");
        assert!(world.relay.poll_event().is_none());
        self.expect(world, expected);
    }

    fn beat(&mut self, world: &mut World) {
        let expected = if self.allowance.take(self.now_ms) { None } else { Some(4_021) };
        world.send(self.peer, &json!({"op": 3, "d": {"t": 7, "seq_ack": -1}}));
        let answers = world.take_all(self.peer);
        assert_eq!(answers.len(), usize::from(expected.is_none()), "{answers:?}");
        self.expect(world, expected);
    }

    fn expect(&mut self, world: &World, code: Option<u16>) {
        assert_eq!(world.closed(self.peer), code.map(Some), "closed by what a model says");
        self.end = code;
    }
}
