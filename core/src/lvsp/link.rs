//! One control connection: decides what each message means at this point.
//!
//! Before READY a mistake closes the connection; after READY it is refused alone, because the
//! deployed chat server never comes back from a close. Only text that is no JSON still closes.

use super::revision::Refusal;
use crate::ids::ControlId;
use crate::reasons::CloseReason;
use crate::wire::json::WireError;
use crate::wire::lvsp::{ChatMessage, FEATURE_ERRORS};
use crate::wire::secret::Secret;

/// How far a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// HELLO went out.
    Fresh,
    /// Identified, but another connection of the same chat server is asked whether it lives.
    Waiting(ControlId),
    /// It may give orders.
    Live(ControlId),
}

/// What a chat server presents to take its session up again.
#[derive(Debug)]
pub(crate) struct Resume {
    pub(crate) token: Secret,
    /// The newest number that it has, if it knows.
    pub(crate) seq: Option<u64>,
    /// The session, if the chat server remembers it.
    pub(crate) session: Option<Secret>,
    /// Whether it wants to be told of refused messages.
    pub(crate) errors: bool,
}

/// What a message asks of the parent.
#[derive(Debug)]
pub(crate) enum Step {
    /// Check this token and begin a session.
    Identify { token: Secret, errors: bool },
    /// Check this token and take the session up again.
    Resume(Resume),
    /// Answer; `s` is the newest number that the chat server has.
    Heartbeat { s: u64 },
    /// An order, to be read in the session's revision.
    Order(ControlId, ChatMessage),
    /// Refuse this message alone.
    Refuse(ControlId, Refusal),
    /// Close the connection.
    Fail { reason: CloseReason, why: String },
}

/// The state of one control connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// The random part of HELLO that an HMAC token answers.
    pub(crate) nonce: String,
    pub(crate) stage: Stage,
}

impl Link {
    pub(crate) const fn new(nonce: String) -> Self {
        Self { nonce, stage: Stage::Fresh }
    }

    /// Decides what `text` means here.
    pub(crate) fn handle_text(&self, text: &str, depth: usize) -> Step {
        match (self.stage, ChatMessage::parse(text, depth)) {
            (_, Err(error)) => self.handle_error(&error),
            (_, Ok(ChatMessage::Heartbeat { s })) => Step::Heartbeat { s },
            (Stage::Fresh, Ok(ChatMessage::Identify { token, features })) => {
                Step::Identify { token, errors: lists_errors(&features) }
            }
            (Stage::Fresh, Ok(ChatMessage::Resume { token, seq, session, features })) => {
                let errors = lists_errors(&features);
                Step::Resume(Resume { token, seq, session, errors })
            }
            (Stage::Fresh, Ok(_)) => Step::Fail {
                reason: CloseReason::ControlGeneral,
                why: "identify first: send IDENTIFY (1) or RESUME (2)".to_owned(),
            },
            (Stage::Waiting(_), Ok(_)) => {
                Step::Fail { reason: CloseReason::ControlGeneral, why: "wait for READY".to_owned() }
            }
            (Stage::Live(client), Ok(message)) => Step::Order(client, message),
        }
    }

    fn handle_error(&self, error: &WireError) -> Step {
        let why = error.to_string();
        if error.is_decode() {
            return Step::Fail { reason: error.close_reason(), why };
        }
        match self.stage {
            Stage::Fresh | Stage::Waiting(_) => {
                Step::Fail { reason: CloseReason::ControlGeneral, why }
            }
            Stage::Live(client) => Step::Refuse(client, Refusal::from_wire(None, error)),
        }
    }
}

fn lists_errors(features: &[String]) -> bool {
    features.iter().any(|feature| feature == FEATURE_ERRORS)
}
