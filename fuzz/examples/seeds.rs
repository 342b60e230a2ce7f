//! Writes the hand-made inputs that are not plain text into `corpus/`:
//! `cargo run --example seeds`, in this folder. JSON inputs are files to be read and written as such.

use std::path::Path;
use std::{fs, io};

type Seeds = Vec<(&'static str, Vec<u8>)>;

fn main() -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, seeds) in [
        ("core_ops", core_ops()),
        ("dave_ops", dave_ops()),
        ("gw_binary", gw_binary()),
        ("proxy_client", proxy_client()),
        ("replay_window", replay_window()),
        ("resume_diff", resume_diff()),
        ("rtcp", rtcp()),
        ("rtp_header", rtp_header()),
        ("udp_datagram", udp_datagram()),
        ("ws_frames", ws_frames()),
        ("ws_upgrade", ws_upgrade()),
    ] {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}

/// Parts one behind the other.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

// --- headers ---

/// The fixed header of a voice packet, with this first byte.
const fn header(first: u8) -> [u8; 12] {
    [first, 0x78, 1, 2, 3, 4, 5, 6, 0, 1, 0xC3, 0x58]
}

const OPUS: &[u8] = &[0xF8, 0xFF, 0xFE];
/// Send time, audio level, speaking flags: what this server writes.
const ONE_BYTE: &[u8] = &[0xBE, 0xDE, 0, 2, 0x32, 0x12, 0x34, 0x56, 0x10, 0x9E, 0x90, 2];

fn rtp_header() -> Seeds {
    let fifteen = [7; 60];
    vec![
        ("plain", join(&[&header(0x80), OPUS])),
        ("marker", join(&[&[0x80, 0xF8], &header(0x80)[2..], OPUS])),
        ("extension_one_byte", join(&[&header(0x90), ONE_BYTE, OPUS])),
        ("extension_two_byte", join(&[&header(0x90), &[0x10, 0, 0, 1, 1, 1, 5, 0], OPUS])),
        (
            "extension_padded",
            join(&[&header(0x90), &[0xBE, 0xDE, 0, 2, 0, 0x10, 5, 0, 0x90, 1, 0, 0]]),
        ),
        ("extension_id_15", join(&[&header(0x90), &[0xBE, 0xDE, 0, 1, 0xF0, 0, 0x10, 5], OPUS])),
        (
            "extension_element_cut_short",
            join(&[&header(0x90), &[0xBE, 0xDE, 0, 1, 0, 0, 0, 0x1F], OPUS]),
        ),
        ("extension_longer_than_packet", join(&[&header(0x90), &[0xBE, 0xDE, 0xFF, 0xFF], OPUS])),
        ("extension_of_no_words", join(&[&header(0x90), &[0xBE, 0xDE, 0, 0], OPUS])),
        ("extension_without_preamble", join(&[&header(0x90), &[0xBE, 0xDE]])),
        ("csrc_15", join(&[&header(0x8F), &fifteen, OPUS])),
        ("csrc_15_cut_short", join(&[&header(0x8F), &fifteen[1..]])),
        ("csrc_15_extension_padding", join(&[&header(0xBF), &fifteen, ONE_BYTE, OPUS, &[0, 0, 3]])),
        ("padding", join(&[&header(0xA0), OPUS, &[0, 2]])),
        ("padding_is_all", join(&[&header(0xA0), &[0, 2]])),
        ("padding_of_nothing", header(0xA0).to_vec()),
        ("padding_too_long", join(&[&header(0xA0), OPUS, &[9]])),
        ("padding_zero", join(&[&header(0xA0), OPUS, &[0]])),
        ("version_1", join(&[&header(0x40), OPUS])),
        ("eleven_bytes", header(0x80)[..11].to_vec()),
    ]
}

/// A sender report without blocks.
const SENDER_REPORT: [u8; 28] = [
    0x80, 200, 0, 6, 0, 1, 0xC3, 0x58, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 13, 0, 0, 1,
    44,
];

