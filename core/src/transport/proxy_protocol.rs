//! The PROXY protocol: what a proxy says of a connection before the connection's own bytes.
//!
//! Here: versions 1 and 2, as the "PROXY protocol" text of HAProxy has them, and who sent one without
//! being asked. Not here: which proxies are believed (the server chooses, by address), and what HTTP
//! proxies say instead (`forwarded.rs`).
//!
//! Invariant: of a header no more is held than says who the client is; the rest (TLVs) is counted and
//! let go of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::reasons::CloseReason;

/// How a connection begins.
pub(super) enum Preface {
    /// With the peer's own bytes: it is not to be believed. Holds those that could yet become a
    /// header.
    Own(Vec<u8>),
    /// With a header.
    Header(Header),
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PrefaceStep {
    /// Not decided yet; all input was taken.
    More,
    /// The peer's own bytes: these were held, the rest is still in the input.
    Own(Vec<u8>),
    /// A whole header and the client's address, if it names one. The client's bytes are still in
    /// the input.
    Client(Option<IpAddr>),
    /// The connection cannot go on, and what to say.
    Failed(CloseReason, &'static str),
}

impl Preface {
    /// For a peer that is the client itself.
    pub(super) const fn own() -> Self {
        Self::Own(Vec::new())
    }

    /// For a proxy whose header has up to `bytes` bytes.
    pub(super) const fn header(bytes: usize) -> Self {
        Self::Header(Header { head: Vec::new(), beyond: 0, limit: bytes })
    }

    /// Whether only a header, and nothing of the client, can have arrived.
    pub(super) const fn is_header(&self) -> bool {
        matches!(self, Self::Header(_))
    }

    /// Bytes that are held.
    pub(super) const fn held(&self) -> usize {
        match self {
            Self::Own(held) => held.len(),
            Self::Header(header) => header.head.len(),
        }
    }

    /// Takes input.
    pub(super) fn handle(&mut self, input: &mut &[u8]) -> PrefaceStep {
        match self {
            Self::Own(held) => refuse_header(held, input),
            Self::Header(header) => header.handle(input),
        }
    }
}

/// Lets everything pass that is no header: neither TLS nor any HTTP request begins like one.
fn refuse_header(held: &mut Vec<u8>, input: &mut &[u8]) -> PrefaceStep {
    while let Some((&byte, rest)) = input.split_first() {
        let at = held.len();
        let continues = |start: &[u8]| start.starts_with(held) && start.get(at) == Some(&byte);
        if !continues(V1_START) && !continues(V2_START) {
            return PrefaceStep::Own(std::mem::take(held));
        }
        held.push(byte);
        *input = rest;
        if held == V1_START || held == V2_START {
            let line = "the PROXY protocol is taken from trusted proxies alone";
            return PrefaceStep::Failed(CloseReason::UntrustedProxy, line);
        }
    }
    PrefaceStep::More
}

/// A header that is arriving.
pub(super) struct Header {
    /// Its beginning, as far as it is needed.
    head: Vec<u8>,
    /// Bytes of version 2 behind the addresses, that are let go of.
    beyond: usize,
    limit: usize,
}

impl Header {
    fn handle(&mut self, input: &mut &[u8]) -> PrefaceStep {
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            let step = self.take(byte);
            if step != PrefaceStep::More {
                return step;
            }
        }
        PrefaceStep::More
    }

    /// Takes one byte; the bytes of a header are few.
    fn take(&mut self, byte: u8) -> PrefaceStep {
        if self.head.len() < V2_KEPT_BYTES || self.head[0] == V1_START[0] {
            self.head.push(byte);
        } else {
            self.beyond += 1;
        }
        let (head, length) = (&*self.head, self.head.len() + self.beyond);
        let is = |start: &[u8]| head.iter().zip(start).all(|(byte, expected)| byte == expected);
        if length > self.limit {
            let line = "the PROXY protocol header is too long";
            return PrefaceStep::Failed(CloseReason::ProxyHeaderTooBig, line);
        }
        let client = if is(V1_START) {
            match byte {
                b'\n' => version_1(head),
                _ if length >= V1_BYTES => None,
                _ => return PrefaceStep::More,
            }
        } else if is(V2_START) {
            match version_2_bytes(head) {
                Some(whole) if whole > self.limit => {
                    let line = "the PROXY protocol header is too long";
                    return PrefaceStep::Failed(CloseReason::ProxyHeaderTooBig, line);
                }
                Some(whole) if whole == length => version_2(head),
                Some(_) | None => return PrefaceStep::More,
            }
        } else {
            let line = "a PROXY protocol header must come first";
            return PrefaceStep::Failed(CloseReason::BadProxyHeader, line);
        };
        let line = "the PROXY protocol header is malformed";
        client.map_or(PrefaceStep::Failed(CloseReason::BadProxyHeader, line), PrefaceStep::Client)
    }
}

/// Who the client is by a line of version 1, if that is well-formed.
fn version_1(line: &[u8]) -> Option<Option<IpAddr>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        // Whatever else stands there is to be ignored.
        return Some(None);
    }
    let mut address = || {
        let text = words.next()?;
        Some(match family {
            "TCP4" => IpAddr::V4(text.parse::<Ipv4Addr>().ok()?),
            "TCP6" => IpAddr::V6(text.parse::<Ipv6Addr>().ok()?),
            _ => return None,
        })
    };
    let (source, _) = (address()?, address()?);
    let port = |text: Option<&str>| {
        let text = text?;
        let is_plain = text == "0" || !text.starts_with(['0', '+']);
        text.parse::<u16>().ok().filter(|_| is_plain)
    };
    port(words.next())?;
    port(words.next())?;
    words.next().is_none().then_some(Some(source))
}

