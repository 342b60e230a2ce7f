//! What the core's public interface promises to hosts.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use lvsp_core::client::{ChatServer, VoiceClient};
use lvsp_core::command::Command;
use lvsp_core::config::{Config, ConfigError};
use lvsp_core::crypto::auth::WeakSecret;
use lvsp_core::limits::LimitError;
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::media::{Outbox, Relay, TransmitBatch};
use lvsp_core::output::{Event, Output};
use lvsp_core::reasons::Refused;
use lvsp_core::record::{Corrupt, RecordedRelay, RecordedServer, ReplayError};
use lvsp_core::server::Server;
use lvsp_core::transport::{TlsError, TlsIdentity, TlsTrust, Transport};

/// Crates that may change without anybody outside noticing.
const HIDDEN: [&str; 9] = [
    "aes_gcm",
    "chacha20poly1305",
    "hmac",
    "httparse",
    "rustls",
    "sha2",
    "tungstenite",
    "xsalsa20poly1305",
    "zeroize",
];
/// The one exception: a host may bring a TLS configuration of its own.
const EXCEPTION: &str = "impl From<Arc<ServerConfig>> for TlsIdentity {";

#[test]
fn what_a_host_moves_between_threads_can_be_moved() {
    const fn moves<T: Send>() {}
    moves::<(Server, Relay, RecordedServer, RecordedRelay)>();
    moves::<(Config, Command, Output, Event, RelayCommand, RelayEvent)>();
    moves::<(TransmitBatch, Outbox, Transport, TlsIdentity, TlsTrust)>();
    moves::<(ChatServer, VoiceClient)>();
    moves::<(lvsp_tokio::Server, lvsp_tokio::Control, lvsp_tokio::Media, lvsp_tokio::Subscription)>(
    );
    const fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<lvsp_tokio::Handle>();
}

#[test]
fn every_error_can_be_passed_on() {
    const fn is_error<T: Error + Send + Sync + 'static>() {}
    is_error::<ConfigError>();
    is_error::<LimitError>();
    is_error::<Refused>();
    is_error::<TlsError>();
    is_error::<WeakSecret>();
    is_error::<Corrupt>();
    is_error::<ReplayError>();
    is_error::<lvsp_core::crypto::cipher::OpenError>();
    is_error::<lvsp_tokio::BuildError>();
    is_error::<lvsp_tokio::HandleError>();
    is_error::<lvsp_mio::BindError>();
    is_error::<lvsp_core::ids::InvalidId>();
}

/// Or a chain of causes, as `anyhow` and others print it, tells it again.
#[test]
fn no_error_tells_what_its_source_tells() {
    let io = || std::io::Error::other("the cause");
    let corrupt = Corrupt { at: 7, what: "the cause" };
    let errors: [Box<dyn Error>; 5] = [
        Box::new(lvsp_tokio::BuildError::Socket { what: "media", address: None, source: io() }),
        Box::new(lvsp_tokio::BuildError::Record { path: PathBuf::new(), source: io() }),
        Box::new(lvsp_tokio::HandleError::from(Refused::Draining)),
        Box::new(ReplayError::from(corrupt)),
        Box::new(lvsp_mio::InheritError::from(io())),
    ];
    for error in errors {
        let source = error.source().map(ToString::to_string);
        assert!(source.is_none_or(|source| !error.to_string().contains(&source)), "{error}");
    }
}

#[test]
fn no_signature_names_a_type_of_a_hidden_crate_and_no_getter_is_named_get() {
    let mut faults = Vec::new();
    let mut files = 0;
    let mut excepted = 0;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let mut waiting: Vec<PathBuf> = vec![root];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            excepted += text.matches(EXCEPTION).count();
            let found = scan(&text).into_iter();
            faults.extend(found.map(|line| format!("{}: {line}", path.display())));
        }
    }
    assert!(files > 50, "the core was not found");
    assert_eq!(excepted, 1, "the exception is what it was");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_scanner_finds_planted_faults() {
    let of = |line: &str| scan(&format!("use rustls::{{ServerConfig, Error}};\n{line}\n"));
    for fault in [
        "    pub fn config(&self) -> &ServerConfig {",
        "pub struct Tls(pub ServerConfig);",
        "    pub config: Arc<ServerConfig>,",
        "impl From<Error> for TlsError {",
        "pub use rustls::ServerConfig;",
        "    pub fn late(now: tungstenite::Message) {",
        "    pub fn get_config(&self) -> u8 {",
    ] {
        assert_eq!(of(fault), [fault.trim()]);
    }
    for good in [
        "pub struct Tls(ServerConfig);",
        "    pub(super) fn config(&self) -> &ServerConfig {",
        "    config: Arc<ServerConfig>,",
        EXCEPTION,
        "impl fmt::Debug for TlsIdentity {",
        "    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {",
    ] {
        assert_eq!(of(good), [""; 0], "{good}");
    }
}

/// Public lines that name what they should not.
fn scan(text: &str) -> Vec<String> {
    let imported = imports(text);
    let names_hidden = |line: &str| {
        HIDDEN.iter().any(|hidden| line.contains(&format!("{hidden}::")))
            || words(line).any(|word| imported.iter().any(|name| name == word))
    };
    let lines = text.lines().map(str::trim).filter(|line| *line != EXCEPTION);
    let public = lines.filter(|line| {
        let item = line.starts_with("pub ") && !line.starts_with("pub struct");
        let field = line.starts_with("pub struct") && line.contains("(pub ");
        let conversion = line.starts_with("impl") && line.contains(" for ");
        // A trait of a hidden crate on a private or public type is no signature.
        let foreign_trait = conversion && words(line).nth(1).is_some_and(|word| word != "From");
        item || field || (conversion && !foreign_trait)
    });
    let getter = |line: &str| line.contains("fn get_") && !line.contains("fn get_mut(");
    public.filter(|line| names_hidden(line) || getter(line)).map(str::to_owned).collect()
}

/// What a file imports of hidden crates, by its name there.
fn imports(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for statement in text.split(';') {
        let Some(start) = statement.rfind("use ") else { continue };
        let path = &statement[start + 4..];
        if HIDDEN.iter().any(|hidden| path.starts_with(&format!("{hidden}::"))) {
            names.extend(words(path).filter(|word| word.starts_with(char::is_uppercase)));
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}