fn rtcp() -> Seeds {
    let block = [0, 1, 0xC3, 0x58, 5, 0, 0, 9, 0, 1, 0, 7, 0, 0, 0, 3, 5, 6, 7, 8, 0, 0, 1, 0];
    let head = |count: u8, kind: u8, words: u8| [0x80 | count, kind, 0, words, 0, 1, 0xC3, 0x58];
    vec![
        ("sender_report", SENDER_REPORT.to_vec()),
        ("sender_report_one_block", join(&[&[0x81, 200, 0, 12], &SENDER_REPORT[4..], &block])),
        ("sender_report_cut_short", SENDER_REPORT[..27].to_vec()),
        ("receiver_report", join(&[&head(1, 201, 7), &block])),
        ("receiver_report_empty", head(0, 201, 1).to_vec()),
        ("source_description", join(&[&head(1, 202, 3), &[1, 4, b'l', b'v', b's', b'p', 0, 0]])),
        ("goodbye", head(1, 203, 1).to_vec()),
        ("transport_wide_feedback", join(&[&head(15, 205, 5), &block[..16]])),
        ("nack", join(&[&head(1, 205, 3), &[0, 1, 0xC3, 0x5C, 0, 7, 0x80, 1]])),
        ("picture_loss", join(&[&head(1, 206, 2), &[0, 1, 0xC3, 0x59]])),
        (
            "compound",
            join(&[&SENDER_REPORT, &head(1, 202, 3), &[1, 4, b'a', b'b', b'c', b'd', 0, 0]]),
        ),
        ("eight_bytes_ending_in_zeros", vec![0x80, 200, 0, 1, 0, 0, 0, 0]),
        ("type_207", head(0, 207, 1).to_vec()),
        ("eris_keepalive", vec![0x80, 0xC8, 0, 0]),
    ]
}

/// By the PROXY protocol (0), `X-Forwarded-For` (1) or `Forwarded` (2), in pieces of seven bytes.
fn by_proxy(how: u8, bytes: &[u8]) -> Vec<u8> {
    join(&[&[how, 1, 6], bytes])
}

/// A header of version 2.
fn version_2(command: u8, transport: u8, body: &[u8]) -> Vec<u8> {
    let length = [(body.len() >> 8) as u8, body.len() as u8];
    join(&[b"\r\n\r\n\0\r\nQUIT\n", &[command, transport], &length, body])
}

