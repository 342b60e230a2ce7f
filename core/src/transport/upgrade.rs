//! The HTTP upgrade, both sides.
//!
//! Here: finding the end of a head as its bytes arrive, and the one request and the one answer that
//! lead to WebSocket. Not here: which targets exist (the server decides after the upgrade), and any
//! other use of HTTP. Extensions and sub-protocols are never negotiated: offers are ignored, which
//! rules out compression bombs.
//!
//! Invariant: every byte of a head is examined once while it arrives and once when it is complete,
//! however it was split; a head is held only up to `upgrade_bytes` and `upgrade_lines`.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tungstenite::handshake::derive_accept_key;

use super::forwarded;
use crate::config::{ClientAddress, Proxies};
use crate::reasons::CloseReason;

/// What an upgrade came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UpgradeStep {
    /// The head is not complete; all input was taken.
    More,
    /// WebSocket begins with the rest of the input.
    Opened {
        /// Path and query of the request.
        target: String,
        /// What the headers say of the client, where they were to be looked at.
        client: Option<Option<IpAddr>>,
    },
    /// Not an acceptable head. The server's answer is in the output.
    Rejected(CloseReason),
}

/// The server's side: waits for a request.
pub(super) struct ServerUpgrade {
    head: Head,
    /// Whose headers are looked at, if the peer is one of them.
    proxies: Option<Arc<Proxies>>,
}

impl ServerUpgrade {
    /// A machine that takes a head of up to `bytes` bytes and `lines` lines. With `proxies` the
    /// peer is one of them, and the request says who its client is.
    pub(super) const fn new(bytes: usize, lines: usize, proxies: Option<Arc<Proxies>>) -> Self {
        Self { head: Head::new(bytes, lines), proxies }
    }

    /// Bytes of the head that have arrived.
    pub(super) const fn held(&self) -> usize {
        self.head.bytes.len()
    }

    /// Takes input and appends the answer, if there is one, to `output`.
    pub(super) fn handle(&mut self, input: &mut &[u8], output: &mut Vec<u8>) -> UpgradeStep {
        // Every method begins with a letter; a TLS client on a plain port is answered at once.
        let is_start = self.head.bytes.is_empty();
        if is_start && input.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
            answer(output, "400 Bad Request", "", "this port speaks WebSocket without TLS");
            return UpgradeStep::Rejected(CloseReason::BadUpgrade);
        }
        match self.head.feed(input) {
            HeadStep::More => return UpgradeStep::More,
            HeadStep::TooLarge(reason) => {
                let status = "431 Request Header Fields Too Large";
                answer(output, status, "", "the request is too large");
                return UpgradeStep::Rejected(reason);
            }
            HeadStep::Complete => {}
        }
        match accept_request(&self.head.bytes, self.head.lines, self.proxies.as_deref()) {
            Ok(Accepted { target, accept, client }) => {
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                output.extend_from_slice(head.as_bytes());
                UpgradeStep::Opened { target, client }
            }
            Err(Refusal { status, headers, line }) => {
                answer(output, status, headers, line);
                UpgradeStep::Rejected(CloseReason::BadUpgrade)
            }
        }
    }
}

/// The client's side: waits for the answer to [`request`].
pub(super) struct ClientUpgrade {
    head: Head,
    accept: String,
    target: String,
}

impl ClientUpgrade {
    /// A machine that waits for the answer to a request with this target and key.
    pub(super) fn new(target: &str, key: [u8; 16], bytes: usize, lines: usize) -> Self {
        let accept = derive_accept_key(BASE64.encode(key).as_bytes());
        Self { head: Head::new(bytes, lines), accept, target: target.to_owned() }
    }

    /// Takes input.
    pub(super) fn handle(&mut self, input: &mut &[u8]) -> UpgradeStep {
        match self.head.feed(input) {
            HeadStep::More => UpgradeStep::More,
            HeadStep::Complete if self.is_accepted() => {
                UpgradeStep::Opened { target: std::mem::take(&mut self.target), client: None }
            }
            HeadStep::Complete => UpgradeStep::Rejected(CloseReason::BadUpgrade),
            HeadStep::TooLarge(reason) => UpgradeStep::Rejected(reason),
        }
    }

    fn is_accepted(&self) -> bool {
        let mut headers = vec![httparse::EMPTY_HEADER; self.head.lines];
        let mut response = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(_)) = response.parse(&self.head.bytes) else {
            return false;
        };
        response.version == Some(1)
            && response.code == Some(101)
            && has_token(response.headers, "upgrade", "websocket")
            && has_token(response.headers, "connection", "upgrade")
            && the_only(response.headers, "sec-websocket-accept") == Some(self.accept.as_bytes())
            // Nothing was offered, so nothing can have been chosen.
            && named(response.headers, "sec-websocket-extensions").next().is_none()
            && named(response.headers, "sec-websocket-protocol").next().is_none()
    }
}

/// The client's request, or `None` when `host` or `target` would break out of their lines.
pub(super) fn request(host: &str, target: &str, key: [u8; 16]) -> Option<String> {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if host.is_empty() || !target.starts_with('/') || !is_plain(host) || !is_plain(target) {
        return None;
    }
    let key = BASE64.encode(key);
    Some(format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ))
}

