//! Ten deliberate mistakes of an operator, each made for real: what the binary says names the cause and
//! what to do. docs/operating.md has the same ten as a table.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use lvsp_core::client::VoiceEvent;
use lvsp_mio::development::Authority;
use nix::unistd::getegid;

use common::process::{Directory, Process, lvsp};
use common::{Chat, SECRET, Voice, dial, wait_for};

const DAY: Duration = Duration::from_secs(86_400);

/// Files of an operator: a secret, a certificate and whose authority it is.
struct Site {
    directory: Directory,
}

impl Site {
    /// With a certificate that is valid from and until so many days from now.
    fn new(names: &[&str], from: i32, until: i32) -> Self {
        let at = |days: i32| match u32::try_from(days) {
            Ok(days) => SystemTime::now() + days * DAY,
            Err(_) => SystemTime::now() - days.unsigned_abs() * DAY,
        };
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = Authority::new().unwrap().issue_between(&names, at(from), at(until)).unwrap();
        let directory = Directory::new();
        directory.write("ca.pem", &made.ca);
        directory.write("chain.pem", &made.certificate);
        directory.write("key.pem", &made.key);
        directory.write("secret", SECRET);
        directory.write("wrong", &SECRET.chars().rev().collect::<String>());
        Self { directory }
    }

