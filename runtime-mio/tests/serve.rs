//! The binary as an operator starts and stops it.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use common::process::{Process, lvsp};

fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.write_all(request).expect("it reads");
    let mut answer = Vec::new();
    // A reset behind the answer is as good an end as any.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_first_start_says_how_to_connect_and_sigterm_ends_it() {
    let mut server = Process::start(&[("LVSP_DRAIN__SECONDS", "0")]);
    let said = &server.said;
    for part in ["wss://", "token", "the CA in"] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    let ca = said.lines().find_map(|line| Some(line.split_once("the CA in ")?.1.to_owned()));
    let ca = std::path::PathBuf::from(ca.expect("a path"));
    assert!(std::fs::read_to_string(&ca).expect("it is there").contains("BEGIN CERTIFICATE"));
    let answer = exchange(server.gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("this port speaks TLS"), "{answer}");
    let log = server.log();
    assert!(!log.iter().any(|line| line.contains("TLS is off")), "{log:?}");

    server.signal("TERM");
    let status = server.wait();
    assert!(status.success(), "{status}");
    assert!(!ca.exists(), "the next start makes another one");
}

#[test]
fn a_port_in_use_is_named_by_its_key() {
    let server = Process::start(&[]);
    let gateway = server.gateway.to_string();
    let output = lvsp(&["serve"])
        .env("LVSP_CONTROL__LISTEN", "127.0.0.1:0")
        .env("LVSP_GATEWAY__LISTEN", &gateway)
        .env("LVSP_MEDIA__LISTEN", "127.0.0.1:0")
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("gateway.listen = {gateway}")), "{said}");
    assert_eq!(said.matches("in use").count(), 1, "{said}");
}

#[test]
fn secrets_are_made_and_checked() {
    let made = lvsp(&["gen-secret"]).output().expect("the binary starts").stdout;
    assert_eq!(String::from_utf8(made).expect("text").trim().len(), 64);
    let check = lvsp(&["check-config"]).env("LVSP_TLS__OFF", "true").output().expect("it starts");
    assert_eq!(check.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&check.stderr).contains("control: secret is missing"));
}

#[test]
fn the_exit_status_says_what_kind_of_mistake_it_was() {
    let status = |arguments: &[&str], variables: &[(&str, &str)]| {
        let output = lvsp(arguments).envs(variables.iter().copied()).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let secret = ("LVSP_CONTROL__SECRET", "0123456789abcdef0123456789abcdef");
    let good = [secret, ("LVSP_TLS__OFF", "true")];
    assert_eq!(status(&["check-config"], &good).0, Some(0));
    assert_eq!(status(&["check-confi"], &good).0, Some(2));
    for (variable, value) in [
        ("LVSP_MEDIA__RELAYS", "two"),
        ("LVSP_MEDIA__RELAY", "2"),
        ("LVSP_LIMITS__SESSIONS", "0"),
        ("LVSP_CONTROL__SECRET_FILE", "/nonexistent/secret"),
        ("LVSP_CONFIG_FILE", "/nonexistent/lvsp.toml"),
    ] {
        for command in ["check-config", "serve"] {
            let (code, said) = status(&[command], &[good[0], good[1], (variable, value)]);
            assert_eq!(code, Some(3), "{command} with {variable}: {said}");
            assert!(said.contains("the configuration cannot be served: "), "{said}");
        }
    }
}

#[test]
fn the_memory_ceiling_is_printed_and_a_lack_of_memory_is_told() {
    let run = |command: &str, variables: &[(&str, &str)]| {
        let output = lvsp(&[command]).envs(variables.iter().copied()).output().expect("it starts");
        String::from_utf8(output.stdout).expect("text")
    };
    let printed = run("print-config", &[]);
    let (_, ceiling) = printed.split_once("# Memory ceiling: ").expect("the sum");
    let sum: f64 = ceiling.split(' ').next().expect("a number").parse().expect("a number");
    let parts = ceiling.lines().skip(1).map(|line| {
        let part = line.trim_start_matches(['#', ' ']).split(' ').next().expect("a number");
        part.parse::<f64>().expect("a number")
    });
    let parts: f64 = parts.sum();
    assert!((sum - parts).abs() < 2.0 && sum <= 512.0, "{sum} in all, {parts} in parts");
    toml::from_str::<toml::Table>(&printed).expect("it is still TOML");

    let good =
        [("LVSP_CONTROL__SECRET", "0123456789abcdef0123456789abcdef"), ("LVSP_TLS__OFF", "true")];
    assert!(!run("check-config", &good).contains("warning"));
    let much = [
        good[0],
        good[1],
        ("LVSP_LIMITS__VOICE_STATES", "10000000"),
        ("LVSP_LIMITS__OUTBOUND_TOTAL_BYTES", "17179869184"),
        ("LVSP_LIMITS__REPLAY_TOTAL_BYTES", "17179869184"),
        ("LVSP_LIMITS__CREDENTIALS_TOTAL_BYTES", "17179869184"),
        ("LVSP_LIMITS__INBOUND_TOTAL_BYTES", "17179869184"),
    ];
    assert!(run("check-config", &much).contains("warning: under these limits"));
}