/// Appends a complete response with one line of text, after which the connection closes.
pub(super) fn answer(output: &mut Vec<u8>, status: &str, headers: &str, line: &str) {
    let mut text = String::new();
    let length = line.len() + 1;
    let written = write!(
        text,
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{line}\n"
    );
    debug_assert!(written.is_ok(), "writing to a string does not fail");
    output.extend_from_slice(text.as_bytes());
}

/// Memory for a head grows by so much at least.
const STEP_BYTES: usize = 512;

/// A head that is arriving.
struct Head {
    bytes: Vec<u8>,
    lines: usize,
    /// Whether the current line has held nothing but carriage returns so far.
    is_blank: bool,
    bytes_max: usize,
    lines_max: usize,
    /// How many bytes were looked at.
    #[cfg(test)]
    examined: usize,
}

enum HeadStep {
    More,
    Complete,
    TooLarge(CloseReason),
}

impl Head {
    const fn new(bytes_max: usize, lines_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            lines: 0,
            is_blank: true,
            bytes_max,
            lines_max,
            #[cfg(test)]
            examined: 0,
        }
    }

    /// Takes input up to the end of the blank line.
    fn feed(&mut self, input: &mut &[u8]) -> HeadStep {
        let given = *input;
        let room = self.bytes_max.saturating_sub(self.bytes.len());
        for (index, &byte) in given.iter().enumerate() {
            if index == room {
                return HeadStep::TooLarge(CloseReason::HeadTooBig);
            }
            #[cfg(test)]
            {
                self.examined += 1;
            }
            if byte != b'\n' {
                self.is_blank &= byte == b'\r';
                continue;
            }
            self.lines += 1;
            if self.lines > self.lines_max {
                return HeadStep::TooLarge(CloseReason::HeadTooLong);
            }
            if self.is_blank {
                let (head, rest) = given.split_at(index + 1);
                self.bytes.extend_from_slice(head);
                *input = rest;
                return HeadStep::Complete;
            }
            self.is_blank = true;
        }
        // As much as there is: what a stranger makes the server hold is what it has sent.
        if self.bytes.capacity() - self.bytes.len() < given.len() {
            self.bytes.reserve_exact(given.len().max(STEP_BYTES));
        }
        self.bytes.extend_from_slice(given);
        *input = &[];
        HeadStep::More
    }
}

/// How a request that leads nowhere is answered.
struct Refusal {
    status: &'static str,
    /// Lines of their own, each with its end.
    headers: &'static str,
    line: &'static str,
}

impl Refusal {
    const fn bad(line: &'static str) -> Self {
        Self { status: "400 Bad Request", headers: "", line }
    }

    const fn upgrade(headers: &'static str, line: &'static str) -> Self {
        Self { status: "426 Upgrade Required", headers, line }
    }
}

/// What a request led to.
struct Accepted {
    target: String,
    /// `Sec-WebSocket-Accept`.
    accept: String,
    client: Option<Option<IpAddr>>,
}

/// Takes a complete head, or says how it is refused.
fn accept_request(
    head: &[u8],
    lines: usize,
    proxies: Option<&Proxies>,
) -> Result<Accepted, Refusal> {
    let mut headers = vec![httparse::EMPTY_HEADER; lines];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Ok(_) | Err(_) => return Err(Refusal::bad("not an HTTP/1.1 request")),
    }
    if request.method != Some("GET") {
        let status = "405 Method Not Allowed";
        return Err(Refusal { status, headers: "Allow: GET\r\n", line: "only GET is served" });
    }
    if request.version != Some(1) {
        return Err(Refusal::bad("HTTP/1.1 is required"));
    }
    let target = request.path.unwrap_or_default();
    if !target.starts_with('/') {
        return Err(Refusal::bad("the request target must be a path"));
    }
    let headers = &*request.headers;
    let is_upgrade =
        has_token(headers, "upgrade", "websocket") && has_token(headers, "connection", "upgrade");
    if !is_upgrade {
        let line = "this is a voice server: it speaks WebSocket";
        return Err(Refusal::upgrade("Upgrade: websocket\r\n", line));
    }
    if the_only(headers, "sec-websocket-version") != Some(b"13") {
        let headers = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        return Err(Refusal::upgrade(headers, "only WebSocket version 13 is served"));
    }
    let key = the_only(headers, "sec-websocket-key")
        .filter(|key| BASE64.decode(key).is_ok_and(|decoded| decoded.len() == 16))
        .ok_or(Refusal::bad("Sec-WebSocket-Key is missing or not 16 bytes in base64"))?;
    let client = proxies.map(|proxies| {
        let name = match proxies.client_address {
            ClientAddress::Forwarded => forwarded::FORWARDED,
            ClientAddress::XForwardedFor | ClientAddress::ProxyProtocol => {
                forwarded::X_FORWARDED_FOR
            }
        };
        forwarded::client(headers, name, proxies)
    });
    Ok(Accepted { target: target.to_owned(), accept: derive_accept_key(key), client })
}

