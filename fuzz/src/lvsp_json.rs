//! A message of the control protocol, in both directions.
//!
//! Held against a strict JSON reader, as in `gw_json`, and read again from what is written.

use lvsp_core::wire::lvsp::{ChatMessage, ServerMessage};

use crate::agreement::{DEPTH, accepted_as_said, refused_for_cause};
use crate::bounds::hold_within;

/// The body of this target.
pub fn lvsp_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let memory = 4 * text.len() + 4_096;
    match hold_within(memory, || ChatMessage::parse(text, DEPTH)) {
        Ok(message) => {
            let written = message.encode();
            accepted_as_said(text, &written);
            let again = ChatMessage::parse(&written, DEPTH).expect("we wrote it");
            assert_eq!(again.encode(), written);
            assert_eq!(again.info_kind(), message.info_kind());
        }
        Err(error) => refused_for_cause(text, &error),
    }
    match hold_within(memory, || ServerMessage::parse(text, DEPTH)) {
        Ok((message, s)) => {
            let written = message.encode(s);
            accepted_as_said(text, &written);
            let (again, number) = ServerMessage::parse(&written, DEPTH).expect("we wrote it");
            assert_eq!(number, s);
            assert_eq!(again.encode(s), written);
        }
        Err(error) => refused_for_cause(text, &error),
    }
}
