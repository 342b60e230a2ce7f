//! What is said where there is no answer: a status and a sentence, as JSON.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::observer::Silent;

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("only GET is answered: nothing can be changed here")]
    Method,
    #[error("a request with a body is not answered")]
    Body,
    #[error(
        "the Host {0:?} is none of this server's: ask 127.0.0.1, localhost or another address of \
         it, or name it in admin.hosts"
    )]
    Host(String),
    #[error("there is nothing at this path; \"Monitor\" in docs/operating.md has the list")]
    Path,
    #[error("the request is not understood: {0}")]
    Request(String),
    #[error("{what} {given:?}: {why}")]
    Argument {
        /// The argument.
        what: &'static str,
        /// What stood there.
        given: String,
        /// What should.
        why: &'static str,
    },
    #[error(
        "there is no member {0:?}: it has left or moved since, or never was, or is a user in several \
         channels; /v1/members has the ids"
    )]
    Member(String),
    #[error("the member's voice client has not identified, so that there is nothing to record")]
    NoSession,
    #[error("as many recorders run as may; try again when one of them is done")]
    Recorders,
    #[error(transparent)]
    Silent(#[from] Silent),
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::Request(rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::Request(rejection.body_text())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Path | Self::Member(_) => StatusCode::NOT_FOUND,
            Self::NoSession => StatusCode::CONFLICT,
            Self::Recorders => StatusCode::TOO_MANY_REQUESTS,
            Self::Argument { .. } | Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::Silent(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}
