//! The units in `deploy/` fit the server, and systemd takes them where it can be asked.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lvsp_core::limits::Limits;
use lvsp_mio::Addresses;
use lvsp_mio::config::{File, SecretText};

use common::process::Directory;

const SERVICE: &str = "lvsp-mio.service";
const PROGRAM: &str = "/usr/local/bin/lvsp-mio";

fn unit(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// The names of all units.
fn units() -> Vec<String> {
    let names = fs::read_dir(folder()).unwrap();
    let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".service") || name.ends_with(".socket")).collect()
}

/// Every value of a setting.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

fn number(unit: &str, key: &str) -> u64 {
    values(unit, key)[0].parse().unwrap()
}

#[test]
fn the_socket_units_pass_on_what_the_server_takes() {
    let service = unit(SERVICE);
    let wanted: BTreeSet<_> =
        values(&service, "Sockets")[0].split(' ').map(str::to_owned).collect();
    let sockets = units().into_iter().filter(|name| name.ends_with(".socket"));
    assert_eq!(sockets.collect::<BTreeSet<_>>(), wanted);
    for (plane, key) in
        [("control", "ListenStream"), ("gateway", "ListenStream"), ("media", "ListenDatagram")]
    {
        let socket = unit(&format!("lvsp-mio-{plane}.socket"));
        assert_eq!(values(&socket, "FileDescriptorName"), [plane]);
        assert_eq!(values(&socket, "Service"), [SERVICE]);
        assert_eq!(values(&socket, key).len(), 1, "{plane}");
    }
}

#[test]
fn the_service_leaves_time_for_a_drain_and_descriptors_for_every_session() {
    let service = unit(SERVICE);
    let drain = File::default().drain.seconds;
    assert!(number(&service, "TimeoutStopSec") > drain + 3, "two seconds of goodbyes and one more");
    assert!(number(&service, "LimitNOFILE") >= Limits::default().sessions as u64 + 256);
    assert_eq!(values(&service, "Restart"), ["always"]);
    assert_eq!(number(&service, "RestartSec"), 0);
    // What a restart does not mend: a wrong command line, a configuration that cannot be served.
    assert_eq!(values(&service, "RestartPreventExitStatus"), ["2 3"]);
    assert_eq!(values(&service, "Type"), ["notify"]);
    assert_eq!(values(&service, "DynamicUser"), ["yes"]);
    assert!(number(&service, "WatchdogSec") >= 5, "several seconds for a busy host");
    // The same in a container, whose runtime is not asked for more time.
    let compose = fs::read_to_string(folder().join("compose.yaml")).unwrap();
    let grace = compose.lines().find_map(|line| line.trim().strip_prefix("stop_grace_period: "));
    let grace: u64 = grace.unwrap().trim_end_matches('s').parse().unwrap();
    assert!(grace > drain + 3);
    assert!(values(&service, "ExecStart")[0].starts_with(PROGRAM));
}

#[test]
fn the_service_names_every_credential_that_it_loads_by_a_key_that_exists() {
    let service = unit(SERVICE);
    let environment = values(&service, "Environment");
    let credentials = values(&service, "LoadCredential");
    let secret = Path::new("/run/credentials").join(SERVICE).join("control-secret");
    let file = File::load(Some(&folder().join("lvsp.toml")), std::iter::empty()).unwrap();
    assert_eq!(file.control.secret_file, Some(secret));
    assert_eq!(environment.len() + 1, credentials.len());
    for credential in credentials {
        let (name, _) = credential.split_once(':').unwrap();
        let end = format!("=%d/{name}");
        let is_named = environment.iter().any(|variable| variable.ends_with(&end));
        assert!(is_named || name == "control-secret", "{name}");
    }
    let variables = environment.iter().map(|variable| variable.split_once('=').unwrap());
    File::load(None, variables.map(|(key, value)| (key.into(), value.into()))).unwrap();
}

#[test]
fn the_example_configuration_has_all_that_the_service_does_not_bring() {
    let mut file = File::load(Some(&folder().join("lvsp.toml")), std::iter::empty()).unwrap();
    let listens = |plane: &str, key: &str| {
        values(&unit(&format!("lvsp-mio-{plane}.socket")), key)[0].parse().unwrap()
    };
    file.listen_at(Addresses {
        control: listens("control", "ListenStream"),
        gateway: listens("gateway", "ListenStream"),
        media: listens("media", "ListenDatagram"),
    });
    // The file is where the service manager puts it.
    file.control.secret_file = None;
    file.control.secret = Some(SecretText::new("0123456789abcdef".repeat(2)));
    file.tls.off = true;
    file.check().unwrap();
}

#[test]
fn systemd_takes_the_units_and_finds_the_service_confined() {
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else { return };
    assert!(version.status.success());
    let directory = Directory::new();
    for name in units() {
        // Where it is installed there is nothing here.
        let here = unit(&name).replace(PROGRAM, env!("CARGO_BIN_EXE_lvsp-mio"));
        directory.write(&name, &here);
    }
    let analyze = |arguments: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command.args(arguments).current_dir(directory.path()).env("SYSTEMD_LOG_LEVEL", "warning");
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let mut verify = vec!["verify".to_owned(), "--man=no".to_owned()];
    verify.extend(units().iter().map(|name| format!("./{name}")));
    let (is_good, said) = analyze(&verify.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(is_good, "{said}");
    let ours: Vec<_> = said.lines().filter(|line| line.contains("lvsp-mio")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
    // In tenths, of 100.
    let security = ["security", "--no-pager", "--offline=true", "--threshold=20"];
    let (is_good, said) = analyze(&[&security[..], &["./lvsp-mio.service"]].concat());
    assert!(is_good, "{said}");
}
