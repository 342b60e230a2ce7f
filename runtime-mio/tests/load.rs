//! The load generator against a server's process, as an operator uses it: every count is exact.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::process::{Command, Output};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::process::{Directory, Process, lvsp};
use common::{Chat, SECRET};
use lvsp_mio::development;
use serde_json::Value;

/// A server that asks for TLS, and the file with its authority.
fn server(folder: &Directory) -> (Process, String) {
    let files = development::files(&["127.0.0.1"]).unwrap();
    let certificate = folder.write("chain.pem", &files.certificate);
    let key = folder.write("key.pem", &files.key);
    let ca = folder.write("ca.pem", &files.ca);
    let server = Process::start(&[
        ("LVSP_CONTROL__SECRET", SECRET),
        ("LVSP_TLS__CERTIFICATE", &certificate),
        ("LVSP_TLS__KEY", &key),
        ("LVSP_MEDIA__PUBLIC_IP", "127.0.0.1"),
    ]);
    (server, ca)
}

fn load(server: &Process, secret: &str, arguments: &[&str]) -> Output {
    let control = server.control.to_string();
    let mut command: Command = lvsp(&["load", "--control", &control]);
    command.args(arguments).env("LVSP_CONTROL__SECRET", secret).env_remove("RUST_LOG");
    command.output().expect("it starts")
}

fn report(output: &Output) -> Value {
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && errors.is_empty(), "{said}{errors}");
    serde_json::from_str(&said).expect("one JSON object")
}

/// What it says when it fails.
fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn every_frame_of_a_small_load_is_accounted_for() {
    let folder = Directory::new();
    let (server, ca) = server(&folder);
    let pid = server.id().to_string();
    for mode in ["aead_aes256_gcm_rtpsize", "aead_xchacha20_poly1305_rtpsize"] {
        let report = report(&load(
            &server,
            SECRET,
            &[
                "--ca",
                &ca,
                "--members",
                "6",
                "--speakers",
                "2",
                "--seconds",
                "2",
                "--warm-up",
                "0.1",
                "--json",
                "--server-pid",
                &pid,
                "--mode",
                mode,
            ],
        ));
        // Two speakers, 100 frames each, five listeners.
        assert_eq!((&report["sent"], &report["refused"]), (&200.into(), &0.into()), "{report}");
        assert_eq!(
            (&report["expected"], &report["arrived"]),
            (&1_000.into(), &1_000.into()),
            "{report}"
        );
        assert_eq!((&report["repeated"], &report["foreign"]), (&0.into(), &0.into()), "{report}");
        assert_eq!(report["mode"], mode);
        let (all, media) = ("server_cpu_ns_per_forwarded", "server_media_cpu_ns_per_forwarded");
        assert!(report[media].as_f64() <= report[all].as_f64(), "{report}");
        for figure in [all, media, "server_cores"] {
            assert!(report[figure].as_f64().unwrap() > 0.0, "{figure} in {report}");
        }
        assert!(report["joins"]["server_cpu_us_per_join"].as_f64().unwrap() > 0.0);
        assert!(report["latency_us"]["p50"].as_u64() <= report["latency_us"]["max"].as_u64());
    }
}

#[test]
fn channels_are_loaded_apart_and_pauses_are_silent() {
    let folder = Directory::new();
    let (server, ca) = server(&folder);
    let spread = ["--ca", &ca, "--members", "7", "--channels", "3", "--speakers", "4"];
    let short = ["--seconds", "1", "--warm-up", "0.1", "--json"];
    let report1 = report(&load(&server, SECRET, &[&spread[..], &short].concat()));
    // Channels of 3, 2 and 2: speakers 0 and 3 have two listeners, 1 and 2 have one.
    assert_eq!((&report1["sent"], &report1["expected"]), (&200.into(), &300.into()));
    assert_eq!((&report1["arrived"], &report1["foreign"]), (&300.into(), &0.into()), "{report1}");
    let report2 = report(&load(&server, SECRET, &[&spread[..], &short, &["--dtx"]].concat()));
    assert!(report2["sent"].as_u64().unwrap() < 200, "{report2}");
    assert_eq!((&report2["arrived"], &report2["lost_share"]), (&report2["expected"], &0.0.into()));
}

#[test]
fn nobody_reads_when_told_so_and_the_rest_is_computed() {
    let folder = Directory::new();
    let (server, ca) = server(&folder);
    let report = report(&load(
        &server,
        SECRET,
        &[
            "--ca",
            &ca,
            "--members",
            "3",
            "--speakers",
            "1",
            "--seconds",
            "0.2",
            "--no-receive",
            "--json",
        ],
    ));
    assert_eq!((&report["expected"], &report["arrived"]), (&20.into(), &Value::Null), "{report}");
    assert_eq!(report["latency_us"], Value::Null);
}

