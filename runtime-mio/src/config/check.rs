//! Can this be served? Everything that keeps it from that, in one go.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lvsp_core::config::{ClientAddress, ConfigError, ControlClient, MediaConfig, Proxies};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::ids::RelayId;
use lvsp_core::limits::LimitError;
use lvsp_core::transport::TlsIdentity;

use super::File;
use super::access;
use super::change::Change;
use super::fault::{Fault, Faults};
use super::sections::{AdminSection, GatewaySection, SecretText, TlsSection};
use crate::certificate::CertificateFiles;
use crate::options::{BindError, Options};
use crate::turns::Budgets;

/// The longest grace and the longest drain, in seconds.
const DAY_S: u64 = 86_400;
/// A frame of voice lasts 20 ms: what waits half as long cannot be late by a frame.
const COALESCE_MS_MAX: u64 = 10;
/// Stands for a public address that nobody gave, so that the rest can be checked; of the documents.
const SOME_ADDRESS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// What a server would be started with, and what is wrong with it.
pub(super) fn faults(file: &File) -> Vec<Fault> {
    let (options, mut faults) = survey(file);
    for error in options.faults() {
        faults.push(of_options(file, &error));
    }
    faults
}

/// What a server is started with.
pub(super) fn options(file: &File) -> Result<Options, Faults> {
    Faults::none_or(faults(file), ())?;
    let (options, faults) = survey(file);
    // What was there a moment ago may be gone.
    Faults::none_or(faults, options)
}

/// The options with something in the place of what is wrong, so that the rest can be checked.
fn survey(file: &File) -> (Options, Vec<Fault>) {
    let mut check = Check { file, faults: Vec::new() };
    let tls = check.tls();
    check.ranges();
    check.admin();
    let options = Options {
        control: file.control.listen,
        control_allow: file.control.allow.clone(),
        gateway: file.gateway.listen,
        media: file.media.listen,
        public_ip: check.public_ip(),
        relays: file.media.relays,
        endpoint: check.endpoint(),
        tls,
        control_clients: check.clients(),
        grace: Duration::from_secs(file.control.grace.min(DAY_S)),
        drain: Duration::from_secs(file.drain.seconds),
        old_versions: file.gateway.old_versions,
        proxies: check.proxies(),
        media_config: MediaConfig {
            legacy_modes: file.media.legacy_modes,
            enforce_bitrate: file.media.enforce_bitrate,
            foreign_udp: file.media.foreign_udp,
            cipher_provider: file.media.cipher_provider,
            loopback: false,
        },
        coalesce: Duration::from_millis(file.media.coalesce_ms),
        limits: file.limits.clone(),
        budgets: Budgets::default(),
        record: None,
    };
    (options, check.faults)
}

struct Check<'a> {
    file: &'a File,
    faults: Vec<Fault>,
}

