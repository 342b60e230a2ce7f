//! What an operator's signals do to a running server.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use lvsp_mio::Runtime;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use common::process::{Directory, Process};
use common::{Chat, SECRET, options, wait_for};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A certificate for `localhost`, its key and the CA that signed it, as PEM.
struct Certificate {
    chain: String,
    key: String,
    ca: String,
}

impl Certificate {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let chain = leaf.signed_by(&key, &Issuer::new(params, ca_key)).unwrap().pem();
        Self { chain, key: key.serialize_pem(), ca }
    }
}

type Tls = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// A connection whose handshake is done, if the server's certificate is of this CA.
fn shake_hands(address: SocketAddr, ca: &str) -> Option<Tls> {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut session = common::tls_session(ca);
    session.complete_io(&mut stream).ok()?;
    Some(rustls::StreamOwned::new(session, stream))
}

/// What the server answers to a request that is none of a voice client.
fn exchange(mut stream: impl Read + Write) -> String {
    stream.write_all(REQUEST).unwrap();
    let mut answer = Vec::new();
    // However the connection ends behind the answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn sighup_serves_a_new_certificate_and_a_broken_one_changes_nothing() {
    let (one, two) = (Certificate::new(), Certificate::new());
    let directory = Directory::new();
    let certificate = directory.write("chain.pem", &one.chain);
    let key = directory.write("key.pem", &one.key);
    let server = Process::start(&[
        ("LVSP_CONTROL__SECRET", SECRET),
        ("LVSP_TLS__CERTIFICATE", &certificate),
        ("LVSP_TLS__KEY", &key),
    ]);
    let old = shake_hands(server.gateway, &one.ca).expect("the first certificate is served");

    directory.write("chain.pem", &two.chain);
    directory.write("key.pem", &two.key);
    server.signal("HUP");
    server.wait_for_log("certificate reloaded");
    wait_for("the second certificate", || shake_hands(server.gateway, &two.ca));
    assert!(shake_hands(server.gateway, &one.ca).is_none(), "the first one is served no more");
    assert!(exchange(old).starts_with("HTTP/1.1 426 "), "a connection outlives its certificate");

    // The key does not fit, as when only one of the files was replaced.
    directory.write("key.pem", &one.key);
    server.signal("HUP");
    let line = server.wait_for_log("the old certificate stays");
    assert!(line.contains("ERROR") && line.contains("chain.pem"), "{line}");
    let new = shake_hands(server.gateway, &two.ca).expect("the second one is still served");
    assert!(exchange(new).starts_with("HTTP/1.1 426 "));
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
    let answer = exchange(TcpStream::connect(server.gateway).unwrap());
    assert!(answer.starts_with("HTTP/1.1 426 "), "it serves while it drains: {answer}");
    assert!(server.is_running());
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_ports_are_free_before_the_last_connection_is_gone() {
    let runtime = Runtime::bind(options(None)).unwrap();
    let (control, gateway) = (runtime.control_address(), runtime.gateway_address());
    let stop = runtime.stop_handle();
    let served = thread::spawn(|| runtime.run());
    // It does not read the goodbye, which it is given seven seconds for.
    let _chat = Chat::connect(control, SECRET, None);
    stop.drain();
    for address in [control, gateway] {
        wait_for("a port", || TcpListener::bind(address).ok());
    }
    assert!(!served.is_finished(), "the last connection is not gone yet");
    stop.stop();
    served.join().unwrap().unwrap();
}

#[test]
fn a_server_without_descriptors_turns_newcomers_away_and_lives_on() {
    let mut shell = std::process::Command::new("sh");
    let server = env!("CARGO_BIN_EXE_lvsp-mio");
    shell.args(["-c", "ulimit -n 24 && exec \"$0\" serve", server]);
    let variables = [("LVSP_CONTROL__SECRET", SECRET), ("LVSP_TLS__OFF", "true")];
    let mut server = Process::start_as(shell, &variables);
    // Some are taken, some are turned away, and the rest wait for the next round.
    let crowd: Vec<_> = (0..40).map(|_| TcpStream::connect(server.gateway).unwrap()).collect();
    for stranger in &crowd {
        stranger.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    }
    wait_for("one to be turned away", || {
        crowd.iter().any(|mut stranger| matches!(stranger.read(&mut [0]), Ok(0))).then_some(())
    });
    server.wait_for_log("cannot accept connections");
    drop(crowd);
    let answer = wait_for("room", || {
        let mut stream = TcpStream::connect(server.gateway).ok()?;
        stream.write_all(REQUEST).ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok().map(|()| answer)
    });
    assert_eq!(&answer, b"HTTP/1.1 426");
    assert!(server.is_running());
}
