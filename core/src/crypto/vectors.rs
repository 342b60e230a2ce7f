//! Every vector of `tests/vectors/rtp.json`: bytes that real client libraries produce and accept.

use serde::Deserialize;

use super::cipher::{Cipher, MediaKey};
use super::mode::{Mode, TAG_BYTES};
use super::provider::Provider;

#[derive(Deserialize)]
struct Vectors {
    rtp: Vec<Rtp>,
    rtcp: Vec<Rtcp>,
    relay: Vec<Relay>,
    must_fail: Vec<MustFail>,
}

#[derive(Deserialize)]
struct Rtp {
    mode: String,
    case: String,
    key: String,
    nonce_suffix: String,
    clear_len: usize,
    plaintext: String,
    packet: String,
}

#[derive(Deserialize)]
struct Rtcp {
    mode: String,
    case: String,
    key: String,
    nonce_suffix: String,
    clear_len: usize,
    raw: String,
    packet: String,
}

#[derive(Deserialize)]
struct Relay {
    case: String,
    in_mode: String,
    in_key: String,
    in_packet: String,
    raw: String,
    out_mode: String,
    out_key: String,
    out_nonce_suffix: String,
    out_packet: String,
}

#[derive(Deserialize)]
struct MustFail {
    mode: String,
    key: String,
    why: String,
    packet: String,
}

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/rtp.json");
    let text = std::fs::read_to_string(path).expect("tests/vectors/rtp.json is in the tree");
    serde_json::from_str(&text).expect("tests/vectors/rtp.json is what the generator wrote")
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// One for each provider, or none for a mode that was not compiled in.
fn ciphers(mode: &str, key: &str) -> impl Iterator<Item = Cipher> {
    let mode = Mode::from_name(mode).expect("vectors name modes of ours");
    let key = MediaKey::new(bytes(key).try_into().unwrap());
    let compiled = cfg!(feature = "legacy-modes") || !mode.is_secretbox();
    let providers = if compiled { Provider::ALL } else { &[] };
    providers.iter().map(move |by| Cipher::with_provider(*by, mode, &key).expect("compiled in"))
}

/// How many leading bytes of an RTP packet stay clear.
fn clear_len(mode: Mode, packet: &[u8]) -> usize {
    if !mode.is_rtpsize() {
        return 12;
    }
    12 + 4 * usize::from(packet[0] & 0x0F) + if packet[0] & 0x10 == 0 { 0 } else { 4 }
}

fn seal(cipher: &Cipher, clear: &[u8], plaintext: &[u8], suffix: &str) -> Vec<u8> {
    let mut out = vec![0; 2_000];
    let length = cipher.seal_into(clear, [plaintext, &[]], &bytes(suffix), &mut out).unwrap();
    out.truncate(length);
    out
}

// Clauses: V4.15
#[test]
fn every_rtp_vector_opens_and_seals_to_the_same_bytes() {
    let vectors = vectors().rtp;
    assert_eq!(vectors.len(), 115);
    for vector in &vectors {
        for cipher in ciphers(&vector.mode, &vector.key) {
            let name = format!("{} {}", vector.mode, vector.case);
            let mut packet = bytes(&vector.packet);
            assert_eq!(clear_len(cipher.mode(), &packet), vector.clear_len, "{name}");
            let opened = cipher.open(&mut packet, vector.clear_len).expect(&name);
            assert_eq!(*opened.plaintext, bytes(&vector.plaintext), "{name}");
            let sealed = seal(&cipher, opened.clear, opened.plaintext, &vector.nonce_suffix);
            assert_eq!(sealed, bytes(&vector.packet), "{name}");
        }
    }
}

#[test]
fn every_rtcp_vector_opens_and_seals_to_the_same_bytes() {
    let vectors = vectors().rtcp;
    assert_eq!(vectors.len(), 21);
    for vector in &vectors {
        for cipher in ciphers(&vector.mode, &vector.key) {
            let name = format!("{} {}", vector.mode, vector.case);
            let mut packet = bytes(&vector.packet);
            let opened = cipher.open(&mut packet, vector.clear_len).expect(&name);
            assert_eq!([opened.clear, opened.plaintext].concat(), bytes(&vector.raw), "{name}");
            let sealed = seal(&cipher, opened.clear, opened.plaintext, &vector.nonce_suffix);
            assert_eq!(sealed, bytes(&vector.packet), "{name}");
        }
    }
}

#[test]
fn every_relay_vector_turns_into_the_receivers_bytes() {
    let vectors = vectors().relay;
    assert_eq!(vectors.len(), 147);
    for vector in &vectors {
        let froms = ciphers(&vector.in_mode, &vector.in_key);
        for (from, to) in froms.zip(ciphers(&vector.out_mode, &vector.out_key)) {
            let mut packet = bytes(&vector.in_packet);
            let clear = clear_len(from.mode(), &packet);
            let opened = from.open(&mut packet, clear).expect(&vector.case);
            let raw = [opened.clear, opened.plaintext].concat();
            assert_eq!(raw, bytes(&vector.raw), "{}", vector.case);
            let (clear, plaintext) = raw.split_at(clear_len(to.mode(), &raw));
            let sealed = seal(&to, clear, plaintext, &vector.out_nonce_suffix);
            assert_eq!(sealed, bytes(&vector.out_packet), "{}", vector.case);
        }
    }
}

#[test]
fn every_must_fail_vector_is_refused_and_wiped() {
    let vectors = vectors().must_fail;
    assert_eq!(vectors.len(), 57);
    for vector in &vectors {
        for cipher in ciphers(&vector.mode, &vector.key) {
            let mut packet = bytes(&vector.packet);
            let clear = packet.first().map_or(12, |_| clear_len(cipher.mode(), &packet));
            let refused = cipher.open(&mut packet, clear).is_err();
            assert!(refused, "{} {}", vector.mode, vector.why);
            if packet.len() >= clear + cipher.mode().overhead() {
                let body = clear + if cipher.mode().is_secretbox() { TAG_BYTES } else { 0 };
                let end = body + packet.len() - clear - cipher.mode().overhead();
                let wiped = packet[body..end].iter().all(|byte| *byte == 0);
                assert!(wiped, "{} {}", vector.mode, vector.why);
            }
        }
    }
}
