//! The HTTP head that leads to WebSocket, in both roles, cut anywhere.
//!
//! Input: a byte (bit 0: the client's role), a byte that says how many sizes follow, the sizes of
//! the pieces, then what arrives. It must not matter how that is cut; one refusal or one opening
//! comes of it, opened only for what a reader of lines takes for an upgrade too, with the answer that
//! RFC 6455 wants; an answer is small, complete and ends the connection; what is held is bounded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use lvsp_core::limits::Limits;
use lvsp_core::reasons::CloseReason;
use lvsp_core::transport::{Stage, Transport, TransportConfig, TransportEvent};
use lvsp_core::wire::gateway::Version;
use sha1::{Digest as _, Sha1};

use crate::bounds::hold_within;
use crate::chunks::{Cuts, Outcome, feed};

const KEY: [u8; 16] = *b"0123456789abcdef";
const TARGET: &str = "/?v=8";
/// How headers of the PROXY protocol begin, which nobody but trusted proxies may send.
pub(crate) const PROXY_STARTS: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];
/// A refusal's head and its line.
const ANSWER_BYTES: usize = 320;

/// The body of this target.
pub fn ws_upgrade(data: &[u8]) {
    let Some(([role, sizes], rest)) = data.split_first_chunk() else { return };
    let (cuts, bytes) = rest.split_at(usize::from(*sizes).min(rest.len()));
    let is_client = role & 1 == 1;
    let limits = Limits::default();
    let run = |cuts| {
        let config = TransportConfig::new(&limits, 8_192);
        let mut transport = if is_client {
            Transport::connect(None, "voice.test", TARGET, KEY, config).expect("it can stand there")
        } else {
            Transport::accept(None, config)
        };
        feed(&mut transport, bytes, cuts)
    };
    let whole = hold_within(8 * bytes.len() + 64 * 1_024, || run(Cuts::WHOLE));
    for cuts in [Cuts(cuts), Cuts::BYTES] {
        let cut = run(cuts);
        let same = (cut.events == whole.events, cut.stage == whole.stage);
        assert_eq!(same, (true, true), "{cuts:?}: {:?} and {:?}", cut.events, whole.events);
        // The client's request is taken with its first piece, and there is none without one.
        assert_eq!(cut.outbound, whole.outbound);
    }
    let head = Head::read(bytes, is_client, limits.upgrade_bytes, limits.upgrade_lines);
    if is_client {
        check_client(&whole, &head);
    } else {
        check_server(&whole, &head, bytes);
    }
}

fn check_server(outcome: &Outcome, head: &Head<'_>, bytes: &[u8]) {
    match outcome.events.first() {
        None => {
            assert!(matches!(head, Head::Arriving), "{head:?}");
            assert!(outcome.outbound.is_empty(), "nothing is said before the head is complete");
            let expected = if bytes.is_empty() { Stage::AwaitFirstByte } else { Stage::Upgrade };
            assert_eq!(outcome.stage, expected);
        }
        Some(TransportEvent::Opened { target }) => {
            let Head::Complete(lines) = head else { panic!("opened by {head:?}") };
            let key = lines.upgrade_key().expect("opened by what is no upgrade");
            assert_eq!(lines.start.split(' ').nth(1), Some(target.as_str()));
            let text = String::from_utf8_lossy(&outcome.outbound);
            assert!(text.starts_with("HTTP/1.1 101 "), "{text}");
            let line = format!("\r\nSec-WebSocket-Accept: {}\r\n", accept_of(key));
            assert!(text.contains(&line), "{text}");
            assert!(!text.contains("Extensions"), "nothing is negotiated");
            if let Some(version) = Version::from_target(target) {
                assert!((1..=9).contains(&version.number()));
            }
        }
        Some(TransportEvent::Failed(reason)) => {
            match (reason, head) {
                (CloseReason::BadUpgrade, Head::Complete(lines)) => {
                    assert!(lines.upgrade_key().is_none() || !lines.is_plain(), "{lines:?}");
                }
                (CloseReason::BadUpgrade, Head::Foreign)
                | (CloseReason::HeadTooBig | CloseReason::HeadTooLong, Head::TooLarge)
                | (CloseReason::UntrustedProxy, Head::Proxied) => {}
                other => panic!("refused for {other:?}"),
            }
            assert_eq!((outcome.events.len(), outcome.stage), (1, Stage::Closed));
            check_refusal(&outcome.outbound);
        }
        Some(other) => panic!("{other:?} before the upgrade"),
    }
}

