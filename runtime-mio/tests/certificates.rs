//! A certificate that is renewed while the server runs.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use lvsp_mio::supervision::{ServiceManager, watch_certificates};
use lvsp_mio::{CertificateFiles, Runtime};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use common::process::{Directory, Process, lvsp};
use common::{SECRET, options, wait_for};

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
fn a_certificate_is_served_as_soon_as_its_files_changed_and_settled() {
    let (one, two) = (Certificate::new(), Certificate::new());
    let directory = Directory::new();
    let files = CertificateFiles {
        certificate: directory.write("chain.pem", &one.chain).into(),
        key: directory.write("key.pem", &one.key).into(),
    };
    let runtime = Runtime::bind(options(Some(files.read().unwrap().identity))).unwrap();
    let (gateway, stop) = (runtime.gateway_address(), runtime.stop_handle());
    let watch = watch_certificates(
        files,
        runtime.stop_handle(),
        ServiceManager::none(),
        Duration::from_millis(2),
    );
    let served = thread::spawn(|| runtime.run());
    assert!(shake_hands(gateway, &one.ca).is_some());
    directory.write("chain.pem", &two.chain);
    directory.write("key.pem", &two.key);
    wait_for("the second certificate", || shake_hands(gateway, &two.ca));
    drop(watch);
    stop.stop();
    served.join().unwrap().unwrap();
}

#[test]
fn a_certificate_that_ends_soon_is_warned_of_at_the_start() {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    let key = KeyPair::generate().unwrap();
    let directory = Directory::new();
    let certificate = directory.write("chain.pem", &params.self_signed(&key).unwrap().pem());
    let key = directory.write("key.pem", &key.serialize_pem());
    let variables = [
        ("LVSP_CONTROL__SECRET", SECRET),
        ("LVSP_TLS__CERTIFICATE", &certificate),
        ("LVSP_TLS__KEY", &key),
    ];
    let server = Process::start(&variables);
    let line = server.wait_for_log("expired");
    assert!(line.contains("WARN") && line.contains(&certificate), "{line}");
    let output = lvsp(&["check-config"]).envs(variables).output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("warning: tls.certificate = ") && said.contains("expired"), "{said}");
}
