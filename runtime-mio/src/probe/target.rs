//! Which server, and how to be let in. Every error names the option to change.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use lvsp_core::transport::TlsTrust;
use lvsp_core::wire::secret::Secret;

use crate::config::File;
use crate::entry;

/// The name of the chat server in a configuration whose secret a probe may use.
const CLIENT: &str = "probe";

/// Whom to trust.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Nobody: the server speaks without TLS.
    Plain,
    /// Whom this host trusts.
    System,
    /// The authorities in a PEM file.
    Authorities(PathBuf),
}

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
    /// For the control connection.
    pub control_trust: Trust,
    /// For the connections of voice clients.
    pub gateway_trust: Trust,
    /// Where voice clients connect, in place of what the server tells the chat server.
    pub endpoint: Option<String>,
}

impl Entry {
    /// What follows from the server's own configuration. `alone` lets the probe take the secret of a
    /// chat server, which is then not to be connected.
    ///
    /// # Errors
    /// When no secret may be used: what to add to the configuration.
    pub fn of(file: &File, trust: Trust, alone: bool) -> Result<Self> {
        let control = &file.control;
        let own = control.clients.iter().find(|client| client.name == CLIENT);
        let any = control.clients.first().filter(|_| alone);
        let (secret, secret_file) = match own.or(any) {
            Some(client) => (client.secret.as_ref(), &client.secret_file),
            None if alone => (control.secret.as_ref(), &control.secret_file),
            None => bail!(
                "the configuration has no [[control.client]] with name = \"{CLIENT}\", and with \
                 the secret of another the probe would take the place of the chat server: add one \
                 with a secret of its own, or say --alone when no chat server is connected"
            ),
        };
        let mut listen = control.listen;
        if listen.ip().is_unspecified() {
            listen.set_ip(match listen {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let endpoint = file.gateway.endpoint.as_deref();
        // Behind a proxy the gateway has TLS all the same, as its clients see it.
        let is_plain = file.tls.off;
        let (control_trust, gateway_trust) = match is_plain {
            true if endpoint.is_none() => (Trust::Plain, Trust::Plain),
            true => (Trust::Plain, trust),
            false => (trust.clone(), trust),
        };
        Ok(Self {
            control: listen.to_string(),
            // The certificate is for the name that clients dial.
            name: endpoint.and_then(|endpoint| Some(endpoint.rsplit_once(':')?.0.to_owned())),
            secret: secret.map(|secret| secret.expose().to_owned()),
            secret_file: secret_file.clone(),
            control_trust,
            gateway_trust,
            endpoint: None,
        })
    }
}

/// A server that can be connected to.
#[derive(Debug)]
pub struct Target {
    pub(super) control: SocketAddr,
    pub(super) name: String,
    pub(super) secret: Secret,
    pub(super) control_trust: Option<TlsTrust>,
    pub(super) gateway_trust: Option<TlsTrust>,
    pub(super) endpoint: Option<String>,
}

impl Target {
    /// Resolves and reads what an entry names.
    ///
    /// # Errors
    /// What cannot be resolved or read, by the option's name.
    pub fn find(entry: &Entry) -> Result<Self> {
        let (host, control) = entry::resolve(&entry.control)
            .with_context(|| format!("--control {}: not a server's host:port", entry.control))?;
        Ok(Self {
            control,
            name: entry.name.clone().unwrap_or(host),
            secret: entry::secret(entry.secret.clone(), entry.secret_file.as_deref())?,
            control_trust: trust(&entry.control_trust)?,
            gateway_trust: trust(&entry.gateway_trust)?,
            endpoint: entry.endpoint.clone(),
        })
    }
}

fn trust(trust: &Trust) -> Result<Option<TlsTrust>> {
    Ok(match trust {
        Trust::Plain => None,
        Trust::Authorities(path) => Some(entry::trust(path)?),
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            let authorities = found.certs.iter().map(AsRef::as_ref);
            Some(TlsTrust::from_der(authorities, entry::today()?).context(
                "this host keeps no authorities that it trusts (Debian: the package \
                 ca-certificates): name one with --ca",
            )?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClientSection, SecretText};

    fn client(name: &str) -> ClientSection {
        let table = format!("name = \"{name}\"\nsecret = \"secret of {name}\"");
        toml::from_str(&table).unwrap()
    }

    #[test]
    fn a_secret_of_its_own_is_taken_and_that_of_a_chat_server_only_when_it_is_alone() {
        let mut file = File::default();
        file.control.secret = Some(SecretText::new("the only one".to_owned()));
        let secret = |file: &File, alone| {
            Entry::of(file, Trust::System, alone).map(|entry| entry.secret.unwrap())
        };
        let error = secret(&file, false).unwrap_err().to_string();
        assert!(error.contains("[[control.client]] with name = \"probe\""), "{error}");
        assert_eq!(secret(&file, true).unwrap(), "the only one");
        file.control.secret = None;
        file.control.clients = vec![client("chat"), client("probe")];
        assert_eq!(secret(&file, false).unwrap(), "secret of probe");
    }

    #[test]
    fn a_configuration_tells_where_to_connect_and_with_what_name() {
        let mut file = File::default();
        file.control.listen = "0.0.0.0:6000".parse().unwrap();
        file.gateway.endpoint = Some("voice.test:443".to_owned());
        let entry = Entry::of(&file, Trust::System, true).unwrap();
        assert_eq!(
            (entry.control.as_str(), entry.name.as_deref()),
            ("127.0.0.1:6000", Some("voice.test"))
        );
        assert_eq!((entry.control_trust, entry.gateway_trust), (Trust::System, Trust::System));
        file.tls.off = true;
        let entry = Entry::of(&file, Trust::System, true).unwrap();
        assert_eq!((entry.control_trust, entry.gateway_trust), (Trust::Plain, Trust::System));
        file.gateway.endpoint = None;
        let entry = Entry::of(&file, Trust::System, true).unwrap();
        assert_eq!(entry.gateway_trust, Trust::Plain);
    }
}