impl Check<'_> {
    /// Notes a fault that another value of the key mends.
    fn wrong(&mut self, key: &str, what: impl Into<String>, right: impl Into<toml::Value>) {
        let change = self.file.places.set(key, right);
        self.note(key, what, change);
    }

    fn note(&mut self, key: &str, what: impl Into<String>, change: Change) {
        self.faults.push(Fault::new(&self.file.places, key, what, change));
    }

    /// Notes another way to mend the fault that was noted last.
    fn or(&mut self, change: Change) {
        if let Some(fault) = self.faults.pop() {
            self.faults.push(fault.or(change));
        }
    }

    fn ranges(&mut self) {
        let File { control, drain, media, .. } = self.file;
        for (key, seconds) in [("control.grace", control.grace), ("drain.seconds", drain.seconds)] {
            if seconds > DAY_S {
                let what =
                    format!("{key} = {seconds} is out of range: 0 to {DAY_S} seconds are allowed");
                self.wrong(key, what, whole(DAY_S));
            }
        }
        if media.relays == 0 {
            self.wrong("media.relays", "media.relays = 0: at least one relay is needed", 1);
        }
        if media.coalesce_ms > COALESCE_MS_MAX {
            let what = format!(
                "media.coalesce_ms = {} is out of range: 0 to {COALESCE_MS_MAX} milliseconds are \
                 allowed",
                media.coalesce_ms
            );
            self.wrong("media.coalesce_ms", what, whole(COALESCE_MS_MAX));
        }
    }

    fn tls(&mut self) -> Option<TlsIdentity> {
        let listen = self.file.control.listen;
        if self.file.tls.off && !listen.ip().is_loopback() {
            let what = format!(
                "tls.off = true with control.listen = {listen}: without TLS the control listener \
                 must be on loopback, because LVSP proves only the chat server's identity"
            );
            self.wrong("control.listen", what, format!("127.0.0.1:{}", listen.port()));
        }
        let files = match certificate_files(self.file) {
            Ok(files) => files?,
            Err(fault) => {
                self.faults.push(fault);
                return None;
            }
        };
        match files.read() {
            Ok(certificate) => Some(certificate.identity),
            Err(error) => {
                let mut changes =
                    access::mend(&error, &self.file.places, self.file.host()).into_iter();
                let what = format!("{:#}", anyhow::Error::from(error.clone()));
                if let Some(first) = changes.next() {
                    self.note(error.key(), what, first);
                    changes.for_each(|other| self.or(other));
                }
                None
            }
        }
    }

    /// What the admin plane shows is nobody's business but the operator's.
    fn admin(&mut self) {
        let AdminSection { listen, allow_remote, .. } = &self.file.admin;
        if let Some(listen) = listen
            && !listen.ip().is_loopback()
            && !allow_remote
        {
            let what = format!(
                "admin.listen = {listen} is not a loopback address, and whoever reaches the admin \
                 plane sees who is in which channel, from which address: listen on 127.0.0.1 and \
                 let a proxy or an SSH tunnel in front ask who comes, or say admin.allow_remote = \
                 true where a firewall does"
            );
            self.wrong("admin.listen", what, format!("127.0.0.1:{}", listen.port()));
            self.or(self.file.places.set("admin.allow_remote", true));
        }
    }

    fn endpoint(&mut self) -> Option<String> {
        let GatewaySection { endpoint, listen, .. } = &self.file.gateway;
        if endpoint.is_none() && !listen.ip().is_loopback() {
            let what = "gateway.endpoint is missing: give the host:port that clients dial, as in \
                        endpoint = \"voice.example.org:443\"";
            let port = listen.port();
            self.wrong("gateway.endpoint", what, format!("voice.example.org:{port}"));
        }
        endpoint.clone()
    }

    fn proxies(&mut self) -> Proxies {
        let GatewaySection { trusted_proxies: trusted, client_address, .. } = &self.file.gateway;
        if trusted.is_empty() && *client_address != ClientAddress::default() {
            let what = "gateway.client_address is given without gateway.trusted_proxies: name the \
                        proxy's network, as in trusted_proxies = [\"127.0.0.1/32\"]";
            self.wrong("gateway.trusted_proxies", what, vec!["127.0.0.1/32"]);
        }
        Proxies { trusted: trusted.clone(), client_address: *client_address }
    }

    fn public_ip(&mut self) -> Ipv4Addr {
        match (self.file.media.public_ip, self.file.media.listen.ip()) {
            (Some(ip), _) => ip,
            (None, IpAddr::V4(ip)) if ip.is_loopback() => ip,
            (None, _) => {
                let what = format!(
                    "media.public_ip is missing: with media.listen = {} clients must be told an \
                     IPv4 address that they can send to; they accept no host name",
                    self.file.media.listen
                );
                self.note("media.public_ip", what, self.file.right_public_ip(None));
                SOME_ADDRESS
            }
        }
    }

    fn clients(&mut self) -> Vec<ControlClient> {
        let control = &self.file.control;
        let is_single = control.secret.is_some() || control.secret_file.is_some();
        if is_single && !control.clients.is_empty() {
            let key =
                if control.secret.is_some() { "control.secret" } else { "control.secret_file" };
            let what = "control.secret and [[control.client]] are both given: remove the one, or \
                        give each chat server a [[control.client]]";
            let change = self.file.places.remove(key);
            self.note(key, what, change);
        }
        if control.clients.is_empty() {
            let secret = self.secret("control", "control", &control.secret, &control.secret_file);
            let client = secret.map(|secret| ControlClient {
                name: "default".to_owned(),
                secret,
                revision: control.revision,
                auth: control.auth,
                health: control.health,
                litecord_assign: control.litecord_assign,
            });
            return client.into_iter().collect();
        }
        let mut clients = Vec::new();
        for (at, client) in control.clients.iter().enumerate() {
            let owner = format!("[[control.client]] {:?}", client.name);
            let section = format!("control.client[{at}]");
            let secret = self.secret(&owner, &section, &client.secret, &client.secret_file);
            clients.extend(secret.map(|secret| ControlClient {
                name: client.name.clone(),
                secret,
                revision: client.revision,
                auth: client.auth,
                health: client.health,
                litecord_assign: client.litecord_assign,
            }));
        }
        clients
    }

    /// A secret that stands in one of two places; `owner` is whose it is in messages.
    fn secret(
        &mut self,
        owner: &str,
        section: &str,
        secret: &Option<SecretText>,
        file: &Option<PathBuf>,
    ) -> Option<ControlSecret> {
        let (plain, in_file) = (format!("{section}.secret"), format!("{section}.secret_file"));
        let (key, secret) = match (secret, file) {
            (Some(_), Some(_)) => {
                let what = format!(
                    "{owner}: secret and secret_file are both given: one of them is enough"
                );
                let change = self.file.places.remove(&plain);
                self.note(&plain, what, change);
                return None;
            }
            (Some(secret), None) => ("secret", secret.expose().to_owned()),
            (None, Some(path)) => match fs::read_to_string(path) {
                Ok(text) => ("secret_file", text.trim_end().to_owned()),
                Err(error) => {
                    let what = format!("{owner}: secret_file = {}: {error}", path.display());
                    let kind = error.kind();
                    let change = if kind == ErrorKind::PermissionDenied {
                        access::grant(path)
                    } else if kind == ErrorKind::IsADirectory {
                        let inside = path.join("control-secret").display().to_string();
                        self.file.places.set(&in_file, inside)
                    } else {
                        access::make_secret(path)
                    };
                    self.note(&in_file, what, change);
                    return None;
                }
            },
            (None, None) => {
                let what = format!(
                    "{owner}: secret is missing, and so is secret_file: `lvsp-mio gen-secret` \
                     makes one; give the same to the chat server"
                );
                self.note(&plain, what, self.file.new_secret(section));
                return None;
            }
        };
        match ControlSecret::new(secret) {
            Ok(secret) => Some(secret),
            Err(weak) => {
                let what =
                    format!("{owner}: {key}: {weak}; `lvsp-mio gen-secret` makes a good one");
                let at = format!("{section}.{key}");
                let change = self.file.new_secret(section);
                self.note(&at, what, change);
                None
            }
        }
    }
}