fn proxy_client() -> Seeds {
    let request = b"GET /?v=8 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";
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

fn replay_window() -> Seeds {
    let at = |first: u16, steps: &[u8]| join(&[&first.to_be_bytes(), steps]);
    vec![
        ("in_order_over_the_rollover", at(65_530, &[96; 12])),
        ("each_twice", at(100, &[96, 95, 96, 95, 96, 95])),
        ("late_by_ten", at(1_000, &[110, 86, 85, 86, 110])),
        ("behind_by_1023_and_1024", at(5_000, &[96, 192, 0xFC, 0, 96, 192, 0xFB, 0xFE])),
        ("jump_of_half_the_numbers", at(100, &[192, 0x7F, 0xFE, 192, 0x80, 0])),
        ("begins_anew", at(20_000, &[255, 0xB1, 0xE0, 96, 96])),
        ("begins_anew_after_49", at(20_000, &[240, 0xB1, 0xE0, 96, 96])),
        ("falling_and_too_old", at(20_000, &[192, 0xB1, 0xE0, 94, 94, 94, 94])),
        ("whole_window", at(0, &[255, 0, 0, 255, 0, 0, 255, 0xFE, 0, 255, 0xFC, 0])),
        ("first_alone", at(0, &[])),
    ]
}

// --- the relay ---

/// Steps of `udp_datagram`. Session `seat` is at address `from`.
fn rtp(seat: u8, from: u8, sequence: u16, first: u8, change: u16, body: &[u8]) -> Vec<u8> {
    let [s0, s1] = sequence.to_be_bytes();
    let (change, length) = (change.to_le_bytes(), (body.len() as u16).to_le_bytes());
    join(&[&[seat << 3 | 1, from, first, 0x70, s0, s1, 0], &change, &length, body])
}

fn discovery(seat: u8, from: u8, what: u8) -> Vec<u8> {
    vec![seat << 3 | 4, from, what]
}

fn report(seat: u8, from: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    join(&[&[seat << 3 | 3, from, kind, 0, 0, 0, body.len() as u8], body])
}

fn wait(ms: u16) -> Vec<u8> {
    join(&[&[6], &ms.to_le_bytes()])
}

/// Everybody asks for an address: first the sessions of one address, then of another.
fn everybody() -> Vec<u8> {
    (0..10).flat_map(|seat| discovery(seat, seat % 2, 0)).collect()
}

/// An answer to a discovery request, with so many bytes.
fn answer(length: usize, ip: &str) -> Vec<u8> {
    let mut answer = join(&[&[0, 2, 0, 70, 1, 0, 0, 0], ip.as_bytes()]);
    answer.resize(length, 0);
    answer
}

fn udp_datagram() -> Seeds {
    let talk = |seat| rtp(seat, seat % 2, 7, 0, 0, OPUS);
    let with = |steps: &[Vec<u8>]| join(&[&[0], &everybody(), &steps.concat()]);
    let raw = |bytes: &[u8]| join(&[&[0, 0], &(bytes.len() as u16).to_le_bytes(), bytes]);
    let keepalives: Vec<Vec<u8>> = [
        &[0, 0, 0, 9][..],
        &[0x80, 0xC8, 0, 0],
        &[0xC9, 0, 0, 0, 0, 0, 0, 0, 0],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 5],
    ]
    .iter()
    .map(|bytes| raw(bytes))
    .collect();
    vec![
        ("everybody_is_found", with(&[])),
        ("everybody_talks", with(&(0..10).map(talk).collect::<Vec<_>>())),
        ("extension_one_byte", with(&[rtp(0, 0, 1, 0x10, 0, &join(&[ONE_BYTE, OPUS]))])),
        ("csrc_15_and_padding", with(&[rtp(1, 1, 1, 0x2F, 0, &join(&[&[7; 60], OPUS, &[0, 2]]))])),
        ("replayed", with(&[talk(0), talk(0)])),
        ("changed_after_sealing", with(&[rtp(0, 0, 1, 0, 200, OPUS), rtp(4, 0, 1, 0, 17, OPUS)])),
        (
            "nonce_of_the_server",
            with(&[
                talk(1),
                join(&[&[1, 0, 0, 0x70, 0, 9, 0x80, 0xC0, 0, 0x80, 0x80, 0, 0, 3, 0], OPUS]),
                rtp(1, 1, 8, 0, 0, OPUS),
            ]),
        ),
        ("moves_to_another_port", with(&[talk(0), wait(2_000), rtp(0, 1, 8, 0, 0, OPUS), talk(1)])),
        (
            "stranger_address",
            with(&[
                join(&[&talk(0), &wait(2_000), &rtp(0, 2, 8, 0, 0, OPUS)]),
                (1..9).flat_map(|sequence| rtp(1, 1, sequence, 0, 0, OPUS)).collect(),
            ]),
        ),
        (
            "sender_report",
            with(&[
                talk(0),
                report(0, 0, 0, &SENDER_REPORT[8..]),
                wait(5_000),
                report(0, 0, 0, &SENDER_REPORT[8..]),
            ]),
        ),
        (
            "other_reports",
            with(&[report(0, 0, 1, &[0; 24]), report(0, 0, 5, &[0; 8]), report(0, 0, 6, &[0; 4])]),
        ),
        ("pings", with(&[vec![5, 0, 1, 2, 3, 4], vec![5, 2, 1, 2, 3, 4]])),
        ("keepalives", with(&keepalives)),
        (
            "discovery_answers",
            with(&[
                raw(&answer(74, "2001:db8::1")),
                raw(&answer(74, "::ffff:192.0.2.1")),
                raw(&answer(74, "nowhere")),
                raw(&answer(73, "192.0.2.1")),
            ]),
        ),
        ("report_cut_short", with(&[raw(&[0x80, 200, 0, 6, 0, 1, 0xC3])])),
        ("legacy_discovery", with(&[discovery(0, 0, 1), discovery(0, 0, 2), discovery(7, 5, 0)])),
        ("foreign_discovery", with(&[discovery(0, 2, 0), discovery(0, 3, 0), discovery(7, 4, 0)])),
        (
            "forbidden_addresses",
            with(&[rtp(0, 5, 1, 0, 0, OPUS), rtp(0, 6, 1, 0, 0, OPUS), rtp(0, 7, 1, 0, 0, OPUS)]),
        ),
        ("new_key", with(&[talk(0), vec![7, 0], talk(0), talk(1)])),
        ("muted_and_deafened", with(&[vec![7, 5], talk(0), vec![8 | 7, 9], talk(4)])),
        ("closed", with(&[vec![7, 3], talk(0), talk(1)])),
        ("video_ssrc", with(&[raw(&join(&[&header(0x80)[..8], &[1, 0, 0, 1], OPUS]))])),
        ("strict", join(&[&[8], &everybody(), &talk(0), &talk(1), &rtp(0, 2, 9, 0, 0, OPUS)])),
        ("open", join(&[&[12], &everybody(), &talk(0), &talk(1), &rtp(0, 2, 9, 0, 0, OPUS)])),
        (
            "too_large",
            with(&[
                rtp(0, 0, 1, 0, 0, &[1; 1_337]),
                rtp(0, 0, 2, 0, 0, &[1; 1_336]),
                rtp(0, 0, 3, 0, 0, &[1; 1_500]),
            ]),
        ),
    ]
}