/// A whole HTTP answer of one line, that ends the connection.
pub(crate) fn check_refusal(answer: &[u8]) {
    assert!(answer.len() <= ANSWER_BYTES, "{} bytes", answer.len());
    let text = std::str::from_utf8(answer).expect("our own text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.strip_prefix("HTTP/1.1 4").and_then(|rest| rest.get(..2));
    assert!(matches!(status, Some("00" | "05" | "26" | "31")), "{head}");
    assert!(head.contains("\r\nConnection: close\r\n"));
    assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    assert_eq!(body.lines().count(), 1);
}

fn check_client(outcome: &Outcome, head: &Head<'_>) {
    match outcome.events.first() {
        None => assert!(matches!(head, Head::Arriving)),
        Some(TransportEvent::Opened { target }) => {
            assert_eq!(target, TARGET);
            let Head::Complete(lines) = head else { panic!("opened by {head:?}") };
            assert!(lines.start.starts_with("HTTP/1.1 101"), "{lines:?}");
            let expected = accept_of(BASE64.encode(KEY).as_bytes());
            assert_eq!(lines.values("sec-websocket-accept"), [expected.as_bytes()]);
            assert!(lines.values("sec-websocket-extensions").is_empty());
        }
        Some(TransportEvent::Failed(reason)) => match (reason, head) {
            (CloseReason::BadUpgrade, Head::Complete(_) | Head::Foreign)
            | (CloseReason::HeadTooBig | CloseReason::HeadTooLong, Head::TooLarge) => {}
            other => panic!("refused for {other:?}"),
        },
        Some(other) => panic!("{other:?} before the upgrade"),
    }
}

/// What RFC 6455 section 4.2.2 has a server answer to a key.
fn accept_of(key: &[u8]) -> String {
    let mut sha = Sha1::new();
    sha.update(key);
    sha.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    BASE64.encode(sha.finalize())
}

/// How far a head has come, by its lines.
#[derive(Debug)]
enum Head<'a> {
    Arriving,
    TooLarge,
    /// It begins like a header of the PROXY protocol. Only the server's role looks at that.
    Proxied,
    /// It begins with a byte that no method begins with. The client's role does not look at that.
    Foreign,
    Complete(Lines<'a>),
}

#[derive(Debug)]
struct Lines<'a> {
    start: String,
    fields: Vec<(String, &'a [u8])>,
    /// Whether all lines are printable, end in one line break each, and are fields behind the first.
    is_plain: bool,
}

impl<'a> Head<'a> {
    fn read(bytes: &'a [u8], is_client: bool, bytes_max: usize, lines_max: usize) -> Self {
        let mut lines = Vec::new();
        let mut at = 0;
        if !is_client && PROXY_STARTS.iter().any(|start| bytes.starts_with(start)) {
            return Self::Proxied;
        }
        if !is_client && PROXY_STARTS.iter().any(|start| start.starts_with(bytes)) {
            return Self::Arriving;
        }
        if !is_client && bytes.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
            return Self::Foreign;
        }
        while let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') {
            let line = &bytes[at..at + length];
            at += length + 1;
            if at > bytes_max || lines.len() == lines_max {
                return Self::TooLarge;
            }
            let blank = line.iter().all(|byte| *byte == b'\r');
            if blank {
                return Self::Complete(Lines::of(&lines, line.len() <= 1));
            }
            lines.push(line);
        }
        if bytes.len() > bytes_max { Self::TooLarge } else { Self::Arriving }
    }
}

impl<'a> Lines<'a> {
    fn of(lines: &[&'a [u8]], plain_end: bool) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let field = |line: &&'a [u8]| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((text(&line[..colon]).to_ascii_lowercase(), line[colon + 1..].trim_ascii()))
        };
        let start = lines.first().map(|line| text(line)).unwrap_or_default();
        let fields: Vec<_> = lines.iter().skip(1).filter_map(field).collect();
        let printable = |line: &&[u8]| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            line.iter().all(|byte| matches!(byte, b' '..=b'~'))
        };
        let is_plain = plain_end && fields.len() + 1 == lines.len() && lines.iter().all(printable);
        Self { start: start.trim_end_matches('\r').to_owned(), fields, is_plain }
    }

    fn values(&self, name: &str) -> Vec<&'a [u8]> {
        self.fields.iter().filter(|(other, _)| other == name).map(|(_, value)| *value).collect()
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        let values = self.values(name);
        let mut parts = values.iter().flat_map(|value| value.split(|byte| *byte == b','));
        parts.any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// The key, if this is a request for WebSocket.
    fn upgrade_key(&self) -> Option<&'a [u8]> {
        let mut words = self.start.split(' ');
        let request = words.next() == Some("GET")
            && words.next().is_some_and(|target| target.starts_with('/'))
            && words.next() == Some("HTTP/1.1")
            && words.next().is_none();
        let upgrade =
            self.has_token("upgrade", "websocket") && self.has_token("connection", "upgrade");
        let version = self.values("sec-websocket-version") == [b"13"];
        let [key] = self.values("sec-websocket-key")[..] else { return None };
        let whole = BASE64.decode(key).is_ok_and(|bytes| bytes.len() == 16);
        (request && upgrade && version && whole).then_some(key)
    }

    /// Whether every line is of the plainest form: what is refused in such a head is refused for
    /// what it says, not for how it is written.
    fn is_plain(&self) -> bool {
        let name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        self.is_plain && !self.start.contains('"') && self.fields.iter().all(|(key, _)| name(key))
    }
}
