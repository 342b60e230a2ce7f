//! The operator's configuration: a TOML file, overridden by the environment.
//!
//! Unknown keys are errors with their line and a suggestion. Each scalar key is also the variable
//! `LVSP_SECTION__KEY`; the secret also a file, named by `LVSP_CONTROL__SECRET_FILE` or
//! `control.secret_file`. Lists and tables of tables have no variable.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use lvsp_core::config::{ControlClient, ForeignUdp, MediaConfig};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::limits::Limits;
use lvsp_core::transport::TlsIdentity;
use serde::{Deserialize, Serialize};

use crate::control_thread::Budgets;
use crate::runtime::Options;

const ENVIRONMENT_PREFIX: &str = "LVSP_";

/// The file's contents. Every key has a default but those that only the operator can know.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// Where chat servers connect.
    pub control: ControlSection,
    /// Where voice clients connect.
    pub gateway: GatewaySection,
    /// Where media arrives.
    pub media: MediaSection,
    /// The certificate of both TCP listeners.
    pub tls: TlsSection,
    /// How a stop is spread over time.
    pub drain: DrainSection,
    /// Every bound of the core.
    pub limits: Limits,
}

/// `[control]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSection {
    /// Address and TCP port of the listener for chat servers.
    pub listen: SocketAddr,
    /// What the chat server identifies with, at least 32 bytes. Short for one client "default".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// A file that holds the secret instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The LVSP revision of the single client.
    pub revision: Revision,
    /// Seconds that calls go on when no chat server comes back, up to 86,400.
    pub grace: u64,
    /// Several chat servers, instead of `secret`.
    #[serde(rename = "client", skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientSection>,
}

impl Default for ControlSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 6_000)),
            secret: None,
            secret_file: None,
            revision: Revision::Auto,
            grace: 300,
            clients: Vec::new(),
        }
    }
}

/// `[[control.client]]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSection {
    /// Its name in logs and events.
    pub name: String,
    /// What it identifies with.
    pub secret: String,
    /// Its LVSP revision.
    #[serde(default)]
    pub revision: Revision,
}

/// A revision of LVSP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Revision {
    /// Decided by what the chat server says; the draft is the only one that is served.
    #[default]
    Auto,
    /// The draft of 2019.
    Draft,
    /// What Litecord's code speaks. Not served yet.
    Litecord,
    /// What patchcord's document says. Not served yet.
    Document,
}

/// `[gateway]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySection {
    /// Address and TCP port of the listener for voice clients.
    pub listen: SocketAddr,
    /// `host:port` that clients dial, as the chat server passes it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

impl Default for GatewaySection {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8_443)), endpoint: None }
    }
}

/// `[media]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaSection {
    /// Address and UDP port of the first relay; relay n listens on the port + n.
    pub listen: SocketAddr,
    /// The IPv4 address that clients send media to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<Ipv4Addr>,
    /// Relays, each with a thread and a port.
    pub relays: u16,
    /// Offer the encryption modes and answer the discovery of old client libraries as well.
    pub legacy_modes: bool,
    /// Drop audio above twice the channel's bitrate, over 2 s.
    pub enforce_bitrate: bool,
    /// What a client gets at a UDP address that its gateway connection does not vouch for:
    /// `guarded`, `strict` or `open`.
    pub foreign_udp: ForeignUdp,
}

impl Default for MediaSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
            public_ip: None,
            relays: 1,
            legacy_modes: false,
            enforce_bitrate: false,
            foreign_udp: ForeignUdp::Guarded,
        }
    }
}

/// `[tls]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// PEM file of the certificate chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of the private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Serve plain TCP: behind a proxy that speaks TLS, or for tests.
    pub off: bool,
}

/// `[drain]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainSection {
    /// Seconds that calls go on untouched after SIGTERM; 0 ends them at once.
    pub seconds: u64,
}

impl Default for DrainSection {
    fn default() -> Self {
        Self { seconds: 30 }
    }
}

