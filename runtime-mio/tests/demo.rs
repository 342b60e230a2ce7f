//! The demonstration as somebody sees it who runs it: what it shows, its verdict and its status.
//!
//! Each fault is on the wire or in what the chat server asks for, so that a verdict that does not
//! notice it would not notice a broken server either.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

use std::process::Command;

/// Frames that each caller says here: enough for two faulty ones, few enough to be quick.
const FRAMES: u32 = 15;

/// What it wrote, line by line with single spaces, and its exit status.
fn demo(arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_lvsp-mio"))
        .args(["demo", "--frames", &FRAMES.to_string()])
        .args(arguments)
        .env_remove("RUST_LOG")
        .output()
        .expect("the binary starts");
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("text");
    let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (said.lines().map(squeeze).collect(), output.status.code())
}

/// The words of a verdict that must be FAIL, and the whole output.
fn failure(fault: &str) -> (String, Vec<String>) {
    let (lines, status) = demo(&["--fault", fault]);
    let verdict = lines.last().expect("a verdict");
    let words = verdict.strip_prefix("FAIL: ").unwrap_or_else(|| panic!("{lines:#?}"));
    assert_eq!(status, Some(1), "{lines:#?}");
    (words.to_owned(), lines)
}

/// The row of a pair, without latencies, which differ from run to run.
fn row(lines: &[String], pair: &str) -> String {
    let row = lines.iter().find(|line| line.starts_with(&format!("{pair} ")));
    let row = row.unwrap_or_else(|| panic!("no row of {pair} in {lines:#?}"));
    row.split(' ').take(6).collect::<Vec<_>>().join(" ")
}

#[test]
fn everybody_hears_everybody_of_their_channel() {
    let (lines, status) = demo(&[]);
    let verdict = lines.last().expect("a verdict");
    assert!(verdict.starts_with("PASS: 8 pairs heard 15 of 15, intact and in order"), "{lines:#?}");
    assert_eq!(status, Some(0));
    for pair in ["ann cem", "bob ann", "bob cem", "cem ann", "dea eli", "eli dea"] {
        assert_eq!(row(&lines, pair), format!("{pair} 15/15 15/15 0 0"));
    }
    for pair in ["ann bob", "cem bob"] {
        assert_eq!(row(&lines, pair), format!("{pair} 15/15 muted 0 0"));
    }
    // Two channels, a head, eight pairs, a verdict: no row of a pair that should not be.
    assert_eq!(lines.iter().filter(|line| !line.is_empty()).count(), 2 + 1 + 8 + 1, "{lines:#?}");
}

#[test]
fn datagrams_that_a_socket_loses_are_dropped_packets() {
    let (words, lines) = failure("drop");
    let pairs = words.strip_prefix("dropped (").and_then(|rest| rest.strip_suffix(')'));
    let pairs = pairs.unwrap_or_else(|| panic!("nothing else is wrong: {words}"));
    let lost = pairs.split(", ").map(|pair| {
        let count = pair.strip_prefix("cem from ").and_then(|rest| rest.split_once(' '));
        count.and_then(|(_, count)| count.parse::<u32>().ok()).expect("only cem loses datagrams")
    });
    // Of thirty from ann and fifteen from bob, the first and every tenth after it.
    assert_eq!(lost.sum::<u32>(), 5, "{words}");
    assert_eq!(row(&lines, "ann cem"), "ann cem 15/15 15/15 0 0");
}

#[test]
fn payloads_that_changed_are_corrupt() {
    let (words, lines) = failure("corrupt");
    // Two of the fifteen frames of each part.
    assert_eq!(words, "corrupt (ann from cem 4, bob from cem 4)");
    assert_eq!(row(&lines, "ann cem"), "ann cem 13/15 13/15 0 4");
}

#[test]
fn a_voice_of_another_channel_is_misrouted() {
    let (words, lines) = failure("misroute");
    let foreign = "misrouted from another channel (ann from dea 30, bob from dea 30, \
                   cem from dea 30, dea from ann 30, dea from bob 15, dea from cem 30)";
    assert!(words.ends_with(foreign), "{words}");
    assert!(words.starts_with("dropped (dea from eli 30, eli from dea 30); "), "{words}");
    assert_eq!(row(&lines, "ann dea"), "ann dea 15/0 15/0 0 0");
}

#[test]
fn a_voice_that_should_be_muted_is_a_mute_leak() {
    let (words, lines) = failure("mute-leak");
    assert_eq!(words, "mute leak (ann from bob 15, cem from bob 15)");
    assert_eq!(row(&lines, "ann bob"), "ann bob 15/15 15/0 0 0");
}

#[test]
fn frames_are_bounded() {
    for frames in ["0", "3001"] {
        let output = Command::new(env!("CARGO_BIN_EXE_lvsp-mio"))
            .args(["demo", "--frames", frames])
            .output()
            .expect("the binary starts");
        assert_eq!(output.status.code(), Some(2));
    }
}
