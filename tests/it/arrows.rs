//! Which module of the core may use which: reads the `crate::` paths in `core/src`.
//!
//! The alphabet may be used by all and uses nothing above it; the machines never use each other.

use std::fs;
use std::path::Path;

/// Every module at the top of the core and what it may use besides itself and the alphabet.
const RULES: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("crypto", &[]),
    ("transport", &[]),
    ("timers", &[]),
    ("replay_log", &[]),
    // The orders of a chat server, as its protocol has them.
    ("command", &["wire::lvsp", "wire::secret"]),
    // A secret of the configuration is checked in constant time, and a provider tried, by crypto.
    ("config", &["crypto::auth", "crypto::provider"]),
    ("lvsp", &["wire", "crypto::auth", "crypto::mode", "replay_log", "command"]),
    ("gateway", &["wire", "crypto::auth", "crypto::mode", "replay_log"]),
    ("media", &["wire::rtp", "wire::rtcp", "wire::discovery", "crypto"]),
    ("output", &["media::command"]),
    // A list knows its memory.
    ("memory", &["media::Handovers"]),
    // It reads what the machines tell, as a host does.
    ("explain", &["server", "media", "wire::lvsp"]),
    ("client", &["wire", "crypto", "transport"]),
    // It stands around the machines, as a host does, and nothing of the core uses it.
    ("record", &["server", "media", "output", "command", "wire", "crypto", "transport"]),
    (
        "server",
        &[
            "wire",
            "crypto",
            "transport",
            "timers",
            "config",
            "lvsp",
            "gateway",
            "media",
            "output",
            "command",
        ],
    ),
];

/// Used by all; uses only itself.
const ALPHABET: &[&str] =
    &["time", "ids", "slab", "limits", "entropy", "reasons", "stats", "config", "pace", "parking"];

#[test]
fn the_arrows_of_the_core_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let mut violations = Vec::new();
    let mut files = 0;
    let mut waiting = vec![root.clone()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the core") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files += 1;
                let inside = path.strip_prefix(&root).expect("it is below the root");
                let text = fs::read_to_string(&path).expect("source text");
                violations.extend(scan(&inside.to_string_lossy(), &text));
            }
        }
    }
    assert!(files > 10, "the core was not found");
    violations.sort();
    assert!(violations.is_empty(), "forbidden arrows:\n{}", violations.join("\n"));
}

#[test]
fn the_scanner_finds_planted_violations() {
    let found = |file, text| scan(file, text).len();
    assert_eq!(found("gateway/session.rs", "use crate::lvsp::Session;"), 1);
    assert_eq!(found("gateway/session.rs", "use crate::wire::close;\n"), 0);
    assert_eq!(found("gateway/session.rs", "use crate::crypto::cipher::Cipher;"), 1);
    assert_eq!(found("media/relay.rs", "fn f() { crate::server::run() }"), 1);
    assert_eq!(found("time.rs", "use crate::wire::rtp;"), 1);
    assert_eq!(found("media/a.rs", "use crate::wire::{rtp, gateway};"), 1);
    assert_eq!(found("media/a.rs", "use crate::{wire::{rtp, rtcp}, server::Server};"), 1);
    assert_eq!(found("media/a.rs", "// see crate::server::Server\nuse crate::media::leg;"), 0);
    assert_eq!(found("unheard/of.rs", "use crate::time;"), 1);
    assert_eq!(
        scan("wire/a.rs", "\n\nuse crate::media::Relay;"),
        ["core/src/wire/a.rs:3: wire must not use crate::media::Relay"]
    );
}

/// The violations in one file, each with its line.
fn scan(file: &str, text: &str) -> Vec<String> {
    let from = file.split(['/', '.']).next().unwrap_or_default();
    if from == "lib" {
        return Vec::new();
    }
    let allowed: &[&str] = if ALPHABET.contains(&from) && from != "config" {
        &[]
    } else if let Some((_, allowed)) = RULES.iter().find(|(name, _)| *name == from) {
        allowed
    } else {
        return vec![format!("core/src/{file}: no rule says what {from} may use")];
    };
    // Comments go, line for line, so that only code counts.
    let code: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
    let code = code.join("\n");
    let mut violations = Vec::new();
    for (position, marker) in code.match_indices("crate::") {
        let line = code[..position].matches('\n').count() + 1;
        for path in expand(&code[position + marker.len()..]) {
            if !is_allowed(from, allowed, &path) {
                let said = format!("core/src/{file}:{line}: {from} must not use crate::{path}");
                violations.push(said);
            }
        }
    }
    violations
}

fn is_allowed(from: &str, allowed: &[&str], path: &str) -> bool {
    let top = path.split("::").next().unwrap_or_default();
    top == from
        || ALPHABET.contains(&top) && (top != "config" || !ALPHABET.contains(&from))
        || allowed.iter().any(|rule| {
            path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        })
}

/// The paths that the code after `crate::` names: one, or several if braces follow.
fn expand(code: &str) -> Vec<String> {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let head: String = code.chars().take_while(|c| plain(*c)).collect();
    let Some(inner) = code[head.len()..].strip_prefix('{') else {
        return vec![head.trim_end_matches(':').to_owned()];
    };
    let mut paths = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (position, c) in inner.char_indices() {
        let ends = depth == 0 && (c == ',' || c == '}');
        if ends {
            let item = inner[start..position].trim();
            if !item.is_empty() {
                paths.extend(expand(item).into_iter().map(|rest| format!("{head}{rest}")));
            }
            start = position + 1;
        }
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            _ => {}
        }
    }
    paths
}