/// How long a header of version 2 is, once it says so.
fn version_2_bytes(head: &[u8]) -> Option<usize> {
    let length = head.get(14..16)?.try_into().ok()?;
    Some(V2_FIXED_BYTES + usize::from(u16::from_be_bytes(length)))
}

/// Who the client is by a header of version 2, if that is well-formed.
fn version_2(head: &[u8]) -> Option<Option<IpAddr>> {
    let (&command, &transport) = (head.get(12)?, head.get(13)?);
    let body = head.get(V2_FIXED_BYTES..)?;
    match (command, transport) {
        // The proxy's own connection, as to see whether we are well.
        (0x20, _) => Some(None),
        // Over TCP, IPv4 or IPv6: both addresses, both ports.
        (0x21, 0x11) => {
            let source: [u8; 4] = body.get(..12)?.first_chunk().copied()?;
            Some(Some(IpAddr::from(source)))
        }
        (0x21, 0x21) => {
            let source: [u8; 16] = body.get(..36)?.first_chunk().copied()?;
            Some(Some(IpAddr::from(source)))
        }
        // From a socket without an address that would say anything.
        (0x21, 0x00 | 0x31) => Some(None),
        _ => None,
    }
}

const V1_START: &[u8] = b"PROXY ";
/// The longest line of version 1.
const V1_BYTES: usize = 107;
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_BYTES: usize = 16;
/// What is held of version 2: two IPv6 addresses and ports at most.
const V2_KEPT_BYTES: usize = V2_FIXED_BYTES + 36;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLIENT_4: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

    /// What comes of bytes in pieces, and what is left of them.
    fn run(mut preface: Preface, bytes: &[u8], piece: usize) -> (PrefaceStep, Vec<u8>) {
        let mut pieces = bytes.chunks(piece);
        while let Some(mut input) = pieces.next() {
            let step = preface.handle(&mut input);
            assert!(preface.held() <= V1_BYTES);
            if step != PrefaceStep::More {
                return (step, [input, &pieces.collect::<Vec<_>>().concat()].concat());
            }
        }
        (PrefaceStep::More, Vec::new())
    }

    fn header(bytes: &[u8]) -> PrefaceStep {
        let (step, rest) = run(Preface::header(4_096), &[bytes, b"GET /"].concat(), 1);
        if let PrefaceStep::Client(_) = step {
            assert_eq!(rest, b"GET /", "what follows is the client's");
        }
        step
    }

    fn version_2(command: u8, transport: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [V2_START, &[command, transport], &length, body].concat()
    }

    fn is_bad(step: &PrefaceStep) -> bool {
        matches!(step, PrefaceStep::Failed(CloseReason::BadProxyHeader, _))
    }

    #[test]
    fn both_versions_name_the_client() {
        let client = PrefaceStep::Client(Some(CLIENT_4));
        assert_eq!(header(b"PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n"), client);
        let body = [203, 0, 113, 9, 192, 0, 2, 1, 1, 2, 1, 187];
        assert_eq!(header(&version_2(0x21, 0x11, &body)), client);
        let v6: IpAddr = "2001:db8::9".parse().unwrap();
        let client = PrefaceStep::Client(Some(v6));
        assert_eq!(header(b"PROXY TCP6 2001:db8::9 ::1 1 443\r\n"), client);
        let mut body = [0; 36].to_vec();
        body[..16].copy_from_slice(&"2001:db8::9".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(header(&version_2(0x21, 0x21, &body)), client);
        // What follows the addresses is skipped, however long it is.
        body.extend([4; 4_000]);
        assert_eq!(header(&version_2(0x21, 0x21, &body)), client);
    }

    #[test]
    fn a_proxy_that_names_nobody_is_served() {
        let nobody = PrefaceStep::Client(None);
        assert_eq!(header(b"PROXY UNKNOWN\r\n"), nobody);
        assert_eq!(header(b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), nobody);
        assert_eq!(header(&version_2(0x20, 0x00, &[])), nobody);
        assert_eq!(header(&version_2(0x20, 0x11, &[0; 12])), nobody, "the proxy's own");
        assert_eq!(header(&version_2(0x21, 0x00, &[])), nobody);
        assert_eq!(header(&version_2(0x21, 0x31, &[0; 216])), nobody);
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let lines = [
            "PROXY TCP4 203.0.113.9 192.0.2.1 1 443\n",
            "PROXY TCP4 203.0.113.9 192.0.2.1 1\r\n",
            "PROXY TCP4 203.0.113.9 192.0.2.1 1 443 5\r\n",
            "PROXY TCP4  203.0.113.9 192.0.2.1 1 443\r\n",
            "PROXY TCP4 203.0.113.9 192.0.2.1 01 443\r\n",
            "PROXY TCP4 203.0.113.9 192.0.2.1 1 65536\r\n",
            "PROXY TCP4 ::1 ::1 1 443\r\n",
            "PROXY TCP6 203.0.113.9 192.0.2.1 1 443\r\n",
            "PROXY UDP4 203.0.113.9 192.0.2.1 1 443\r\n",
            "PROXY unknown\r\n",
            "proxy UNKNOWN\r\n",
            "GET / HTTP/1.1\r\n",
            "\u{16}\u{3}\u{1}",
        ];
        for line in lines {
            assert!(is_bad(&header(line.as_bytes())), "{line:?}");
        }
        assert!(is_bad(&header(format!("PROXY UNKNOWN {}", "a".repeat(200)).as_bytes())));
        for (command, transport, length) in [
            (0x21, 0x11, 11),
            (0x21, 0x21, 35),
            (0x21, 0x12, 12),
            (0x21, 0x22, 36),
            (0x22, 0x11, 12),
            (0x11, 0x11, 12),
        ] {
            let bytes = version_2(command, transport, &vec![0; length]);
            assert!(is_bad(&header(&bytes)), "{command:x} {transport:x} {length}");
        }
        let (step, _) = run(Preface::header(4_096), b"PROXY TCP4 203.0.113.9", 7);
        assert_eq!(step, PrefaceStep::More, "cut off");
    }

    #[test]
    fn a_header_over_its_limit_is_refused_without_its_end() {
        let bytes = version_2(0x21, 0x11, &[0; 200]);
        let (step, rest) = run(Preface::header(215), &bytes, 1_000);
        assert!(matches!(step, PrefaceStep::Failed(CloseReason::ProxyHeaderTooBig, _)));
        assert_eq!(rest.len(), 200, "by what it announces");
        assert_eq!(
            run(Preface::header(216), &bytes, 1).0,
            PrefaceStep::Client(Some([0; 4].into()))
        );
    }

    #[test]
    fn strangers_are_not_believed() {
        let untrusted = |bytes: &[u8]| {
            let (step, _) = run(Preface::own(), bytes, 1);
            matches!(step, PrefaceStep::Failed(CloseReason::UntrustedProxy, _))
        };
        assert!(untrusted(b"PROXY TCP4 203.0.113.9 192.0.2.1 1 443\r\n"));
        assert!(untrusted(&version_2(0x20, 0, &[])));
        for own in ["PROXIMITY /", "PRI * HTTP/2.0", "GET / HTTP/1.1", "\u{16}\u{3}\u{1}", "\r\nX"]
        {
            let (step, rest) = run(Preface::own(), own.as_bytes(), 1);
            let PrefaceStep::Own(held) = step else { panic!("{own:?} is its own") };
            assert_eq!([held, rest].concat(), own.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_depend_on_how_they_were_cut(
            start in prop_oneof![
                Just(V1_START.to_vec()),
                Just(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 1".to_vec()),
                Just(V2_START.to_vec()),
                Just(version_2(0x21, 0x11, &[7; 20])),
                Just(Vec::new()),
            ],
            tail in proptest::collection::vec(any::<u8>(), 0..300),
            piece in 1_usize..40,
            believed in any::<bool>(),
        ) {
            let bytes = [start, tail].concat();
            let preface = || if believed { Preface::header(256) } else { Preface::own() };
            prop_assert_eq!(run(preface(), &bytes, 1), run(preface(), &bytes, piece));
        }
    }
}