    /// With a certificate for this host that is valid.
    fn good() -> Self {
        Self::new(&["localhost", "127.0.0.1"], -1, 90)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// A configuration on free ports of loopback, with more lines at its end.
    fn configuration(&self, more: &str) -> String {
        let text = format!(
            "control.listen = \"127.0.0.1:0\"\ncontrol.secret_file = {:?}\n\
             gateway.listen = \"127.0.0.1:0\"\nmedia.listen = \"127.0.0.1:0\"\n\
             tls.certificate = {:?}\ntls.key = {:?}\n{more}\n",
            self.path("secret"),
            self.path("chain.pem"),
            self.path("key.pem"),
        );
        self.directory.write("lvsp.toml", &text)
    }

    fn serve(&self, variables: &[(&str, &str)]) -> Process {
        let configuration = self.configuration("");
        Process::start_as(lvsp(&["serve", "--config", &configuration]), variables)
    }

    /// Probes a server; whether it passed, and everything that it said.
    fn probe(&self, server: &Process, secret: &str, more: &[&str]) -> (bool, String) {
        let control = format!("localhost:{}", server.control.port());
        let (secret, ca) = (self.path(secret), self.path("ca.pem"));
        let mut command = lvsp(&["probe", "--control", &control, "--secret-file", &secret]);
        if !more.contains(&"--plain") {
            command.args(["--ca", &ca]);
        }
        let output = command.args(more).args(["--seconds", "0.2"]).output().unwrap();
        (output.status.success(), said(&output))
    }
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(text).expect("text")
}

/// Runs to the end; the exit status, and everything that it said.
fn run(command: &mut Command) -> (i32, String) {
    let output = command.output().expect("it starts");
    (output.status.code().expect("no signal"), said(&output))
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
}

#[test]
fn a_server_without_a_mistake_is_probed_and_examined_without_a_complaint() {
    let site = Site::good();
    let server = site.serve(&[]);
    let (passed, said) = site.probe(&server, "secret", &[]);
    assert!(passed, "{said}");
    assert_says(
        &said,
        &["every step was passed", "discovery over UDP", "round trip", "lost 0 of 10"],
    );
    let (status, said) = run(&mut lvsp(&["doctor", "--config", &site.configuration("")]));
    assert_eq!(status, 0, "{said}");
    assert_says(&said, &["0 errors", "UDP that is sent to 127.0.0.1"]);
}

#[test]
fn a_wrong_secret() {
    let site = Site::good();
    let server = site.serve(&[]);
    let (passed, said) = site.probe(&server, "wrong", &[]);
    assert!(!passed);
    assert_says(
        &said,
        &[
            "control    identify                 FAILED",
            "refuses the secret (close code 4001)",
            "-> give the secret that stands in",
        ],
    );
    let line = server.wait_for_log("a chat server gave a wrong secret");
    assert_says(&line, &["it must be that of control.secret", "127.0.0.1:"]);
    assert!(!said.contains(SECRET) && !line.contains(SECRET));
}

#[test]
fn a_wrong_public_address() {
    let site = Site::good();
    // That of the manual's example, and one that no host can have, so that none is sent to.
    for (address, severity, cause) in [
        ("203.0.113.7", "ERROR", "stands in examples"),
        ("240.0.0.1", "warning", "on no interface"),
    ] {
        let configuration = site.configuration(&format!(
            "media.public_ip = \"{address}\"\ngateway.endpoint = \"localhost:8443\""
        ));
        let (status, said) = run(&mut lvsp(&["doctor", "--config", &configuration]));
        assert_eq!(status, i32::from(severity == "ERROR"), "{said}");
        let line = said.lines().find(|line| line.contains(cause)).expect("a finding");
        assert_says(line, &[severity, "media.public_ip", address]);
        let remedy = said.lines().skip_while(|line| !line.contains(cause)).nth(1);
        assert_says(remedy.expect("a remedy"), &["-> ", "give ", "address that"]);
    }
}

#[test]
fn a_closed_udp_port() {
    let site = Site::good();
    // Nobody receives what clients are told to send there.
    let server = site.serve(&[("LVSP_MEDIA__PUBLIC_IP", "127.9.9.9")]);
    let (passed, said) = site.probe(&server, "secret", &[]);
    assert!(!passed);
    let port = server.media.port();
    assert_says(
        &said,
        &[
            "discovery over UDP       FAILED",
            &format!("no discovery answer from 127.9.9.9:{port}"),
            &format!("open UDP port {port} in the firewall"),
            "media.public_ip",
        ],
    );
}

#[test]
fn an_expired_certificate() {
    let site = Site::new(&["localhost", "127.0.0.1"], -30, -2);
    let server = site.serve(&[]);
    let line = server.wait_for_log("expired");
    assert_says(&line, &["tls.certificate = ", "expired 2 days ago: clients refuse it; renew it"]);
    let (passed, said) = site.probe(&server, "secret", &[]);
    assert!(!passed);
    assert_says(&said, &["has expired: clients refuse it", "-> renew tls.certificate"]);
    let (status, said) = run(&mut lvsp(&["doctor", "--config", &site.configuration("")]));
    assert_eq!(status, 1, "{said}");
    assert_says(&said, &["it expired 2 days ago: clients refuse it", "-> renew it"]);
}

#[test]
fn a_certificate_for_another_name() {
    let site = Site::new(&["voice.example.org"], -1, 90);
    let server = site.serve(&[]);
    let endpoint = format!("localhost:{}", server.gateway.port());
    let name = ["--name", "voice.example.org", "--endpoint", &endpoint];
    let (passed, said) = site.probe(&server, "secret", &name);
    assert!(!passed);
    assert_says(
        &said,
        &[
            "is for other names than \"localhost\"",
            "change gateway.endpoint to a name that it is for",
        ],
    );
    let configuration = site.configuration("gateway.endpoint = \"localhost:8443\"");
    let (status, said) = run(&mut lvsp(&["doctor", "--config", &configuration]));
    assert_eq!(status, 1, "{said}");
    assert_says(&said, &["it is for voice.example.org and not for localhost, which clients dial"]);
    assert_says(&said, &["get a certificate for localhost"]);
}

#[test]
fn a_port_in_use() {
    let site = Site::good();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (tcp, udp) = (TcpListener::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
    let me = format!("process {} (", std::process::id());
    for (key, variable, address) in [
        ("gateway.listen", "LVSP_GATEWAY__LISTEN", tcp.local_addr().unwrap()),
        ("media.listen", "LVSP_MEDIA__LISTEN", udp.local_addr().unwrap()),
    ] {
        let configuration = site.configuration("");
        for (command, expected) in [("serve", 1), ("doctor", 1)] {
            let mut command = lvsp(&[command, "--config", &configuration]);
            let (status, said) = run(command.env(variable, address.to_string()));
            assert_eq!(status, expected, "{said}");
            assert_says(
                &said,
                &[key, &address.to_string(), &me, "holds the port: stop it, or give"],
            );
        }
    }
}

#[test]
fn too_few_descriptors() {
    let site = Site::good();
    let few = |subcommand: &str| {
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n 300 && exec \"$0\" {subcommand} --config \"$1\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_lvsp-mio"), &site.configuration("")]);
        shell
    };
    let parts = ["the limit of open files, 300, allows 44 connections", "LimitNOFILE=10256"];
    let server = Process::start_as(few("serve"), &[]);
    assert_says(&server.wait_for_log("the limit of open files"), &parts);
    let (status, said) = run(&mut few("doctor"));
    assert_eq!(status, 0, "{said}");
    assert_says(&said, &parts);
}

