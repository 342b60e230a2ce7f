use rustls::server::ServerSessionMemoryCache;
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, SupportedProtocolVersion};

use super::*;
use crate::transport::TlsFailure;

#[derive(Debug)]
struct NoTime;

impl TimeProvider for NoTime {
    fn current_time(&self) -> Option<UnixTime> {
        panic!("the server asked for the time")
    }
}

fn material() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["voice.test".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// The client says "hello", and both sides run until neither sends anything; gives what the server
/// decrypted.
fn converse(client: &mut TlsSession, server: &mut TlsSession) -> Result<Vec<u8>, TlsStep> {
    let (mut received, mut ignored) = (Vec::new(), Vec::new());
    let (mut up, mut down) = (Vec::new(), Vec::new());
    client.seal(b"hello", &mut up);
    while !up.is_empty() || !down.is_empty() {
        let (sent, answered) = (std::mem::take(&mut up), std::mem::take(&mut down));
        let mut input = &sent[..];
        while !input.is_empty() {
            match server.feed(&mut input, &mut received, &mut down) {
                TlsStep::Progress => {}
                step @ (TlsStep::PeerClosed | TlsStep::Failed) => return Err(step),
            }
        }
        let mut input = &answered[..];
        while !input.is_empty() {
            match client.feed(&mut input, &mut ignored, &mut up) {
                TlsStep::Progress => {}
                step @ (TlsStep::PeerClosed | TlsStep::Failed) => return Err(step),
            }
        }
    }
    Ok(received)
}

/// A client that is willing to resume, unlike [`TlsTrust::from_pem`].
fn resuming_client(chain: &str, version: &'static SupportedProtocolVersion) -> TlsTrust {
    let mut trusted = RootCertStore::empty();
    trusted.add(certificates(chain.as_bytes()).unwrap().remove(0)).unwrap();
    let config = ClientConfig::builder_with_details(
        Arc::new(rustls::crypto::ring::default_provider()),
        Arc::new(FixedTime(1_700_000_000)),
    )
    .with_protocol_versions(&[version])
    .unwrap()
    .with_root_certificates(trusted)
    .with_no_client_auth();
    TlsTrust(Arc::new(config))
}

fn connect(trust: &TlsTrust, identity: &TlsIdentity) -> HandshakeKind {
    let mut server = TlsSession::accept(identity).unwrap();
    let mut client = TlsSession::connect(trust, "voice.test").unwrap();
    assert_eq!(converse(&mut client, &mut server).unwrap(), b"hello");
    assert!(!server.is_handshaking() && !client.is_handshaking());
    server.handshake_kind().unwrap()
}

#[test]
fn a_full_handshake_never_asks_the_server_for_the_time() {
    let (chain, key) = material();
    for version in [&TLS13, &TLS12] {
        let config = server_config(chain.as_bytes(), key.as_bytes(), Arc::new(NoTime));
        let identity = TlsIdentity::from(Arc::new(config.unwrap()));
        let trust = resuming_client(&chain, version);
        for _ in 0..2 {
            assert_eq!(connect(&trust, &identity), HandshakeKind::Full);
        }
    }
}

#[test]
fn an_offer_to_resume_leads_to_a_full_handshake() {
    let (chain, key) = material();
    for version in [&TLS13, &TLS12] {
        let trust = resuming_client(&chain, version);
        let time = Arc::new(FixedTime(1_700_000_000));
        let mut other = server_config(chain.as_bytes(), key.as_bytes(), time).unwrap();
        other.session_storage = ServerSessionMemoryCache::new(8);
        other.send_tls13_tickets = 2;
        let other = TlsIdentity::from(Arc::new(other));
        assert_eq!(connect(&trust, &other), HandshakeKind::Full);
        assert_eq!(connect(&trust, &other), HandshakeKind::Resumed);
        let ours = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(connect(&trust, &ours), HandshakeKind::Full);
    }
}

#[test]
fn an_untrusted_or_outdated_certificate_fails_the_client() {
    let ((chain, key), (other, _)) = (material(), material());
    let identity = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    for (ca, time) in [(&other, 1_700_000_000), (&chain, 1)] {
        let trust = TlsTrust::from_pem(ca.as_bytes(), time).unwrap();
        let mut server = TlsSession::accept(&identity).unwrap();
        let mut client = TlsSession::connect(&trust, "voice.test").unwrap();
        assert_eq!(converse(&mut client, &mut server), Err(TlsStep::Failed));
    }
}

#[test]
fn a_client_tells_what_is_wrong_with_a_certificate() {
    let ((chain, key), (other, _)) = (material(), material());
    let identity = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
    // rcgen's certificates are valid from 1975 to 4096.
    let (now, late) = (1_700_000_000, 80_000_000_000);
    for (ca, time, name, failure) in [
        (&other, now, "voice.test", TlsFailure::UnknownAuthority),
        (&chain, 1, "voice.test", TlsFailure::NotYetValid),
        (&chain, late, "voice.test", TlsFailure::Expired),
        (&chain, now, "other.test", TlsFailure::OtherName),
    ] {
        let trust = TlsTrust::from_pem(ca.as_bytes(), time).unwrap();
        let mut server = TlsSession::accept(&identity).unwrap();
        let mut client = TlsSession::connect(&trust, name).unwrap();
        assert_eq!(client.take_failure(), None);
        assert_eq!(converse(&mut client, &mut server), Err(TlsStep::Failed));
        assert_eq!(client.take_failure().as_deref(), Some(&failure));
        assert_eq!(server.take_failure(), None, "servers keep nothing of it");
    }
    let trust = TlsTrust::from_pem(chain.as_bytes(), now).unwrap();
    let mut client = TlsSession::connect(&trust, "voice.test").unwrap();
    let answer = &mut &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..];
    assert_eq!(client.feed(answer, &mut Vec::new(), &mut Vec::new()), TlsStep::Failed);
    assert_eq!(client.take_failure().as_deref(), Some(&TlsFailure::NotTls));
}

