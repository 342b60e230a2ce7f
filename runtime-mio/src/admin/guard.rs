//! Which requests are answered, and what every answer carries.
//!
//! A page that somebody visits can make a browser ask a name that its owner points at this host (DNS
//! rebinding). Such a request has the page's host name, so that only addresses, `localhost` and the
//! names of the configuration are answered. Only reading is: nothing here changes anything, and a body
//! is never read.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// What every answer carries: nothing is loaded from elsewhere, framed, guessed at or kept.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The names that requests may be made to.
#[derive(Clone, Debug)]
pub(super) struct Guard(Arc<[String]>);

impl Guard {
    pub(super) fn new(hosts: &[String]) -> Self {
        Self(hosts.iter().map(|host| host.to_ascii_lowercase()).collect())
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Err(Problem::Method);
        }
        if has_body(request.headers()) {
            return Err(Problem::Body);
        }
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
        let host = host.unwrap_or_default();
        if self.knows(host) { Ok(()) } else { Err(Problem::Host(host.chars().take(80).collect())) }
    }

    fn knows(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let inside = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        inside.unwrap_or(&name).parse::<IpAddr>().is_ok()
            || name == "localhost"
            || self.0.contains(&name)
    }
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length != "0")
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

/// Lets a request through, or says why not; either way with the headers.
pub(super) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_names_of_the_configuration_are_answered() {
        let guard = Guard::new(&["Voice.example.org".to_owned()]);
        for host in [
            "127.0.0.1:9900",
            "127.0.0.1",
            "[::1]:9900",
            "[::1]",
            "LOCALHOST:9900",
            "192.0.2.1:80",
            "voice.example.org:9900",
            "VOICE.example.ORG",
        ] {
            assert!(guard.knows(host), "{host}");
        }
        for host in [
            "",
            "rebound.example",
            "rebound.example:9900",
            "127.0.0.1.rebound.example",
            "localhost.rebound.example:9900",
            "voice.example.org.rebound.example",
            "[::1].rebound.example",
        ] {
            assert!(!guard.knows(host), "{host}");
        }
    }
}