#[test]
fn an_unreadable_key() {
    let site = Site::good();
    let unreadable = |path: &str, cause: &str| {
        let configuration = site.configuration("");
        for (command, expected) in [("check-config", 3), ("serve", 3), ("doctor", 1)] {
            let mut command = lvsp(&[command, "--config", &configuration]);
            let (status, said) = run(command.env("LVSP_TLS__KEY", path));
            assert_eq!(status, expected, "{said}");
            assert_says(&said, &[&format!("tls.key = {path}"), cause]);
        }
    };
    // Root reads what nobody may, but no directory.
    unreadable(site.directory.path().to_str().unwrap(), "directory");
    unreadable(&site.path("nowhere.pem"), "No such file");
    unreadable(&site.path("secret"), "no private key");
    let other = Authority::new().unwrap().issue(&["localhost".to_owned()], 9).unwrap();
    unreadable(
        &site.directory.write("other.pem", &other.key),
        "does not belong to the certificate",
    );
}

/// As a user that may not read what belongs to root, where this is root.
fn as_somebody(site: &Site, mut arguments: Vec<&str>) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return lvsp(&arguments);
    }
    // Where the binary was built that user may not get to.
    let program = site.path("lvsp-mio");
    fs::copy(env!("CARGO_BIN_EXE_lvsp-mio"), &program).expect("a copy");
    fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("its own");
    let mut command = Command::new(program);
    command.args(arguments.drain(..)).uid(65_534).gid(65_534);
    command
}

#[test]
fn a_key_that_the_user_may_not_read() {
    let site = Site::good();
    let key = site.path("key.pem");
    let configuration = site.configuration("");
    for mode in [0o000, 0o600] {
        // Root's own file, or one that nobody may read, its owner included.
        if mode == 0o600 && !nix::unistd::geteuid().is_root() {
            continue;
        }
        fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
        let group = if nix::unistd::geteuid().is_root() { 65_534 } else { getegid().as_raw() };
        for (command, expected) in [("check-config", 3), ("serve", 3), ("doctor", 1)] {
            let mut command = as_somebody(&site, vec![command, "--config", &configuration]);
            let (status, said) = run(&mut command);
            assert_eq!(status, expected, "{said}");
            assert_says(&said, &[&format!("tls.key = {key}: Permission denied")]);
            assert_says(&said, &[&format!("chgrp {group} {key}"), &format!("chmod g+r {key}")]);
            assert_eq!(said.matches("Permission denied").count(), 1, "said once:\n{said}");
        }
    }
    // What is to be written mends it.
    if nix::unistd::geteuid().is_root() {
        let lines = format!("chgrp 65534 {key} && chmod g+r {key}");
        assert!(Command::new("sh").args(["-c", &lines]).status().unwrap().success());
        let mut command = as_somebody(&site, vec!["check-config", "--config", &configuration]);
        let (status, said) = run(&mut command);
        assert_eq!(status, 0, "{said}");
        // So does it where a folder on the way is closed.
        let folder = site.directory.path();
        let closed = folder.join("closed");
        fs::create_dir(&closed).unwrap();
        fs::rename(&key, closed.join("key.pem")).unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
        let key = closed.join("key.pem");
        let check = || {
            let mut command = as_somebody(&site, vec!["check-config", "--config", &configuration]);
            run(command.env("LVSP_TLS__KEY", &key))
        };
        let (status, said) = check();
        assert_eq!(status, 3, "{said}");
        let lines = said.lines().filter(|line| line.trim().starts_with("ch")).map(str::trim);
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.len(), 4, "{said}");
        let mut shell = Command::new("sh");
        assert!(shell.args(["-c", &lines.join(" && ")]).status().unwrap().success());
        let (status, said) = check();
        assert_eq!(status, 0, "{said}");
    }
}

