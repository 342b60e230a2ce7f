//! How hard are the control secrets to guess, and who can read them?

use std::collections::HashMap;
use std::fs;

use lvsp_core::crypto::auth::SECRET_BYTES_MIN;

use super::Finding;
use super::certificate::readable_by_all;
use crate::config::{Change, File, SecretText};

const MAKE: &str = "make one with `lvsp-mio gen-secret` and give the same to the chat server";
/// What nobody guesses, in bits.
const BITS_MIN: f64 = 100.0;
/// Words of examples and of haste.
const WORDS: [&str; 7] =
    ["changeme", "change-me", "password", "secret", "example", "replace", "your-"];

pub(super) fn look(file: &File) -> Vec<Finding> {
    let control = &file.control;
    let single = ("control".to_owned(), "control", &control.secret, &control.secret_file);
    let clients = control.clients.iter().enumerate().map(|(at, client)| {
        let section = format!("control.client[{at}]");
        (section, client.name.as_str(), &client.secret, &client.secret_file)
    });
    let owners: Vec<_> = if control.clients.is_empty() { vec![single] } else { clients.collect() };
    let mut findings = Vec::new();
    for (section, owner, secret, path) in owners {
        if let Some(path) = path {
            findings.extend(readable_by_all(&format!("{section}.secret_file"), path));
        }
        // What is missing or cannot be read is found by the look at the whole.
        let (key, text) = match (secret.as_ref().map(SecretText::expose), path) {
            (Some(text), _) => ("secret", Some(text.to_owned())),
            (None, Some(path)) => ("secret_file", fs::read_to_string(path).ok()),
            (None, None) => continue,
        };
        if let Some(text) = text {
            let key = format!("{section}.{key}");
            findings.push(judge(&key, owner, text.trim_end(), &file.new_secret(&section)));
        }
    }
    findings
}

/// A secret by what it is made of. It stays out of what is said.
fn judge(key: &str, owner: &str, secret: &str, anew: &Change) -> Finding {
    let warn =
        |why: &str| Finding::warning(key, format!("{owner}: the secret {why}"), MAKE, anew.clone());
    let lower = secret.to_lowercase();
    if secret.len() < SECRET_BYTES_MIN {
        let what = format!("{owner}: the secret has {} of {SECRET_BYTES_MIN} bytes", secret.len());
        return Finding::error(key, what, MAKE, anew.clone());
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
    Finding::ok(key, format!("{owner}: {} bytes, hard to guess", secret.len()))
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
    use super::super::Severity;
    use super::*;
    use crate::entropy::OsEntropy;

    #[test]
    fn secrets_are_told_apart_by_what_they_are_made_of() {
        use Severity::{Error, Ok, Warning};
        let anew = File::default().new_secret("control");
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
            let finding = judge("control.secret", "control", secret, &anew);
            assert_eq!(finding.severity, severity, "{secret}");
            assert_eq!(finding.changes.is_empty(), severity == Ok, "{secret}");
            assert!(finding.what.contains(said), "{}", finding.what);
            assert!(!finding.what.contains(secret));
        }
        // What `gen-secret` makes is hard to guess, each time.
        for _ in 0..100 {
            let made = OsEntropy::hex::<32>();
            assert_eq!(judge("control.secret", "control", &made, &anew).severity, Ok);
        }
    }

    #[test]
    fn the_secret_of_each_chat_server_is_named_by_its_place_and_its_owner() {
        let client = |name: &str, secret: &str| {
            let text = format!("name = \"{name}\"\nsecret = \"{secret}\"");
            toml::from_str(&text).unwrap()
        };
        let mut file = File::default();
        file.control.clients = vec![
            client("litecord", "4d1f0a93b7c25e688e2d7f3c51a90b64"),
            client("spacebar", "short"),
        ];
        let findings = look(&file);
        assert_eq!(findings[0].severity, Severity::Ok);
        assert_eq!(findings[1].about, "control.client[1].secret");
        assert!(findings[1].what.starts_with("spacebar: the secret has 5 of 32"), "{findings:?}");
        let line = "secret_file = \"/etc/lvsp/spacebar-secret\"";
        assert_eq!(findings[1].changes[0].lines()[..2], ["[[control.client]]", line]);
    }
}
