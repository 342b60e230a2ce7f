//! The units in `deploy/` fit the server. What systemd says of them is for `scripts/units.sh`.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lvsp_core::limits::Limits;
use lvsp_mio::Addresses;
use lvsp_mio::config::{File, SecretText};

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