#[test]
fn several_mistakes_are_told_at_once() {
    let site = Site::good();
    let configuration = site.configuration(
        "media.relays = 0\ncontrol.grace = 90000\ngateway.client_address = \"forwarded\"\n\
         limits.sessions = 0",
    );
    let wanted = [
        "media.relays = 0: at least one",
        ":7: media.relays = 1",
        "control.grace = 90000 is out of range",
        ":8: control.grace = 86400",
        "gateway.client_address is given without",
        "gateway.trusted_proxies = [\"127.0.0.1/32\"]",
        "limits.sessions = 0 is out of range",
        ":10: limits.sessions = 1",
    ];
    for (command, expected) in [("check-config", 3), ("serve", 3), ("doctor", 1)] {
        let (status, said) = run(&mut lvsp(&[command, "--config", &configuration]));
        assert_eq!(status, expected, "{said}");
        assert_says(&said, &wanted);
    }
    // What has the wrong type does not hide what is out of range.
    let configuration = site.configuration("media.relays = \"two\"\ncontrol.grace = 90000");
    let (status, said) = run(&mut lvsp(&["check-config", "--config", &configuration]));
    assert_eq!(status, 3, "{said}");
    assert_says(&said, &["2 faults", "media.relays = \"two\": invalid type", "control.grace"]);
    let nowhere = site.path("nowhere.toml");
    let (status, said) = run(&mut lvsp(&["check-config", "--config", &nowhere]));
    assert_eq!(status, 3, "{said}");
    assert_says(&said, &["cannot read the configuration", "give its path with --config"]);
    assert_says(&said, &[&format!("lvsp-mio print-config > {nowhere}")]);
}

#[test]
fn an_unknown_key() {
    let site = Site::good();
    let configuration = site.configuration("media.relay = 2");
    for command in ["check-config", "serve", "doctor", "ports"] {
        let (status, said) = run(&mut lvsp(&[command, "--config", &configuration]));
        assert_eq!(status, 3, "{command}: {said}");
        let place = format!("{configuration}:7: media.relay: ");
        assert_says(&said, &[&place, "did you mean `relays`?", ":7: media.relays = 2"]);
    }
}

#[test]
fn plain_http_on_the_tls_port_and_tls_on_a_plain_one() {
    let site = Site::good();
    let server = site.serve(&[]);
    let mut stream = TcpStream::connect(server.gateway).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert_says(&answer, &["HTTP/1.1 400 ", "this port speaks TLS"]);
    let line = server.wait_for_log("plain HTTP");
    assert_says(&line, &["to this TLS port", "gateway.listen", "wss://", "tls.off = true"]);
    let (passed, said) = site.probe(&server, "secret", &["--plain"]);
    assert!(!passed);
    assert_says(&said, &["the port may speak TLS: leave --plain out"]);
    drop(server);

    let variables = [("LVSP_CONTROL__SECRET", SECRET), ("LVSP_TLS__OFF", "true")];
    let server = Process::start(&variables);
    let (passed, said) = site.probe(&server, "secret", &[]);
    assert!(!passed);
    assert_says(&said, &["answers, but not in TLS", "tls.off = true (then use --plain)"]);
    let (passed, said) = site.probe(&server, "secret", &["--plain"]);
    assert!(passed, "{said}");
}

#[test]
fn a_probe_with_a_secret_of_its_own_leaves_the_chat_server_alone() {
    let site = Site::good();
    site.directory.write("probe-secret", "a secret of the probe, and of nobody else");
    let clients = format!(
        "[[control.client]]\nname = \"chat\"\nsecret_file = {:?}\n\
         [[control.client]]\nname = \"probe\"\nsecret_file = {:?}\n",
        site.path("secret"),
        site.path("probe-secret"),
    );
    let configuration = site.directory.write("two.toml", &format!("tls.off = true\n{clients}"));
    let server = Process::start_as(lvsp(&["serve", "--config", &configuration]), &[]);
    let mut chat = Chat::connect(server.control, SECRET, None);
    let mut voice = Voice::new(dial(server.gateway), chat.place(10, None));
    voice.join();

    let mut probe = lvsp(&["probe", "--config", &configuration, "--seconds", "0.2"]);
    let (status, said) = run(probe.env("LVSP_CONTROL__LISTEN", server.control.to_string()));
    assert_eq!(status, 0, "{said}");
    // The chat server's connection, its call and its orders are as before.
    let mut other = Voice::new(dial(server.gateway), chat.place(11, None));
    other.join();
    wait_for("a frame", || {
        other.role.send_frame(b"goes on");
        other.carry();
        voice.carry();
        matches!(voice.role.poll_event(), Some(VoiceEvent::Frame(_))).then_some(())
    });
    let lost = server.log().into_iter().filter(|line| line.contains("chat server lost"));
    assert!(lost.count() <= 1, "that of the probe alone");
}
