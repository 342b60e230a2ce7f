//! What stands in the log, and what must never.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use lvsp_core::client::VoiceEvent;
use lvsp_core::wire::secret::Secret;

use common::process::Process;
use common::{Chat, SECRET, Voice, dial};

const SESSION: &str = "canary-session-5c0ffee";
const WRONG: &str = "canary-wrong-token-5c0ffee";

/// The session's key out of what the server wrote: the numbers behind `"secret_key":`.
fn key(heard: &[u8]) -> Vec<u8> {
    let heard = String::from_utf8_lossy(heard);
    let (_, list) = heard.split_once("\"secret_key\":[").expect("a Session Description");
    let (list, _) = list.split_once(']').expect("a list");
    list.split(',').map(|number| number.trim().parse().expect("a byte")).collect()
}

/// The ways in which bytes usually get into a log.
fn spellings(key: &[u8]) -> Vec<String> {
    let part = &key[..8];
    let list = |between: &str| part.iter().map(u8::to_string).collect::<Vec<_>>().join(between);
    let hex = |digits: fn(&u8) -> String| part.iter().map(digits).collect::<String>();
    vec![
        list(", "),
        list(","),
        hex(|byte| format!("{byte:02x}")),
        hex(|byte| format!("{byte:02X}")),
    ]
}

#[test]
fn every_line_is_json_and_none_holds_a_secret() {
    let mut server = Process::start(&[
        ("LVSP_CONTROL__SECRET", SECRET),
        ("LVSP_TLS__OFF", "true"),
        ("RUST_LOG", "trace"),
    ]);
    let mut chat = Chat::connect(server.control, SECRET, None);
    let ticket = chat.place(10, Some(SESSION));
    assert_eq!(ticket.session_id.expose(), SESSION);
    let token = ticket.token.expose().to_owned();

    let mut forged = ticket.clone();
    forged.token = Secret::new(WRONG.to_owned());
    let mut forger = Voice::new(dial(server.gateway), forged);
    let closed = forger.wait("the end", |event| {
        let VoiceEvent::Closed { code } = event else { return None };
        Some(code)
    });
    assert_eq!(closed, Some(4004));

    let mut voice = Voice::new(dial(server.gateway), ticket);
    voice.join();
    voice.role.send_frame(b"canary-opus-5c0ffee");
    voice.role.set_speaking(1);
    let key = key(&voice.heard);
    assert_eq!(key.len(), 32);
    drop((voice, chat));
    for told in ["chat server connected", "chat server lost"] {
        let line = server.wait_for_log(told);
        assert!(line.contains(r#""chat_server":"default""#), "{line}");
    }
    server.signal("TERM");
    server.wait_for_log("draining");
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));

    let log = server.log();
    assert!(log.iter().any(|line| line.contains("member connected")), "{log:#?}");
    let mut secrets = spellings(&key);
    secrets.extend([SECRET, SESSION, WRONG, &token, "canary"].map(str::to_owned));
    for line in &log {
        let value: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert!(value["level"].is_string() && value["timestamp"].is_string(), "{line}");
        for secret in &secrets {
            assert!(!line.contains(secret), "{secret} is in the log: {line}");
        }
    }
}