#[test]
fn what_a_system_trusts_is_taken_as_far_as_it_can_be_read() {
    let (chain, _) = material();
    let der = certificates(chain.as_bytes()).unwrap().remove(0);
    assert!(TlsTrust::from_der([&b"nonsense"[..], &der], 0).is_ok());
    assert_eq!(TlsTrust::from_der([&b"x"[..]], 0).unwrap_err(), TlsError::NoCertificate);
}

#[test]
fn a_key_of_another_certificate_is_named_as_such() {
    let ((chain, _), (_, key)) = (material(), material());
    let error = TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert_eq!(error, TlsError::KeyMismatch);
    assert_eq!(error.to_string(), "the private key does not belong to the certificate");
}

#[test]
fn missing_material_is_named() {
    let (chain, key) = material();
    let from = |chain: &str, key: &str| {
        TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err()
    };
    assert_eq!(from("", &key), TlsError::NoCertificate);
    assert_eq!(from(&chain, ""), TlsError::NoKey);
    assert!(matches!(from("-----BEGIN CERTIFICATE-----\n*", &key), TlsError::Pem(_)));
    assert!(matches!(from(&chain, "-----BEGIN PRIVATE KEY-----\n*"), TlsError::KeyPem(_)));
    assert_eq!(TlsTrust::from_pem(b"", 0).unwrap_err(), TlsError::NoCertificate);
}

#[test]
fn damaged_material_is_told_apart_by_whose_it_is() {
    let (chain, key) = material();
    // PEM around what is neither a certificate nor a key.
    let damaged = |label| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let from = |chain: &str, key: &str| {
        TlsIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err()
    };
    let certificate = from(&damaged("CERTIFICATE"), &key);
    assert!(matches!(certificate, TlsError::Unusable(_)) && !certificate.is_of_key());
    let key = from(&chain, &damaged("PRIVATE KEY"));
    assert!(matches!(key, TlsError::UnusableKey(_)) && key.is_of_key());
}
