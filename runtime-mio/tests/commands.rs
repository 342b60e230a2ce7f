//! The subcommands that answer and end.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::process::{Directory, Process, lvsp};
use common::{SECRET, tls_session};

/// Runs to the end; the exit status, standard output and standard error.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = lvsp(arguments).output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn certificates_are_made_renewed_and_never_overwritten_by_accident() {
    let directory = Directory::new();
    let folder = directory.path().join("certificates");
    let folder = folder.to_str().unwrap();
    let path = |name: &str| format!("{folder}/{name}");
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    let make = ["gen-cert", "--name", "localhost", "--ip", "127.0.0.1", "--out", folder];
    let (status, said, errors) = run(&make);
    assert_eq!(status, 0, "{errors}");
    for part in ["chain.pem: ", "tls.certificate", "tls.key", "has to trust it", "365 days"] {
        assert!(said.contains(part), "{part} is missing in:\n{said}");
    }
    assert_eq!([mode(&path("key.pem")), mode(&path("ca-key.pem"))], [0o600, 0o600]);
    assert_eq!([mode(&path("chain.pem")), mode(&path("ca.pem"))], [0o644, 0o644]);
    let (ca, chain) = (read("ca.pem"), read("chain.pem"));

    let (status, _, errors) = run(&make);
    assert_eq!(status, 1);
    assert!(
        errors.contains("chain.pem is there already") && errors.contains("--force"),
        "{errors}"
    );
    assert_eq!(read("chain.pem"), chain);

    let (status, _, errors) = run(&[&make[..], &["--force", "--days", "9"]].concat());
    assert_eq!(status, 0, "{errors}");
    assert_eq!(read("ca.pem"), ca, "who trusts the authority trusts the new certificate");
    assert_ne!(read("chain.pem"), chain);

    // What was made is served, and trusted by who trusts the authority.
    let (chain, key) = (path("chain.pem"), path("key.pem"));
    let variables = [
        ("LVSP_CONTROL__SECRET", SECRET),
        ("LVSP_TLS__CERTIFICATE", chain.as_str()),
        ("LVSP_TLS__KEY", &key),
    ];
    let server = Process::start(&variables);
    server.wait_for_log("expires in 8 days");
    let mut socket = std::net::TcpStream::connect(server.gateway).unwrap();
    tls_session(&ca).complete_io(&mut socket).expect("a handshake");

    fs::remove_file(path("ca-key.pem")).unwrap();
    let (status, _, errors) = run(&[&make[..], &["--force"]].concat());
    assert_eq!(status, 1);
    assert!(errors.contains("ca.pem is there without its counterpart"), "{errors}");
    let (status, _, errors) = run(&["gen-cert", "--name", "https://a.test", "--out", &path("x")]);
    assert_eq!(status, 2);
    assert!(errors.contains("a name of a host alone"), "{errors}");
}

#[test]
fn ports_are_those_of_the_configuration() {
    let directory = Directory::new();
    let text =
        "gateway.listen = \"0.0.0.0:443\"\nmedia.listen = \"0.0.0.0:50000\"\nmedia.relays = 2\n";
    let path = directory.write("lvsp.toml", text);
    let (status, said, _) = run(&["ports", "--config", &path, "--format", "ufw"]);
    assert_eq!(status, 0);
    assert!(
        said.ends_with(
            "ufw allow 443/tcp\n# UDP 50000-50001: open from everywhere, for media of voice \
             clients: media.listen = 0.0.0.0:50000\nufw allow 50000:50001/udp\n"
        ),
        "{said}"
    );
}

#[test]
fn the_command_line_documents_itself() {
    let (status, page, _) = run(&["man"]);
    assert!(status == 0 && page.contains(".TH lvsp-mio 1"), "{page}");
    let directory = Directory::new();
    let folder = directory.path().join("man").to_str().unwrap().to_owned();
    let (status, _, errors) = run(&["man", "--out", &folder]);
    assert_eq!(status, 0, "{errors}");
    let (_, help, _) = run(&["--help"]);
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names: Vec<_> =
        commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for name in ["serve", "doctor", "probe", "ports", "gen-cert", "check-config", "man"] {
        assert!(names.contains(&name), "{name} is missing in:\n{help}");
        let page = fs::read_to_string(format!("{folder}/lvsp-mio-{name}.1")).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    for status in ["0 for success", "1 when", "2 for", "3 for"] {
        assert!(help.contains(status), "{status} is missing in:\n{help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (status, script, _) = run(&["completions", shell]);
        assert!(status == 0 && script.contains("gen-cert"), "{shell}");
    }
    let path = directory.write("completions", &run(&["completions", "bash"]).1);
    let bash = "source \"$0\" && complete -p lvsp-mio";
    let output = Command::new("bash").args(["-c", bash, &path]).output().expect("bash runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_doctor_and_probe_find_can_be_read_by_programs() {
    let variables = [("LVSP_CONTROL__SECRET", SECRET), ("LVSP_TLS__OFF", "true")];
    let output = lvsp(&["doctor", "--json"]).envs(variables).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = found["findings"].as_array().unwrap();
    let proxy = findings.iter().find(|finding| finding["about"] == "gateway.trusted_proxies");
    assert_eq!(proxy.unwrap()["severity"], "warning");
    assert!(proxy.unwrap()["remedy"].as_str().unwrap().contains("media.foreign_udp"));

    let server = Process::start(&variables);
    let control = server.control.to_string();
    let probe = ["probe", "--control", &control, "--plain", "--seconds", "0.2", "--json"];
    let output = lvsp(&probe).env("LVSP_CONTROL__SECRET", SECRET).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["passed"], true, "{found}");
    assert_eq!(
        (found["talk"][0]["sent"].as_u64(), found["talk"][1]["lost"].as_u64()),
        (Some(10), Some(0))
    );
    // Nothing of the probe is left, so that the next one finds what this one found.
    server.wait_for_log("channel_destroyed");
    let output = lvsp(&probe).env("LVSP_CONTROL__SECRET", SECRET).output().unwrap();
    assert!(output.status.success());
}

#[test]
fn every_subcommand_has_examples_that_it_takes() {
    let (_, help, _) = run(&["--help"]);
    let commands = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names = commands.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| *name != "help") {
        let (_, help, _) = run(&[name, "--help"]);
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{name}: {help}"));
        for example in examples.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let command = example.split(" > ").next().unwrap();
            let words: Vec<_> = command.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "lvsp-mio").expect("a call of this");
            assert_eq!(words[at + 1], name, "{example}");
            // Asked for help at the end, it looks at what came before and does nothing.
            let (status, _, errors) = run(&[&words[at + 1..], &["--help"]].concat());
            assert_eq!(status, 0, "{example}: {errors}");
        }
    }
}
