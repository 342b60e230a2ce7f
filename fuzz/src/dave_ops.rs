//! The opcodes of end-to-end encryption (21 to 31), in JSON and in binary, during a call.
//!
//! It is not served, and every Session Description says so, but clients that could do it send some
//! of them. Input: steps, each an opcode with a body that the input holds, with a body of a usual
//! form, in binary, or a heartbeat. All of it is tolerated: no close, no answer, no word to the
//! other one in the call, no event, nothing that stays. Only what is no JSON ends a connection, with
//! 4002, and too many messages, with 4021. After all of it the call goes on; a session that was ended
//! by 4002 is taken up again.

use std::time::Duration;

use serde_json::json;

use crate::agreement::DEPTH;
use crate::live::{Allowance, Call};
use crate::people::{gateway, resume};
use crate::script::Script;
use crate::strict::Json;
use crate::world::World;

/// What clients write into these messages.
const BODIES: [&str; 6] = [
    r#"{"transition_id":0}"#,
    r#"{"transition_id":65535,"protocol_version":1}"#,
    r#"{"protocol_version":1,"epoch":1}"#,
    r#"{"epoch":18446744073709551615,"protocol_version":0}"#,
    "null",
    r#"{"transition_id":-1,"transition_id":1.5}"#,
];

/// The body of this target.
pub fn dave_ops(data: &[u8]) {
    let mut call = Call::new(World::new());
    let census = call.world.server.census();
    let mut now_ms = call.world.now.as_micros() / 1_000;
    // Well below the silence that ends Bob's connection.
    let end_ms = now_ms + 40_000;
    let mut allowance = Allowance::new(now_ms);
    // Identify and Select Protocol.
    allowance.take(now_ms);
    allowance.take(now_ms);
    let mut script = Script::new(data);
    let mut end = None;
    while let (Some(tag), None) = (script.step::<u8>(), end) {
        if tag & 3 == 3 {
            let wait_ms = u64::from(tag) * 4;
            if now_ms + wait_ms < end_ms {
                now_ms += wait_ms;
                call.world.advance(Duration::from_millis(wait_ms));
            }
        }
        let allowed = allowance.take(now_ms);
        end = send(&mut call, tag, &mut script).or((!allowed).then_some(4_021));
        assert_eq!(call.world.closed(call.ann.peer), end.map(Some));
        if end.is_none() {
            assert!(call.world.events.is_empty(), "{:?}", call.world.events);
            assert_eq!(call.world.server.census(), census);
            call.bob_noticed_nothing();
        }
    }
    match end {
        None => call.they_hear_each_other(),
        Some(4_002) => comes_back(&mut call),
        // The session is over, which Bob is told like any other end.
        Some(_) => {}
    }
}

/// Sends one message; the code that must end the connection, if one must.
fn send(call: &mut Call, tag: u8, script: &mut Script<'_>) -> Option<u16> {
    let (world, peer) = (&mut call.world, call.ann.peer);
    let op = 21 + (tag >> 2) % 11;
    let text = match tag & 3 {
        0 => {
            let length = usize::from(script.next::<u8>());
            let bytes = [&[op], script.bytes(length)].concat();
            world.send_binary(peer, &bytes);
            assert!(world.take_all(peer).is_empty(), "answered");
            return None;
        }
        1 => {
            let body = BODIES[usize::from(script.next::<u8>()) % BODIES.len()];
            format!(r#"{{"op":{op},"d":{body}}}"#)
        }
        2 => {
            let length = usize::from(script.next::<u8>());
            let body = String::from_utf8_lossy(script.bytes(length)).into_owned();
            format!(r#"{{"op":{op},"d":{body}}}"#)
        }
        _ => {
            world.send(peer, &json!({"op": 3, "d": {"t": op, "seq_ack": -1}}));
            let answers = world.take_all(peer);
            let allowed = world.closed(peer).is_none();
            assert_eq!(answers.len(), usize::from(allowed), "{answers:?}");
            return None;
        }
    };
    world.send_text(peer, &text);
    assert!(world.take_all(peer).is_empty(), "{text} was answered");
    // The body may go on where it should have ended, and say another opcode.
    expected_end(&text, op)
}

/// The code that ends a connection on which this text is said.
fn expected_end(text: &str, op: u8) -> Option<u16> {
    let Some(json) = Json::read(text) else { return Some(4_002) };
    let twice = json.count("op") > 1 || json.count("d") > 1;
    let is_fit = !twice && json.depth() <= DEPTH && !json.has_broken_root_key();
    debug_assert!(json.get("op") == Some(&Json::Number(&op.to_string())));
    (!is_fit).then_some(4_002)
}

/// Ann resumes, and the call goes on.
fn comes_back(call: &mut Call) {
    let peer = gateway(&mut call.world, 8);
    call.world.send(peer, &resume(&call.ann.ticket, None));
    assert_eq!(call.world.take(peer)["op"], 9, "resumed");
    call.ann.peer = peer;
    call.bob_noticed_nothing();
    call.they_hear_each_other();
}
