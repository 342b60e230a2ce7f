//! One process ends and the next takes its place, without a call lost.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use lvsp_core::client::VoiceEvent;
use lvsp_mio::Runtime;

use common::process::Process;
use common::{Chat, SECRET, Voice, dial, look, options, wait_for};

/// The code that ends a client's connection.
fn goodbye(voice: &mut Voice<TcpStream>) -> Option<u16> {
    voice.wait("the goodbye", |event| {
        let VoiceEvent::Closed { code } = event else { return None };
        Some(code)
    })
}

#[test]
fn the_next_process_takes_the_ports_and_clients_find_back_by_themselves() {
    let plain =
        [("LVSP_CONTROL__SECRET", SECRET), ("LVSP_TLS__OFF", "true"), ("LVSP_DRAIN__SECONDS", "0")];
    let mut first = Process::start(&plain);
    let mut chat = Chat::connect(first.control, SECRET, None);
    let ticket = chat.place(10, None);
    let mut voice = Voice::new(dial(first.gateway), ticket.clone());
    voice.join();
    first.signal("TERM");
    assert_eq!(goodbye(&mut voice), Some(4015), "resume");
    drop(chat);
    assert_eq!(first.wait().code(), Some(0));

    let addresses = [first.control, first.gateway, first.media].map(|address| address.to_string());
    let keys = ["LVSP_CONTROL__LISTEN", "LVSP_GATEWAY__LISTEN", "LVSP_MEDIA__LISTEN"];
    let mut variables = plain.to_vec();
    variables.extend(keys.into_iter().zip(addresses.iter().map(String::as_str)));
    let second = Process::start(&variables);

    // It knows nothing of the session, and says so without waiting for a chat server.
    voice.reconnect(dial(second.gateway));
    assert_eq!(goodbye(&mut voice), Some(4006), "identify anew");
    let mut chat = Chat::connect(second.control, SECRET, None);
    let same = chat.restate(&ticket);
    assert_eq!(same.session_id.expose(), ticket.session_id.expose());
    Voice::new(dial(second.gateway), ticket).join();
}

#[test]
fn a_draining_server_is_not_ready_and_serves_all_the_same() {
    let mut options = options(None);
    options.drain = Duration::from_secs(3_600);
    let runtime = Runtime::bind(options).unwrap();
    let (control, gateway) = (runtime.control_address(), runtime.gateway_address());
    let (stop, watch) = (runtime.stop_handle(), runtime.watch());
    assert!(!watch.is_ready(), "nobody is served yet");
    let served = thread::spawn(|| runtime.run());
    wait_for("readiness", || watch.is_ready().then_some(()));
    let mut chat = Chat::connect(control, SECRET, None);
    let ticket = chat.place(10, None);
    stop.drain();
    wait_for("the drain", || (!watch.is_ready()).then_some(()));
    Voice::new(dial(gateway), ticket).join();
    stop.stop();
    served.join().unwrap().unwrap();
    assert!(!watch.is_ready());
}

#[test]
fn the_ports_are_free_before_the_last_connection_is_gone() {
    // A machine that stands still for three seconds lets a drain end unseen: then once more.
    let is_seen = (0..5).any(|_| {
        let runtime = Runtime::bind(options(None)).unwrap();
        let (control, gateway) = (runtime.control_address(), runtime.gateway_address());
        let (stop, watch) = (runtime.stop_handle(), runtime.watch());
        let served = thread::spawn(|| runtime.run());
        // It does not read the goodbye.
        let _chat = Chat::connect(control, SECRET, None);
        stop.drain();
        for address in [control, gateway] {
            wait_for("a port", || TcpListener::bind(address).ok());
        }
        let turns = watch.turns();
        // Asking once more wakes it, and does nothing else.
        stop.drain();
        let is_alive = wait_for("a turn or the end", || match watch.turns() > turns {
            true => Some(true),
            false => served.is_finished().then_some(false),
        });
        stop.stop();
        served.join().unwrap().unwrap();
        is_alive
    });
    assert!(is_seen, "the ports were free only when the server had ended");
}

#[test]
fn a_second_sigterm_stops_at_once() {
    let mut server = Process::start(&[
        ("LVSP_CONTROL__SECRET", SECRET),
        ("LVSP_TLS__OFF", "true"),
        ("LVSP_DRAIN__SECONDS", "3600"),
    ]);
    server.signal("TERM");
    server.wait_for_log("draining");
    let mut stream = dial(server.gateway);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let answer = wait_for("an answer", || look(&mut stream));
    assert!(answer.starts_with(b"HTTP/1.1 426 "), "it serves while it drains");
    assert!(server.is_running());
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}
