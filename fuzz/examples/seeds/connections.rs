//! What comes on a TCP connection before anybody is identified: a proxy's word, the upgrade, frames.

use super::{Seeds, join};

/// By the PROXY protocol (0), `X-Forwarded-For` (1) or `Forwarded` (2), in pieces of seven bytes.
fn by_proxy(how: u8, bytes: &[u8]) -> Vec<u8> {
    join(&[&[how, 1, 6], bytes])
}

/// A header of version 2.
fn version_2(command: u8, transport: u8, body: &[u8]) -> Vec<u8> {
    let length = [(body.len() >> 8) as u8, body.len() as u8];
    join(&[b"\r\n\r\n\0\r\nQUIT\n", &[command, transport], &length, body])
}

pub(crate) fn proxy_client() -> Seeds {
    let request = b"GET /?v=8 HTTP/1.1\r\n\
        Host: a\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
    let four = [203, 0, 113, 9, 192, 0, 2, 1, 1, 2, 1, 187];
    let six = [&[0x20, 1, 0x0D, 0xB8][..], &[0; 28], &[1, 2, 1, 187]].concat();
    let line = b"PROXY TCP4 203.0.113.9 192.0.2.1 56324 443\r\n";
    vec![
        ("v1_tcp4", by_proxy(0, &join(&[line, request]))),
        ("v1_tcp6", by_proxy(0, b"PROXY TCP6 2001:db8::9 ::1 1 443\r\nGET /")),
        ("v1_unknown", by_proxy(0, b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n")),
        ("v1_cut_short", by_proxy(0, b"PROXY TCP4 203.0.113.9")),
        ("v1_port_too_large", by_proxy(0, b"PROXY TCP4 203.0.113.9 192.0.2.1 1 65536\r\n")),
        ("v1_without_carriage_return", by_proxy(0, b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\n")),
        ("v1_over_its_limit", by_proxy(0x12, &join(&[b"PROXY UNKNOWN ", &[b'a'; 120]]))),
        ("v1_twice", by_proxy(0, &join(&[line, line]))),
        ("v2_tcp4", by_proxy(0, &join(&[&version_2(0x21, 0x11, &four), request]))),
        ("v2_tcp6_and_more", by_proxy(0, &version_2(0x21, 0x21, &join(&[&six, &[4; 60]])))),
        ("v2_of_the_proxy_itself", by_proxy(0, &version_2(0x20, 0, &[]))),
        ("v2_unix", by_proxy(0, &version_2(0x21, 0x31, &[0; 216]))),
        ("v2_datagram", by_proxy(0, &version_2(0x21, 0x12, &four))),
        ("v2_body_too_short", by_proxy(0, &version_2(0x21, 0x11, &four[1..]))),
        ("v2_over_its_limit", by_proxy(0x30, &version_2(0x21, 0x11, &[0; 217]))),
        ("no_header", by_proxy(0, request)),
        ("x_one", by_proxy(1, b"203.0.113.9")),
        ("x_a_lie_before_it", by_proxy(1, b"192.0.2.1, 203.0.113.9:4711,10.0.0.7")),
        ("x_lines", by_proxy(1, b"192.0.2.1\n::ffff:203.0.113.9\n10.0.0.7")),
        ("x_all_trusted", by_proxy(1, b"10.0.0.7, 127.0.0.1")),
        ("x_unknown", by_proxy(1, b"203.0.113.9, unknown")),
        ("x_not_text", by_proxy(1, b"203.0.113.9, \xFF")),
        ("x_not_text_before_it", by_proxy(1, b"\xFF, 203.0.113.9")),
        ("x_control_byte", by_proxy(1, b"203.0.113.9\x01")),
        ("forwarded_one", by_proxy(2, b"for=203.0.113.9;proto=https;by=10.0.0.1")),
        (
            "forwarded_quoted",
            by_proxy(2, b"for=192.0.2.1, For=\"[2001:db8::9]:4711\", for=10.0.0.7"),
        ),
        ("forwarded_quote_left_open", by_proxy(2, b"for=192.0.2.1;host=\"\nfor=203.0.113.9")),
        (
            "forwarded_escaped",
            by_proxy(2, b"for=203.0.113.9, host=\"\\\",for=192.0.2.2\";for=10.0.0.7"),
        ),
        ("forwarded_hidden", by_proxy(2, b"for=_hidden, for=unknown")),
        ("forwarded_without_for", by_proxy(2, b"by=203.0.113.9;proto=http")),
    ]
}

pub(crate) fn ws_upgrade() -> Seeds {
    const BROWSER: &str = "GET /?v=8 HTTP/1.1\r\n\
        Host: voice.test\r\n\
        Upgrade: websocket\r\n\
        Connection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: BACScCJPNqyz+UBoqMH89VmURoA=\r\n\r\n";
    let server = |text: &str| join(&[&[0, 2, 6, 0], text.as_bytes()]);
    let client = |text: &str| join(&[&[1, 2, 6, 0], text.as_bytes()]);
    vec![
        ("request", server(BROWSER)),
        ("request_for_version_eight", server(&BROWSER.replace("v=8", "v=eight"))),
        ("request_and_frames", server(&format!("{BROWSER}\u{1}\u{0}"))),
        ("request_lines_end_in_lf", server(&BROWSER.replace("\r\n", "\n"))),
        (
            "request_websockets_py",
            server(
                "GET / HTTP/1.1\r\n\
                 Host: localhost:6000\r\n\
                 Upgrade: websocket\r\n\
                 Connection: Upgrade\r\n\
                 Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\
                 Sec-WebSocket-Version: 13\r\n\
                 User-Agent: Python/3.12 websockets/12.0\r\n\r\n",
            ),
        ),
        ("request_with_a_line_end_too_many", server(&BROWSER.replace("==\r", "==\r\r"))),
        ("request_with_a_line_without_a_colon", server(&BROWSER.replace("Host: ", "Host "))),
        ("plain_get", server("GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
        ("post", server("POST / HTTP/1.1\r\n\r\n")),
        ("http_1_0", server("GET / HTTP/1.0\r\n\r\n")),
        ("http_2", server("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        ("whole_url", server(&BROWSER.replace("GET /", "GET http://a/"))),
        ("version_8", server(&BROWSER.replace("Version: 13", "Version: 8"))),
        ("two_keys", server(&BROWSER.replace("\r\n\r\n", "\r\nSec-WebSocket-Key: a\r\n\r\n"))),
        ("key_of_15_bytes", server(&BROWSER.replace("dGhl", ""))),
        ("not_a_request", server("nonsense\r\n\r\n")),
        ("tls_hello", server("\u{16}\u{3}\u{1}")),
        ("cut_short", server(&BROWSER[..60])),
        ("too_many_lines", server(&format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(64)))),
        ("answer", client(ANSWER)),
        ("answer_begins_with_a_digit", client("101")),
        ("answer_200", client(&ANSWER.replace("101", "200"))),
        ("answer_to_another_key", client(&ANSWER.replace("Accept: B", "Accept: C"))),
        (
            "answer_with_extension",
            client(&ANSWER.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n")),
        ),
    ]
}

pub(crate) fn ws_frames() -> Seeds {
    let traffic = |frames: &[&[u8]]| join(&[&[0x20, 0, 3, 0, 6, 40], &frames.concat()]);
    let raw = |bytes: &[u8]| join(&[&[0xFF, bytes.len() as u8], bytes]);
    let raw_head = raw(&[0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0]);
    vec![
        ("text", traffic(&[&[0x81, 5], b"hello"])),
        ("binary", traffic(&[&[0x82, 3, 0, 1, 2]])),
        (
            "fragments_and_a_ping",
            traffic(&[&[1, 3], b"one", &[0x89, 1], b"?", &[0, 0], &[0x80, 1], b"!"]),
        ),
        ("character_over_two_fragments", traffic(&[&[1, 1, 0xC3], &[0x80, 1, 0xA4]])),
        ("not_utf8", traffic(&[&[0x81, 2, 0xC3, 0x28]])),
        ("not_utf8_before_the_end", traffic(&[&[1, 2, 0xC3, 0x28]])),
        ("pong", traffic(&[&[0x8A, 0]])),
        ("close_1000", traffic(&[&[0x88, 2, 3, 0xE8], &[0x81, 1, b'x']])),
        ("close_without_code", traffic(&[&[0x88, 0]])),
        ("close_of_one_byte", traffic(&[&[0x88, 1, 3]])),
        ("close_reason_not_utf8", traffic(&[&[0x88, 3, 3, 0xE8, 0xFF]])),
        ("close_code_nobody_may_send", traffic(&[&[0x88, 2, 3, 0xED]])),
        ("not_masked", traffic(&[&[0x81, 0x81, b'a']])),
        ("compressed", traffic(&[&[0xC1, 1, b'a']])),
        ("continues_nothing", traffic(&[&[0x80, 1, b'a']])),
        ("text_inside_text", traffic(&[&[1, 1, b'a'], &[0x81, 1, b'b']])),
        ("long_ping", traffic(&[&[0x89, 0x42, 1, 2]])),
        ("fragmented_ping", traffic(&[&[9, 1, 1]])),
        ("sixteen_bit_length", traffic(&[&[0x82, 0x43, 1, 2, 3]])),
        ("over_the_limit", join(&[&[0, 9, 0, 0x82, 10], &[7; 10]])),
        ("fragments_over_the_limit", join(&[&[0, 9, 0, 2, 6], &[7; 6], &[0x80, 6], &[7; 6]])),
        ("length_of_2_to_the_63", traffic(&[&raw_head])),
        ("head_cut_short", traffic(&[&raw(&[0x81])])),
        ("opcode_3", traffic(&[&[0x83, 0]])),
    ]
}
