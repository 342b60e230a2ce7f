//! Who the client is by the headers of an HTTP proxy: `X-Forwarded-For`, or `Forwarded` (RFC 7239).
//!
//! Each proxy appends the address that it was connected from, so the last one was written by the
//! proxy that is connected to us, and whatever stands before the first that is not trusted was
//! written by who knows whom. Not here: whether the connection's peer is a proxy at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::Proxies;

/// The client's address: the last that is no trusted proxy's own. `None` when the headers do not
/// say; a trusted address when all are.
pub(super) fn client(
    headers: &[httparse::Header<'_>],
    name: &str,
    proxies: &Proxies,
) -> Option<IpAddr> {
    let lines = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let lines: Vec<_> = lines.map(|header| header.value).collect();
    // What is no text says nothing where it stands; a client must not be able to hide behind it.
    let lines = lines.join(&b',');
    let text = String::from_utf8_lossy(&lines);
    let is_forwarded = name == FORWARDED;
    let mut first = None;
    // From the right: what a client wrote itself stands left of all that is looked at.
    for element in split(&text, b',') {
        let node = if is_forwarded { forwarded_for(element)? } else { element.trim().to_owned() };
        let ip = address(&node)?;
        if !proxies.trusts(ip) {
            return Some(ip);
        }
        first = Some(ip);
    }
    first
}

/// The node of `for=` in an element of `Forwarded`, without its quotes.
fn forwarded_for(element: &str) -> Option<String> {
    split(element, b';').into_iter().find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case("for").then(|| value.trim().replace(['"', '\\'], ""))
    })
}

/// What stands between separators outside of quotes, the last first: read from the end, so that a
/// quote which a client left open cannot swallow what its proxy wrote behind it.
fn split(text: &str, separator: u8) -> Vec<&str> {
    let bytes = text.as_bytes();
    let (mut parts, mut end, mut is_quoted) = (Vec::new(), bytes.len(), false);
    for at in (0..bytes.len()).rev() {
        if bytes[at] == b'"' {
            let before = bytes[..at].iter().rev();
            let is_escaped = before.take_while(|byte| **byte == b'\\').count() % 2 == 1;
            is_quoted ^= !is_escaped;
        } else if bytes[at] == separator && !is_quoted {
            parts.push(&text[at + 1..end]);
            end = at;
        }
    }
    parts.push(&text[..end]);
    parts
}

/// An address, in brackets where it is IPv6 with a port. What else may stand there (`unknown`, a
/// made-up name) says nothing.
fn address(node: &str) -> Option<IpAddr> {
    let is_port = |text: &str| text.parse::<u16>().is_ok() || text.starts_with('_');
    if let Some(rest) = node.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']')?;
        let is_whole = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return ip.parse::<Ipv6Addr>().ok().filter(|_| is_whole).map(|ip| ip.to_canonical());
    }
    if let Ok(ip) = node.parse::<IpAddr>() {
        return Some(ip.to_canonical());
    }
    let (ip, port) = node.split_once(':')?;
    ip.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

/// The name of RFC 7239's header.
pub(super) const FORWARDED: &str = "forwarded";
/// The older header, of which there is no standard.
pub(super) const X_FORWARDED_FOR: &str = "x-forwarded-for";

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, lines: &[&str]) -> Option<String> {
        let trusted = ["127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48"];
        let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let proxies = Proxies { trusted, ..Proxies::default() };
        let header =
            |line: &&'static str| httparse::Header { name: "Other", value: line.as_bytes() };
        let mut headers: Vec<_> = ["192.0.2.250"].iter().map(header).collect();
        let named = if name == FORWARDED { "Forwarded" } else { "X-Forwarded-For" };
        headers.extend(
            lines.iter().map(|line| httparse::Header { name: named, value: line.as_bytes() }),
        );
        client(&headers, name, &proxies).map(|ip| ip.to_string())
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        let one = |line| said(X_FORWARDED_FOR, &[line]);
        assert_eq!(one("203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(
            one("192.0.2.1, 203.0.113.9").as_deref(),
            Some("203.0.113.9"),
            "a lie before it"
        );
        assert_eq!(one("203.0.113.9,10.0.0.7 , 10.1.0.1").as_deref(), Some("203.0.113.9"));
        assert_eq!(one("nonsense, 203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(one("203.0.113.9:4711").as_deref(), Some("203.0.113.9"));
        assert_eq!(one("2001:db8::9").as_deref(), Some("2001:db8::9"));
        assert_eq!(one("[2001:db8::9]:4711").as_deref(), Some("2001:db8::9"));
        assert_eq!(one("::ffff:203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(one("10.0.0.7, 127.0.0.1").as_deref(), Some("10.0.0.7"), "all are trusted");
        let lines = ["192.0.2.1, 203.0.113.9", "10.0.0.7"];
        assert_eq!(said(X_FORWARDED_FOR, &lines).as_deref(), Some("203.0.113.9"));
    }

    #[test]
    fn a_client_cannot_hide_behind_what_is_no_text() {
        let said = |value: &[u8]| {
            let header = httparse::Header { name: "X-Forwarded-For", value };
            client(&[header], X_FORWARDED_FOR, &Proxies::default()).map(|ip| ip.to_string())
        };
        assert_eq!(said(b"\xFF, 203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(said(b"203.0.113.9, \xFF"), None);
    }

    #[test]
    fn what_is_no_address_says_nothing() {
        assert_eq!(said(X_FORWARDED_FOR, &[]), None);
        for line in
            ["", "unknown", "203.0.113.9, unknown", "203.0.113.9,", "203.0.113.9, 10.0.0.1x"]
        {
            assert_eq!(said(X_FORWARDED_FOR, &[line]), None, "{line:?}");
        }
        for line in ["for=_hidden", "for=unknown", "by=203.0.113.9", "for=\"[::1\"", "for="] {
            assert_eq!(said(FORWARDED, &[line]), None, "{line:?}");
        }
    }

    #[test]
    fn elements_of_forwarded_are_told_apart() {
        let one = |line| said(FORWARDED, &[line]);
        assert_eq!(one("for=203.0.113.9;proto=https;by=10.0.0.1").as_deref(), Some("203.0.113.9"));
        assert_eq!(one("proto=https;For=\"203.0.113.9:80\"").as_deref(), Some("203.0.113.9"));
        assert_eq!(one("for=\"[2001:db8::9]:4711\"").as_deref(), Some("2001:db8::9"));
        let line = "for=192.0.2.1, for=203.0.113.9;host=\"a,for=192.0.2.2;\", for=10.0.0.7";
        assert_eq!(one(line).as_deref(), Some("203.0.113.9"), "quotes hold separators");
        let lines = ["for=192.0.2.1;host=\"", "for=203.0.113.9"];
        assert_eq!(said(FORWARDED, &lines).as_deref(), Some("203.0.113.9"), "left open");
        let line = "for=203.0.113.9, host=\"\\\",for=192.0.2.2\";for=10.0.0.7";
        assert_eq!(one(line).as_deref(), Some("203.0.113.9"), "and quotes");
    }
}