fn named<'a>(
    headers: &'a [httparse::Header<'a>],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> + 'a {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

/// The value of a header that must occur exactly once.
fn the_only<'a>(headers: &'a [httparse::Header<'a>], name: &'a str) -> Option<&'a [u8]> {
    let mut values = named(headers, name);
    let value = values.next()?;
    values.next().is_none().then(|| value.trim_ascii())
}

/// Whether a list header holds a token, in any of its lines.
fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    named(headers, name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &str) -> (UpgradeStep, String) {
        let mut output = Vec::new();
        let step = ServerUpgrade::new(16_384, 64, None).handle(&mut input.as_bytes(), &mut output);
        (step, String::from_utf8(output).unwrap())
    }

    fn rejected(input: &str, status: &str) -> String {
        rejected_as(input, status, CloseReason::BadUpgrade)
    }

    fn rejected_as(input: &str, status: &str, reason: CloseReason) -> String {
        let (step, output) = run(input);
        assert_eq!(step, UpgradeStep::Rejected(reason), "{input:?}");
        assert!(output.starts_with(&format!("HTTP/1.1 {status} ")), "{input:?}: {output}");
        let (head, body) = output.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        assert_eq!(body.lines().count(), 1);
        output
    }

    fn good() -> String {
        request("voice.test:443", "/?v=8", *b"0123456789abcdef").unwrap()
    }

    // Clauses: V1.6
    #[test]
    fn the_example_of_the_standard_is_answered_as_printed_there() {
        let (step, output) =
            run("GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
             Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n");
        assert_eq!(step, UpgradeStep::Opened { target: "/chat".to_owned(), client: None });
        assert!(output.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        assert!(!output.contains("Extensions") && !output.contains("Protocol:"), "{output}");
    }

    #[test]
    fn a_plain_get_is_told_to_upgrade() {
        let output = rejected("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426");
        assert!(output.contains("\r\nUpgrade: websocket\r\n"));
        let output = rejected(&good().replace("Version: 13", "Version: 8"), "426");
        assert!(output.contains("\r\nSec-WebSocket-Version: 13\r\n"));
    }

    #[test]
    fn other_requests_are_refused_by_kind() {
        rejected("POST / HTTP/1.1\r\n\r\n", "405");
        rejected("GET / HTTP/1.0\r\n\r\n", "400");
        rejected("PRI * HTTP/2.0\r\n\r\n", "400");
        rejected("nonsense\r\n\r\n", "400");
        rejected("\r\n\r\n", "400");
        rejected("\u{16}\u{3}", "400");
        rejected(&good().replace("GET /", "GET http://a/"), "400");
        rejected(&good().replace("Sec-WebSocket-Key: ", "Sec-WebSocket-Key: x"), "400");
        rejected(&good().replace("\r\n\r\n", "\r\nSec-WebSocket-Key: a\r\n\r\n"), "400");
    }

    #[test]
    fn a_head_over_its_limits_is_refused_without_its_end() {
        let (big, long) = (CloseReason::HeadTooBig, CloseReason::HeadTooLong);
        rejected_as(&format!("GET /{}", "a".repeat(16_384)), "431", big);
        rejected_as(&format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(64)), "431", long);
        let filled = |lines| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(lines));
        rejected(&filled(62), "426");
        rejected_as(&filled(63), "431", long);
    }

    #[test]
    fn single_bytes_cost_no_more_than_one_feed() {
        let text = format!("{}rest", good());
        let mut whole = ServerUpgrade::new(16_384, 64, None);
        let mut input = text.as_bytes();
        whole.handle(&mut input, &mut Vec::new());
        assert_eq!(input, b"rest");
        let mut split = ServerUpgrade::new(16_384, 64, None);
        let mut opened = false;
        for byte in text.bytes().take(text.len() - 4) {
            opened |= split.handle(&mut &[byte][..], &mut Vec::new()) != UpgradeStep::More;
        }
        assert!(opened);
        assert_eq!(split.head.examined, whole.head.examined);
        assert_eq!(whole.head.examined, text.len() - 4);
    }

    #[test]
    fn a_client_checks_the_answer() {
        let key = *b"0123456789abcdef";
        let (_, reply) = run(&good());
        let check = |reply: &str| {
            ClientUpgrade::new("/?v=8", key, 16_384, 64).handle(&mut reply.as_bytes())
        };
        assert_eq!(check(&reply), UpgradeStep::Opened { target: "/?v=8".to_owned(), client: None });
        assert_eq!(
            check(&reply.replace("101", "200")),
            UpgradeStep::Rejected(CloseReason::BadUpgrade)
        );
        assert_eq!(
            check(&reply.replace("Accept: ", "Accept: x")),
            UpgradeStep::Rejected(CloseReason::BadUpgrade)
        );
        let extended = reply.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n");
        assert_eq!(check(&extended), UpgradeStep::Rejected(CloseReason::BadUpgrade));
        assert_eq!(request("a\r\nb: c", "/", key), None);
        assert_eq!(request("a", "/ HTTP/1.1\r\n", key), None);
    }
}
