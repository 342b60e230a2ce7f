//! How hard are the control secrets to guess, and who can read them?

use std::collections::HashMap;
use std::fs;

use lvsp_core::crypto::auth::SECRET_BYTES_MIN;

use super::Finding;
use super::certificate::readable_by_all;
use crate::config::{File, SecretText};

const KEY: &str = "control.secret";
const FILE_KEY: &str = "control.secret_file";
const MAKE: &str = "make one with `lvsp-mio gen-secret` and give the same to the chat server";
/// What nobody guesses, in bits.
const BITS_MIN: f64 = 100.0;
/// Words of examples and of haste.
const WORDS: [&str; 7] =
    ["changeme", "change-me", "password", "secret", "example", "replace", "your-"];

pub(super) fn look(file: &File) -> Vec<Finding> {
    let control = &file.control;
    let single = ("control", &control.secret, &control.secret_file);
    let clients = control
        .clients
        .iter()
        .map(|client| (client.name.as_str(), &client.secret, &client.secret_file));
    let owners: Vec<_> = if control.clients.is_empty() { vec![single] } else { clients.collect() };
    let mut findings = Vec::new();
    for (owner, secret, file) in owners {
        if let Some(path) = file {
            findings.extend(readable_by_all(FILE_KEY, path));
        }
        // What is missing or cannot be read is found by the look at the whole.
        let text = secret.as_ref().map(SecretText::expose).map(str::to_owned);
        let text = text.or_else(|| fs::read_to_string(file.as_ref()?).ok());
        if let Some(text) = text {
            findings.push(judge(owner, text.trim_end()));
        }
    }
    findings
}

/// A secret by what it is made of. It stays out of what is said.
fn judge(owner: &str, secret: &str) -> Finding {
    let warn = |why: &str| Finding::warning(KEY, format!("{owner}: the secret {why}"), MAKE);
    let lower = secret.to_lowercase();
    if secret.len() < SECRET_BYTES_MIN {
        let what = format!("{owner}: the secret has {} of {SECRET_BYTES_MIN} bytes", secret.len());
        return Finding::error(KEY, what, MAKE);
    }
    if WORDS.iter().any(|word| lower.contains(word)) {
        return warn("looks like one of an example");
    }
    if is_a_row(secret) {
        return warn("is a row of neighbours, as in 0123 or abcd");
    }
    let period = period(secret);
    if period < secret.len() {
        return warn(&format!("repeats itself after {period} characters"));
    }
    let bits = bits(secret);
    if bits < BITS_MIN {
        return warn(&format!("is made of few characters: about {bits:.0} bits to guess"));
    }
    Finding::ok(KEY, format!("{owner}: {} bytes, hard to guess", secret.len()))
}

/// After how many characters it begins again; its length where it does not.
fn period(secret: &str) -> usize {
    let bytes = secret.as_bytes();
    let repeats = |period: &usize| bytes.iter().skip(*period).eq(&bytes[..bytes.len() - period]);
    (1..=bytes.len() / 2).find(repeats).unwrap_or(bytes.len())
}

/// Whether most characters are the next ones of those before them.
fn is_a_row(secret: &str) -> bool {
    let pairs = secret.as_bytes().windows(2);
    let neighbours = pairs.filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
    neighbours * 4 > secret.len() * 3
}

/// How many bits so many characters of these frequencies hold.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn bits(secret: &str) -> f64 {
    let mut counts = HashMap::new();
    for byte in secret.bytes() {
        *counts.entry(byte).or_insert(0_u32) += 1;
    }
    let length = secret.len() as f64;
    let each = |count: &u32| f64::from(*count) * (length / f64::from(*count)).log2();
    counts.values().map(each).sum()
}

#[cfg(test)]
mod tests {
    use lvsp_core::entropy::Entropy;

    use super::super::Severity;
    use super::*;
    use crate::entropy::OsEntropy;

    #[test]
    fn secrets_are_told_apart_by_what_they_are_made_of() {
        use Severity::{Error, Ok, Warning};
        for (secret, severity, said) in [
            ("4d1f0a93b7c25e688e2d7f3c51a90b64", Ok, "hard to guess"),
            ("correct-horse-battery-staple-and-nine-more", Ok, "hard to guess"),
            ("short", Error, "5 of 32 bytes"),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", Warning, "repeats itself after 1 "),
            ("q7Zk2mQ9q7Zk2mQ9q7Zk2mQ9q7Zk2mQ9", Warning, "repeats itself after 8 "),
            ("0123456789abcdefghijklmnopqrstuvwxyz", Warning, "a row of neighbours"),
            ("changeme-4d1f0a93b7c25e688e2d7f3c51a9", Warning, "of an example"),
            ("abbabaababbabababbaabbababbaabbbabab", Warning, "few characters"),
        ] {
            let finding = judge("control", secret);
            assert_eq!(finding.severity, severity, "{secret}");
            assert!(finding.what.contains(said), "{}", finding.what);
            assert!(!finding.what.contains(secret));
        }
        // What `gen-secret` makes is hard to guess, each time.
        for _ in 0..100 {
            let entropy: &mut (dyn Entropy + Send) = &mut OsEntropy;
            assert_eq!(judge("control", &entropy.hex::<32>()).severity, Ok);
        }
    }
}