// --- the gateway ---

fn ws_upgrade() -> Seeds {
    const BROWSER: &str = "GET /?v=8 HTTP/1.1\r\nHost: voice.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: BACScCJPNqyz+UBoqMH89VmURoA=\r\n\r\n";
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
                "GET / HTTP/1.1\r\nHost: localhost:6000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\nUser-Agent: Python/3.12 websockets/12.0\r\n\r\n",
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

fn ws_frames() -> Seeds {
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

fn gw_binary() -> Seeds {
    let message = |bytes: &[u8]| join(&[&[(bytes.len() / 4) as u8 * 4], bytes]);
    let filled = |length: u16| join(&[&[1], &length.to_le_bytes(), &[0x1C]]);
    let beat: &[u8] = &[2];
    vec![
        ("in_the_call", join(&[&[3], &message(&[0, 1, 26, 0]), beat, &message(&[0x1C; 32])])),
        ("identified", join(&[&[2], &message(&[26; 8]), beat])),
        ("before_identify", join(&[&[0], beat, &message(&[26; 8])])),
        ("while_held", join(&[&[1], beat, &message(&[26; 8])])),
        ("empty", join(&[&[3], &message(&[]), &message(&[])])),
        ("8_kib_and_more_before_identify", join(&[&[0], &filled(8_193)])),
        ("8_kib_in_the_call", join(&[&[3], &filled(8_193), beat])),
        ("64_kib", join(&[&[3], &filled(65_535), &[2], &[5, 0xC1, 0xFF, 0]])),
        ("flood", join(&[&[3], &[0; 121]])),
        ("flood_with_pauses", join(&[&[3], &[0; 110], &[0xC3, 255, 0xC3, 255], &[0; 60]])),
        ("flood_of_heartbeats", join(&[&[3], &[2; 130]])),
    ]
}

fn dave_ops() -> Seeds {
    let usual = |op: u8, body: u8| vec![(op - 21) << 2 | 1, body];
    let text = |op: u8, body: &[u8]| join(&[&[(op - 21) << 2 | 2, body.len() as u8], body]);
    let binary = |op: u8, body: &[u8]| join(&[&[(op - 21) << 2, body.len() as u8], body]);
    let all = |make: &dyn Fn(u8) -> Vec<u8>| (21..=31).flat_map(make).collect::<Vec<u8>>();
    vec![
        ("every_opcode_in_json", all(&|op| usual(op, op % 6))),
        ("every_opcode_in_binary", all(&|op| binary(op, &[0; 3]))),
        ("songbird_ready_for_transition", usual(23, 0)),
        ("key_package", binary(26, &[0, 1, 0, 5, 0, 2, 0x40, 0x41, 4])),
        ("commit_and_welcome", binary(28, &[0, 1, 0, 2, 7, 7, 7, 7])),
        ("invalid_commit", text(31, br#"{"transition_id":3}"#)),
        ("body_is_no_json", text(23, b"{\"transition_id\":")),
        ("body_that_says_op_again", text(22, b"1,\"op\":5")),
        ("body_too_deep", text(24, &[[b'['; 16], [b']'; 16]].concat())),
        ("body_with_another_key", text(21, b"1,\"\\ud800\":2")),
        ("heartbeats_between", join(&[&usual(23, 0), &[0xFF], &binary(23, &[1]), &[0xFF]])),
        ("too_many", usual(23, 0).repeat(130)),
    ]
}

fn resume_diff() -> Seeds {
    let (toggle, visit, mute, cut, back) = ([0, 1], [3, 0], [4, 1], [6, 0], [7, 0]);
    let with = |limits: [u8; 2], steps: &[[u8; 2]]| join(&[&limits, &steps.concat()]);
    let roomy = [31, 255];
    vec![
        ("cut_and_back", with(roomy, &[toggle, cut, toggle, toggle, back, toggle])),
        ("visitors_come_and_go_meanwhile", with(roomy, &[cut, visit, toggle, visit, mute, back])),
        ("more_than_is_kept", with([1, 255], &[cut, toggle, toggle, toggle, back, toggle])),
        (
            "more_bytes_than_are_kept",
            with([31, 0], &[[cut].as_slice(), &[toggle; 30], &[back]].concat()),
        ),
        ("acknowledged_meanwhile", with([3, 255], &[toggle, [5, 0], toggle, cut, toggle, back])),
        (
            "acknowledged_what_was_never_sent",
            with(roomy, &[[5, 0], [5, 1], [8, 200], [8, 0], [8, 255]]),
        ),
        (
            "every_number",
            with(roomy, &[toggle, toggle, cut, [8, 1], [8, 2], [8, 3], [8, 4], [8, 5]]),
        ),
        ("on_top_of_a_connection", with(roomy, &[toggle, [8, 2], toggle, [8, 4], back])),
        ("reads_no_more", with(roomy, &[[9, 10], toggle, toggle, toggle, cut, back])),
        (
            "reads_no_more_for_ten_seconds",
            with(roomy, &[[&[[9, 0]][..], &[toggle; 210], &[back]].concat()].concat()),
        ),
        (
            "refused_and_begun_anew",
            with([0, 0], &[cut, visit, toggle, visit, back, toggle, cut, back]),
        ),
    ]
}

// --- whole runs ---

fn core_ops() -> Seeds {
    /// Kind, time since the one before, client, detail, how long or how much.
    fn op(kind: u8, wait: u8, voice: u8, detail: u8, amount: u16) -> [u8; 6] {
        let [low, high] = amount.to_le_bytes();
        [kind, wait, voice, detail, low, high]
    }
    let plan = |knobs: &[[u8; 3]], ops: &[[u8; 6]]| {
        let head = [1, 0, 3, 0, 1, 2, 3, 7, knobs.len() as u8];
        join(&[&head, &knobs.concat(), &ops.concat()])
    };
    let talk = |voice| op(16, 10, voice, 20, 0);
    let trouble = |kind, amount| {
        plan(
            &[],
            &[talk(0), op(kind, 25, 0, 2, amount), talk(1), op(kind, 50, 1, 2, amount), talk(0)],
        )
    };
    vec![
        ("everybody_talks", plan(&[], &[talk(0), talk(1), talk(2), talk(3), talk(4)])),
        (
            "a_bad_network",
            plan(&[[1, 5, 1], [2, 7, 1], [4, 9, 1], [7, 3, 2]], &[talk(0), talk(1), talk(2)]),
        ),
        (
            "short_memory",
            plan(
                &[[15, 5, 1], [16, 1, 1], [17, 2, 0]],
                &[op(4, 20, 0, 0, 0), op(0, 5, 1, 1, 0), op(0, 5, 1, 0, 0), talk(2)],
            ),
        ),
        (
            "litecord",
            plan(&[[0, 2, 0]], &[talk(0), op(10, 20, 0, 0, 2_000), talk(1), op(1, 20, 1, 0, 0)]),
        ),
        (
            "litecord_forgets",
            plan(
                &[[0, 2, 0], [1, 0, 0]],
                &[talk(0), op(10, 20, 0, 0, 9_000), op(0, 5, 1, 1, 0), op(1, 5, 2, 0, 0), talk(3)],
            ),
        ),
        (
            "document",
            plan(&[[0, 1, 0]], &[talk(0), op(9, 20, 0, 0, 2_000), talk(1), op(3, 20, 0, 0, 0)]),
        ),
        ("joins_and_leaves", trouble(0, 0)),
        ("muted", plan(&[], &[op(2, 25, 0, 1, 0), talk(0), talk(1), op(2, 50, 0, 0, 0), talk(0)])),
        (
            "deafened",
            plan(&[], &[op(2, 25, 0, 2, 0), talk(0), talk(1), op(2, 50, 0, 0, 0), talk(1)]),
        ),
        ("channel_destroyed", trouble(3, 0)),
        ("cut_off", trouble(4, 0)),
        ("stalled", trouble(5, 12_000)),
        ("clogged", trouble(6, 5_000)),
        ("another_port", trouble(7, 0)),
        ("vanished", trouble(8, 15_000)),
        ("control_link_cut", trouble(9, 3_000)),
        ("chat_server_crashed", trouble(10, 3_000)),
        ("control_link_stalled", trouble(11, 15_000)),
        ("voice_server_crashed", trouble(12, 500)),
        ("voice_server_drained", trouble(13, 500)),
        ("control_thread_stalled", trouble(14, 2_500)),
        ("media_thread_stalled", trouble(15, 2_500)),
        ("attacked", plan(&[], &(0..18).map(|kind| op(17, 5, 4, 0, kind)).collect::<Vec<_>>())),
    ]
}