/// A number as TOML has it.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Where the certificate and its key stand; `None` where TLS is off.
pub(super) fn certificate_files(file: &File) -> Result<Option<CertificateFiles>, Fault> {
    let TlsSection { certificate, key, off } = &file.tls;
    let missing = |wanted: &str, what: &str| {
        let path = access::of_certbot(wanted, file.host()).display().to_string();
        Fault::new(&file.places, wanted, what, file.places.set(wanted, path))
    };
    match (certificate.clone(), key.clone()) {
        _ if *off => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(CertificateFiles { certificate, key })),
        (None, None) => {
            let what = "tls.certificate and tls.key are missing: client libraries speak TLS only; \
                        behind a proxy that does, say tls.off = true";
            let path = |key| access::of_certbot(key, file.host()).display().to_string();
            let both = [("certificate", path("tls.certificate")), ("key", path("tls.key"))];
            let change = file.places.set_all("tls", both.map(|(key, path)| (key, path.into())));
            let fault = Fault::new(&file.places, "tls.certificate", what, change);
            Err(fault.or(file.places.set("tls.off", true)))
        }
        (Some(_), None) => Err(missing("tls.key", "tls.key is missing")),
        (None, Some(_)) => Err(missing("tls.certificate", "tls.certificate is missing")),
    }
}

/// What the core has against it.
fn of_options(file: &File, error: &BindError) -> Fault {
    let what = error.to_string();
    let set = |key: &str, value: toml::Value| {
        Fault::new(&file.places, key, what.clone(), file.places.set(key, value))
    };
    let BindError::Config(error) = error else {
        let last = u16::MAX - file.media.relays.saturating_sub(1);
        return set("media.listen", format!("{}:{last}", file.media.listen.ip()).into());
    };
    match error {
        ConfigError::Limit(LimitError { key, value, min, max }) => {
            set(&format!("limits.{key}"), whole((*value).clamp(*min, *max)).into())
        }
        ConfigError::NoRelay => set("media.relays", 1.into()),
        ConfigError::TooManyRelays(_) => {
            let most = i64::try_from(RelayId::MOST).unwrap_or(i64::MAX);
            set("media.relays", most.into())
        }
        ConfigError::RelayAddress(_) => {
            let change = file.right_public_ip(file.media.public_ip);
            Fault::new(&file.places, "media.public_ip", what.clone(), change)
        }
        ConfigError::DuplicateClient(name) => {
            let at = file.control.clients.iter().rposition(|client| client.name == *name);
            let key = format!("control.client[{}].name", at.unwrap_or(0));
            set(&key, format!("{name}-2").into())
        }
        ConfigError::SharedSecret(_, name) => {
            let at = file.control.clients.iter().rposition(|client| client.name == *name);
            let section = format!("control.client[{}]", at.unwrap_or(0));
            let client = at.and_then(|at| file.control.clients.get(at));
            let in_file = client.is_some_and(|client| client.secret_file.is_some());
            let key = format!("{section}.secret{}", if in_file { "_file" } else { "" });
            Fault::new(&file.places, key, what.clone(), file.new_secret(&section))
        }
        ConfigError::CipherProvider(_) => set("media.cipher_provider", "auto".into()),
        ConfigError::TrustsEverybody(_) => {
            set("gateway.trusted_proxies", vec!["127.0.0.1/32"].into())
        }
        ConfigError::Grace(_) => set("control.grace", whole(DAY_S).into()),
        _ => Fault::new(
            &file.places,
            "configuration",
            what.clone(),
            Change::shell(["lvsp-mio print-config"]),
        ),
    }
}

/// Where the secret of a chat server is kept by custom.
pub(super) fn usual_secret(name: Option<&str>) -> PathBuf {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let name: String = name.unwrap_or("control").chars().filter(|c| is_plain(*c)).collect();
    Path::new("/etc/lvsp").join(format!("{name}-secret"))
}
