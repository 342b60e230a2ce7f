//! Where a server is, and how to be let in. Every error names the option to change.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use lvsp_core::transport::TlsTrust;
use lvsp_core::wire::secret::Secret;

use crate::entry::{resolve, secret, trust};

/// What an operator says about a server.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `control.listen` of the server, as `host:port`.
    pub control: String,
    /// The name that the certificate of the control listener has to be for, if not that host.
    pub name: Option<String>,
    /// The control secret, or...
    pub secret: Option<String>,
    /// ... a file that holds it.
    pub secret_file: Option<PathBuf>,
    /// The authority that signed the server's certificate, as PEM; `None` for a server without TLS.
    pub ca: Option<PathBuf>,
}

/// How to connect.
#[derive(Debug)]
pub struct Door {
    /// The control listener.
    pub(super) control: SocketAddr,
    /// Its name, which the certificate has to be for.
    pub(super) host: String,
    pub(super) secret: Secret,
    pub(super) trust: Option<TlsTrust>,
}

impl Door {
    /// Resolves and reads what an entry names.
    ///
    /// # Errors
    /// What cannot be resolved or read, by the option's name.
    pub fn find(entry: &Entry) -> Result<Self> {
        let (host, control) = resolve(&entry.control)
            .with_context(|| format!("--control {}: not a server's host:port", entry.control))?;
        let secret = secret(entry.secret.clone(), entry.secret_file.as_deref())?;
        let trust = entry.ca.as_deref().map(trust).transpose()?;
        Ok(Self { control, host: entry.name.clone().unwrap_or(host), secret, trust })
    }

    /// What to trust, and the name of a server at `host`.
    pub(super) fn tls<'a>(&'a self, host: &'a str) -> Option<(&'a TlsTrust, &'a str)> {
        self.trust.as_ref().map(|trust| (trust, host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let secret = Some("x".repeat(32));
        let control = "127.0.0.1:6000".to_owned();
        Entry { control, name: None, secret, secret_file: None, ca: None }
    }

    #[test]
    fn a_door_is_found_by_address() {
        let door = Door::find(&entry()).unwrap();
        assert_eq!((door.control.port(), door.host.as_str()), (6_000, "127.0.0.1"));
        assert!(door.tls("a").is_none());
        let door = Door::find(&Entry { control: "[::1]:7".to_owned(), ..entry() }).unwrap();
        assert_eq!(door.host, "::1");
        let name = Some("voice.test".to_owned());
        assert_eq!(Door::find(&Entry { name, ..entry() }).unwrap().host, "voice.test");
    }

    #[test]
    fn whatever_is_wrong_is_named_by_its_option() {
        let words = |entry: Entry| format!("{:#}", Door::find(&entry).unwrap_err());
        let control = |text: &str| Entry { control: text.to_owned(), ..entry() };
        assert!(words(control("6000")).starts_with("--control 6000: "));
        assert!(words(control("127.0.0.1:port")).starts_with("--control 127.0.0.1:port: "));
        assert!(words(Entry { secret: None, ..entry() }).contains("LVSP_CONTROL__SECRET"));
        assert!(words(Entry { secret: Some(String::new()), ..entry() }).contains("is empty"));
        let missing = Some(PathBuf::from("/nowhere/x"));
        let both = Entry { secret_file: missing.clone(), ..entry() };
        assert!(words(both).contains("not both"));
        let file = Entry { secret: None, secret_file: missing.clone(), ..entry() };
        assert!(words(file).starts_with("--secret-file /nowhere/x: "));
        assert!(words(Entry { ca: missing, ..entry() }).starts_with("--ca /nowhere/x: "));
    }
}