#[test]
fn people_read_a_table() {
    let folder = Directory::new();
    let (server, ca) = server(&folder);
    let arguments = ["--ca", &ca, "--members", "2", "--speakers", "1", "--seconds", "0.2"];
    let output = load(&server, SECRET, &arguments);
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.starts_with("load      2 members in 1 channel, 1 speaker, payload opus"),
        "{table}"
    );
    assert!(table.contains("\nforwarded 10 of 10 arrived, 0.00 % lost"), "{table}");
}

#[test]
fn whatever_is_wrong_is_said_with_what_to_change() {
    let folder = Directory::new();
    let (server, ca) = server(&folder);
    let wrong = load(&server, &"x".repeat(40), &["--ca", &ca]);
    assert!(complaint(&wrong).contains("refused the secret"), "{}", complaint(&wrong));
    let other = folder.write("other.pem", &development::certificate().unwrap().ca);
    let untrusted = complaint(&load(&server, SECRET, &["--ca", &other]));
    assert!(untrusted.contains("is not trusted: --ca must be"), "{untrusted}");
    let plain = complaint(&load(&server, SECRET, &["--plain"]));
    assert!(plain.contains("does this port speak TLS (--ca) or not"), "{plain}");
    let crowd = ["--ca", &ca, "--members", "1001", "--speakers", "1"];
    let crowded = complaint(&load(&server, SECRET, &crowd));
    assert!(crowded.contains("refused an order: "), "{crowded}");
    let more = ["--ca", &ca, "--members", "2", "--speakers", "3"];
    assert!(complaint(&load(&server, SECRET, &more)).contains("--speakers 3"));
    // A port that nobody listens on: bound and given back.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut nobody = lvsp(&["load", "--control", &free.to_string(), "--ca", &ca]);
    let nobody = complaint(&nobody.env("LVSP_CONTROL__SECRET", SECRET).output().unwrap());
    assert!(nobody.contains(&format!("cannot reach the server at {free}")), "{nobody}");
}

#[test]
fn a_load_leaves_nothing_behind() {
    let folder = Directory::new();
    let (server, ca) = server(&folder);
    let arguments =
        ["--ca", &ca, "--members", "4", "--speakers", "1", "--seconds", "0.2", "--json"];
    // Twice with the same ids: what the first left would be in the second's way.
    for _ in 0..2 {
        let report = report(&load(&server, SECRET, &arguments));
        assert_eq!((&report["arrived"], &report["foreign"]), (&30.into(), &0.into()), "{report}");
    }
}

#[test]
fn loads_of_several_machines_do_not_meet_when_each_has_a_secret() {
    let folder = Directory::new();
    let secrets = ["first".repeat(8), "other".repeat(8)];
    let client =
        |(at, secret)| format!("[[control.client]]\nname = \"load{at}\"\nsecret = {secret:?}\n");
    let clients: String = secrets.iter().enumerate().map(client).collect();
    let file = folder.write("lvsp.toml", &format!("{clients}[tls]\noff = true\n"));
    let server =
        Process::start(&[("LVSP_CONFIG_FILE", &file), ("LVSP_MEDIA__PUBLIC_IP", "127.0.0.1")]);
    let together = Barrier::new(secrets.len());
    let arguments = [
        "--plain",
        "--members",
        "6",
        "--channels",
        "2",
        "--speakers",
        "2",
        "--seconds",
        "1",
        "--json",
    ];
    thread::scope(|scope| {
        for secret in &secrets {
            scope.spawn(|| {
                together.wait();
                let report = report(&load(&server, secret, &arguments));
                // Two channels with a speaker and two listeners each, for a second.
                assert_eq!(
                    (&report["expected"], &report["arrived"]),
                    (&200.into(), &200.into()),
                    "{report}"
                );
                assert_eq!(report["foreign"], 0, "{report}");
            });
        }
    });
}

#[test]
fn a_load_under_a_secret_that_is_in_use_is_turned_away_and_told_what_to_change() {
    let server = Process::start(&[
        ("LVSP_CONTROL__SECRET", SECRET),
        ("LVSP_TLS__OFF", "true"),
        ("LVSP_MEDIA__PUBLIC_IP", "127.0.0.1"),
    ]);
    let mut chat = Chat::connect(server.control, SECRET, None);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                chat.attend();
            }
        });
        let words =
            complaint(&load(&server, SECRET, &["--plain", "--members", "2", "--speakers", "1"]));
        done.store(true, Ordering::Relaxed);
        assert!(
            words.contains("is connected to") && words.contains("[[control.client]]"),
            "{words}"
        );
    });
    // The chat server was not disturbed.
    chat.place(7, None);
}