impl File {
    /// Reads the file, if one is given, and the environment.
    ///
    /// # Errors
    /// What is wrong, where, and what would be right.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self> {
        let text = match path {
            Some(path) => fs::read_to_string(path)
                .with_context(|| format!("cannot read the configuration {}", path.display()))?,
            None => String::new(),
        };
        let name = path.map_or_else(|| "configuration".into(), |path| path.display().to_string());
        // Once for errors with lines, which the merged table no longer has.
        toml::from_str::<Self>(&text).map_err(|error| explain(&name, &error))?;
        let mut table: toml::Table = toml::from_str(&text)?;
        for (variable, value) in environment {
            if let Some(key) = variable.strip_prefix(ENVIRONMENT_PREFIX) {
                override_key(&mut table, &variable, key, &value)?;
            }
        }
        table.try_into().map_err(|error| explain("environment", &error))
    }

    /// Turns the file into what a server is started with.
    ///
    /// # Errors
    /// What is missing or contradictory, by key.
    pub fn options(&self) -> Result<Options> {
        self.limits.validate()?;
        if self.control.grace > 86_400 {
            bail!("control.grace = {}: at most 86400 seconds", self.control.grace);
        }
        let tls = self.tls_identity()?;
        if tls.is_none() && !self.control.listen.ip().is_loopback() {
            bail!(
                "tls.off = true with control.listen = {}: without TLS the control listener must be \
                 on loopback, because LVSP proves only the chat server's identity",
                self.control.listen
            );
        }
        if self.media.relays == 0 {
            bail!("media.relays = 0: at least one relay is needed");
        }
        Ok(Options {
            control: self.control.listen,
            gateway: self.gateway.listen,
            media: self.media.listen,
            public_ip: self.public_ip()?,
            relays: self.media.relays,
            endpoint: self.endpoint()?,
            tls,
            control_clients: self.control_clients()?,
            grace: Duration::from_secs(self.control.grace),
            drain: Duration::from_secs(self.drain.seconds),
            media_config: MediaConfig {
                legacy_modes: self.media.legacy_modes,
                enforce_bitrate: self.media.enforce_bitrate,
                foreign_udp: self.media.foreign_udp,
                loopback: false,
            },
            limits: self.limits.clone(),
            budgets: Budgets::default(),
        })
    }

    fn endpoint(&self) -> Result<Option<String>> {
        if self.gateway.endpoint.is_none() && !self.gateway.listen.ip().is_loopback() {
            bail!(
                "gateway.endpoint is missing: give the host:port that clients dial, as in \
                 endpoint = \"voice.example.org:443\""
            );
        }
        Ok(self.gateway.endpoint.clone())
    }

    fn public_ip(&self) -> Result<Ipv4Addr> {
        match (self.media.public_ip, self.media.listen.ip()) {
            (Some(ip), _) => Ok(ip),
            (None, IpAddr::V4(ip)) if ip.is_loopback() => Ok(ip),
            (None, _) => bail!(
                "media.public_ip is missing: with media.listen = {} clients must be told an IPv4 \
                 address that they can send to; they accept no host name",
                self.media.listen
            ),
        }
    }

    /// Reads the certificate and its key.
    ///
    /// # Errors
    /// Which file is missing, unreadable or does not fit.
    pub fn tls_identity(&self) -> Result<Option<TlsIdentity>> {
        let TlsSection { certificate, key, off } = &self.tls;
        match (certificate, key) {
            _ if *off => Ok(None),
            (Some(certificate), Some(key)) => {
                let read = |name: &str, path: &Path| {
                    fs::read(path).with_context(|| format!("{name} = {}", path.display()))
                };
                let chain = read("tls.certificate", certificate)?;
                let key = read("tls.key", key)?;
                let identity = TlsIdentity::from_pem(&chain, &key)
                    .with_context(|| format!("tls.certificate = {}", certificate.display()))?;
                Ok(Some(identity))
            }
            (None, None) => bail!(
                "tls.certificate and tls.key are missing: client libraries speak TLS only; behind \
                 a proxy that does, say tls.off = true"
            ),
            (Some(_), None) => bail!("tls.key is missing"),
            (None, Some(_)) => bail!("tls.certificate is missing"),
        }
    }

    fn control_clients(&self) -> Result<Vec<ControlClient>> {
        let single = match (&self.control.secret, &self.control.secret_file) {
            (Some(_), Some(_)) => bail!("control.secret and control.secret_file are both given"),
            (Some(secret), None) => Some(secret.clone()),
            (None, Some(path)) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("control.secret_file = {}", path.display()))?;
                Some(text.trim_end().to_owned())
            }
            (None, None) => None,
        };
        match (single, self.control.clients.as_slice()) {
            (Some(_), [_, ..]) => bail!("control.secret and [[control.client]] are both given"),
            (Some(secret), []) => {
                Ok(vec![client("default", "control.secret", secret, self.control.revision)?])
            }
            (None, []) => bail!(
                "control.secret is missing: `lvsp-mio gen-secret` makes one; give the same to the \
                 chat server"
            ),
            (None, clients) => clients
                .iter()
                .map(|c| client(&c.name, "control.client.secret", c.secret.clone(), c.revision))
                .collect(),
        }
    }

    /// The configuration in force as TOML, secrets masked.
    ///
    /// # Errors
    /// Never for a configuration that was loaded.
    pub fn to_masked_toml(&self) -> Result<String> {
        let mut masked = self.clone();
        let mask = || "********".to_owned();
        masked.control.secret = masked.control.secret.map(|_| mask());
        for client in &mut masked.control.clients {
            client.secret = mask();
        }
        Ok(toml::to_string(&masked)?)
    }
}

