//! Every message that a protocol document shows is one that this server reads or writes, to the key.

use std::fs;
use std::path::Path;

use lvsp_core::wire::gateway;
use lvsp_core::wire::lvsp::{ChatMessage, ServerMessage};
use serde_json::{Deserializer, Value};

const DEPTH: usize = 16;

/// The messages in the blocks marked `json` of a document.
fn examples(path: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    let text = fs::read_to_string(path).expect("the document is in the tree");
    let blocks = text.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let text: String = blocks.collect::<String>().replace("->", "");
    let messages: Result<Vec<_>, _> = Deserializer::from_str(&text).into_iter().collect();
    messages.expect("examples are JSON")
}

/// Whether a message is what came out of a reader and its writer.
fn is_one_of(message: &Value, written: [Option<String>; 2]) -> bool {
    let parsed = |text: String| serde_json::from_str::<Value>(&text).expect("our writers' JSON");
    written.into_iter().flatten().map(parsed).any(|again| again == *message)
}

fn is_lvsp(message: &Value) -> bool {
    let text = message.to_string();
    let ordered = match ChatMessage::parse(&text, DEPTH) {
        Ok(ChatMessage::Unknown { .. } | ChatMessage::UnknownInfo { .. }) | Err(_) => None,
        Ok(ordered) => Some(ordered.encode()),
    };
    let told = match ServerMessage::parse(&text, DEPTH) {
        Ok((ServerMessage::Unknown { .. } | ServerMessage::UnknownInfo { .. }, _)) | Err(_) => None,
        Ok((told, s)) => Some(told.encode(s)),
    };
    is_one_of(message, [ordered, told])
}

fn is_gateway(message: &Value) -> bool {
    let text = message.to_string();
    // The newest version writes every key; bare heartbeats and boolean flags are older.
    [9, 4, 3].into_iter().filter_map(gateway::Version::new).any(|version| {
        let said = match gateway::ClientMessage::parse(&text, DEPTH) {
            Ok(gateway::ClientMessage::Unknown { .. }) | Err(_) => None,
            Ok(said) => Some(said.encode(version)),
        };
        let told = match gateway::ServerMessage::parse(&text, DEPTH) {
            Ok((gateway::ServerMessage::Unknown { .. }, _)) | Err(_) => None,
            Ok((told, seq)) => Some(told.encode(version, seq)),
        };
        is_one_of(message, [said, told])
    })
}

#[test]
fn every_example_of_the_control_protocol_is_read_and_written_as_shown() {
    let mut shown = 0;
    for path in ["docs/lvsp.md", "docs/litecord.md"] {
        // Events of the chat server's own gateway have no opcode here.
        for message in examples(path).iter().filter(|message| message.get("op").is_some()) {
            assert!(is_lvsp(message), "{path}: {message}");
            shown += 1;
        }
    }
    assert!(shown > 40, "the examples were not found");
}

#[test]
fn every_example_of_the_voice_gateway_is_read_and_written_as_shown() {
    let messages = examples("docs/voice-gateway.md");
    assert!(messages.len() > 15, "the examples were not found");
    for message in messages {
        assert!(is_gateway(&message), "{message}");
    }
}

#[test]
fn a_wrong_example_is_found() {
    let message = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert!(!is_lvsp(&message(r#"{"op":6,"d":{"type":4,"data":{"userid":"1001"}}}"#)));
    assert!(!is_lvsp(&message(r#"{"op":6,"d":{"type":0,"info":{"id":5}}}"#)));
    assert!(!is_gateway(&message(r#"{"op":6,"d":{"t":1},"s":1}"#)));
    assert!(!is_gateway(&message(r#"{"op":9,"d":{}}"#)));
}
