//! What a service manager hears of a server: readiness, reloads, stops, and whether it lives.
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use common::process::{Directory, Process};
use common::{SECRET, wait_for};

/// A notify socket, as systemd has one, and what was said to it.
struct Manager {
    directory: Directory,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    fn new() -> Self {
        let directory = Directory::new();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&messages);
        // It ends with the test's process.
        thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length) = socket.recv(&mut buffer) {
                let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
                heard.lock().unwrap().push(message);
            }
        });
        Self { directory, messages }
    }

    /// Starts a server that tells this one.
    fn start(&self, variables: &[(&str, &str)]) -> Process {
        let socket = self.directory.path().join("notify");
        let mut all = vec![
            ("LVSP_CONTROL__SECRET", SECRET),
            ("LVSP_TLS__OFF", "true"),
            ("NOTIFY_SOCKET", socket.to_str().unwrap()),
        ];
        all.extend(variables);
        Process::start(&all)
    }

    fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    /// Where the newest status stands, if it is that this thread stands still.
    fn last_status_names(&self, thread: &str) -> Option<usize> {
        let messages = self.messages();
        let statuses = messages.iter().map(|message| value(message, "STATUS")).enumerate();
        let (at, status) = statuses.filter_map(|(at, status)| Some((at, status?))).next_back()?;
        status.strip_prefix(STALLED)?.split(", ").any(|name| name == thread).then_some(at)
    }

    /// Waits for a message with this line, from the given position on; where it stands.
    fn wait_for(&self, from: usize, line: &str) -> usize {
        wait_for(line, || {
            let messages = self.messages();
            let found = messages
                .iter()
                .skip(from)
                .position(|message| message.lines().any(|said| said.starts_with(line)));
            found.map(|at| at + from)
        })
    }
}

/// What the status says of threads that stand still.
const STALLED: &str = "standing still: ";

/// The value of a variable in a message.
fn value<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn readiness_reloads_and_a_stop_are_told_in_their_order() {
    let manager = Manager::new();
    let mut server = manager.start(&[("LVSP_DRAIN__SECONDS", "3600")]);
    let ready = manager.wait_for(0, "READY=1");
    assert_eq!(ready, 0, "it is the first message: {:?}", manager.messages());
    assert_eq!(value(&manager.messages()[0], "STATUS"), Some("serving"));

    server.signal("HUP");
    let reloading = manager.wait_for(1, "RELOADING=1");
    // What tells this reload from an earlier one: the time since the host booted.
    let messages = manager.messages();
    let at: u64 = value(&messages[reloading], "MONOTONIC_USEC").unwrap().parse().unwrap();
    assert!(at > 0);
    let again = manager.wait_for(reloading + 1, "READY=1");
    let messages = manager.messages();
    assert!(value(&messages[again], "STATUS").unwrap().contains("TLS is off"), "{messages:?}");

    server.signal("TERM");
    let stopping = manager.wait_for(again + 1, "STOPPING=1");
    let message = &manager.messages()[stopping];
    assert_eq!(value(message, "STATUS"), Some("draining: calls go on for 3600 s"));
    let extension: u64 = value(message, "EXTEND_TIMEOUT_USEC").unwrap().parse().unwrap();
    assert!(extension >= 10_000_000, "{message}");

    server.signal("HUP");
    wait_for("the second reload", || {
        let lines = server.log();
        (lines.iter().filter(|line| line.contains("no certificate")).count() == 2).then_some(())
    });
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let later = manager.messages().split_off(stopping);
    assert!(later.iter().all(|message| value(message, "RELOADING").is_none()), "{later:?}");
}

#[test]
fn the_outcome_of_a_reload_is_the_status_that_an_operator_sees() {
    let manager = Manager::new();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = manager.directory.write("chain.pem", &made.cert.pem());
    let key = manager.directory.write("key.pem", &made.signing_key.serialize_pem());
    let server = manager.start(&[
        ("LVSP_TLS__OFF", "false"),
        ("LVSP_TLS__CERTIFICATE", &certificate),
        ("LVSP_TLS__KEY", &key),
    ]);
    let mut said = manager.wait_for(0, "READY=1");
    for (text, expected) in [
        ("no key", format!("the old certificate stays: tls.key = {key}: no private key")),
        (&*made.signing_key.serialize_pem(), "the certificate was loaded".to_owned()),
    ] {
        manager.directory.write("key.pem", text);
        server.signal("HUP");
        let reloading = manager.wait_for(said + 1, "RELOADING=1");
        said = manager.wait_for(reloading + 1, "READY=1");
        let messages = manager.messages();
        let status = value(&messages[said], "STATUS").unwrap();
        assert!(status.contains(&expected), "{status}");
    }
}

#[test]
fn a_drain_keeps_asking_for_time_as_long_as_it_lives() {
    let manager = Manager::new();
    let mut server = manager.start(&[("LVSP_DRAIN__SECONDS", "3600"), ("WATCHDOG_USEC", "200000")]);
    manager.wait_for(0, "WATCHDOG=1");
    server.signal("TERM");
    let mut at = manager.wait_for(0, "STOPPING=1");
    for _ in 0..3 {
        at = manager.wait_for(at + 1, "EXTEND_TIMEOUT_USEC=");
    }
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn nobody_who_did_not_ask_for_beats_is_told_of_them() {
    let manager = Manager::new();
    let mut server = manager.start(&[("LVSP_DRAIN__SECONDS", "0")]);
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(manager.messages().iter().all(|said| value(said, "WATCHDOG").is_none()));
}

/// The threads of a process, by name.
fn thread(process: u32, name: &str) -> Pid {
    let mut threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let found = threads.find_map(|task| {
        let task = task.unwrap();
        let its_name = fs::read_to_string(task.path().join("comm")).unwrap();
        (its_name.trim() == name).then(|| task.file_name().to_str().unwrap().parse().unwrap())
    });
    Pid::from_raw(found.unwrap_or_else(|| panic!("no thread {name}")))
}

#[test]
fn the_watchdog_starves_while_any_thread_stands_still() {
    let manager = Manager::new();
    let server = manager.start(&[
        ("WATCHDOG_USEC", "400000"),
        ("LVSP_MEDIA__RELAYS", "2"),
        ("RUST_LOG", "debug"),
    ]);
    manager.wait_for(0, "WATCHDOG=1");
    // The control thread is the process's first one.
    for (name, comm) in [("control", "lvsp-mio"), ("media-0", "media-0"), ("media-1", "media-1")] {
        let thread = thread(server.id(), comm);
        ptrace::seize(thread, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(thread).unwrap();
        waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
        let noticed = wait_for("that to be noticed", || manager.last_status_names(name));
        let from = server.log().len();
        wait_for("five missed beats", || {
            let lines = server.log().split_off(from);
            (lines.iter().filter(|line| line.contains("no beat")).count() >= 5).then_some(())
        });
        ptrace::detach(thread, None).unwrap();
        let again = manager.wait_for(noticed, "STATUS=every thread makes progress again");
        manager.wait_for(again, "WATCHDOG=1");
    }
    let mut is_stalled = false;
    for message in manager.messages() {
        match value(&message, "STATUS") {
            Some(status) if status.starts_with(STALLED) => is_stalled = true,
            Some(_) => is_stalled = false,
            None => {}
        }
        assert!(!(is_stalled && message.contains("WATCHDOG=1")), "{:?}", manager.messages());
    }
}