fn client(name: &str, key: &str, secret: String, revision: Revision) -> Result<ControlClient> {
    if matches!(revision, Revision::Litecord | Revision::Document) {
        bail!("control revision of client {name:?}: only \"auto\" and \"draft\" are served so far");
    }
    let secret = ControlSecret::new(secret)
        .map_err(|weak| anyhow!("{key}: {weak}; `lvsp-mio gen-secret` makes a good one"))?;
    Ok(ControlClient::new(name.to_owned(), secret))
}

/// Puts a variable's value where its key belongs.
fn override_key(table: &mut toml::Table, variable: &str, key: &str, value: &str) -> Result<()> {
    let lower = key.to_lowercase();
    let Some((section, key)) = lower.split_once("__") else {
        bail!("{variable}: a variable is named LVSP_SECTION__KEY");
    };
    let value = value
        .parse::<i64>()
        .map(toml::Value::Integer)
        .or_else(|_| value.parse::<bool>().map(toml::Value::Boolean))
        .unwrap_or_else(|_| toml::Value::String(value.to_owned()));
    let section = table
        .entry(section)
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
        .as_table_mut()
        .with_context(|| format!("{variable}: {section} is no section"))?;
    section.insert(key.to_owned(), value);
    Ok(())
}

/// The parser's message with a suggestion for a misspelt key.
fn explain(source: &str, error: &toml::de::Error) -> anyhow::Error {
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let suggestion = match quoted.next().filter(|_| message.starts_with("unknown field")) {
        Some(unknown) => quoted
            .max_by(|a, b| {
                strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown))
            })
            .map(|known| format!("\ndid you mean `{known}`?"))
            .unwrap_or_default(),
        None => String::new(),
    };
    anyhow!("{source}: {}{suggestion}", error.to_string().trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "secret = \"0123456789abcdef0123456789abcdef\"\n";

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<File> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("lvsp-config-{}-{number}.toml", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        let variables = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let file = File::load(Some(&path), variables);
        fs::remove_file(&path).unwrap();
        file
    }

    fn refusal(text: &str) -> String {
        let file = load(text, &[]).unwrap();
        format!("{:#}", file.options().expect_err("it cannot be served"))
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_a_suggestion() {
        let error = load("[control]\nlisten = \"127.0.0.1:1\"\nsecrte = \"x\"\n", &[]).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("line 3"), "{error}");
        assert!(error.contains("did you mean `secret`?"), "{error}");
    }

    #[test]
    fn what_is_missing_is_said_with_the_reason() {
        assert!(refusal("[tls]\noff = true\n").contains("control.secret is missing"));
        let control = format!("[control]\n{SECRET}");
        assert!(refusal(&control).contains("tls.certificate and tls.key are missing"));
        let open = format!("{control}[tls]\noff = true\n[media]\nlisten = \"0.0.0.0:50000\"\n");
        assert!(refusal(&open).contains("media.public_ip is missing"));
        let open = format!("{control}[tls]\noff = true\n[gateway]\nlisten = \"0.0.0.0:443\"\n");
        assert!(refusal(&open).contains("gateway.endpoint is missing"));
        let plain = format!("[control]\nlisten = \"0.0.0.0:1\"\n{SECRET}[tls]\noff = true\n");
        assert!(refusal(&plain).contains("must be on loopback"));
    }

    #[test]
    fn a_short_secret_and_an_unserved_revision_are_refused() {
        let short = "[control]\nsecret = \"short\"\n[tls]\noff = true\n";
        assert!(refusal(short).contains("gen-secret"));
        let revision = format!("[control]\n{SECRET}revision = \"litecord\"\n[tls]\noff = true\n");
        assert!(refusal(&revision).contains("served so far"));
    }

    #[test]
    fn the_environment_overrides_scalar_keys() {
        let variables = [
            ("LVSP_MEDIA__RELAYS", "2"),
            ("LVSP_TLS__OFF", "true"),
            ("LVSP_CONTROL__LISTEN", "127.0.0.1:7000"),
            ("LVSP_LIMITS__SESSIONS", "5"),
            ("PATH", "/bin"),
        ];
        let file = load(&format!("[control]\n{SECRET}[media]\nrelays = 1\n"), &variables).unwrap();
        assert_eq!((file.media.relays, file.tls.off, file.limits.sessions), (2, true, 5));
        assert_eq!(file.control.listen.port(), 7_000);
        assert!(file.options().is_ok());
        assert!(load("", &[("LVSP_MEDIA__RELAY", "2")]).is_err(), "unknown keys here as well");
    }

    #[test]
    fn the_printed_configuration_masks_secrets_and_loads_again() {
        let file = load(&format!("[control]\n{SECRET}[tls]\noff = true\n"), &[]).unwrap();
        let text = file.to_masked_toml().unwrap();
        assert!(!text.contains("0123456789abcdef"), "{text}");
        assert!(load(&text, &[]).is_ok());
    }
}
