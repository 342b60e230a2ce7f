//! The operator's configuration: a TOML file, overridden by the environment.
//!
//! Unknown keys are errors with their line and a suggestion. Each scalar key is also the variable
//! `LVSP_SECTION__KEY` (`environment`). A secret may stand in a file of its own, which `secret_file`
//! names in place of `secret`. Here: reading, and what the values mean together; the keys
//! themselves are in `sections`.

mod environment;
mod sections;

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use lvsp_core::config::{ClientAddress, ControlClient, MediaConfig, Proxies};
use lvsp_core::crypto::auth::ControlSecret;
use lvsp_core::memory::Ceiling;

use crate::certificate::CertificateFiles;
use crate::memory;
use crate::runtime::Options;
use crate::sockets::Addresses;
use crate::turns::Budgets;

pub use sections::{
    AdminSection, ClientSection, ControlSection, DrainSection, File, GatewaySection, MediaSection,
    SecretText, TlsSection,
};

/// The longest grace and the longest drain, in seconds.
const DAY_S: u64 = 86_400;
/// A frame of voice lasts 20 ms: what waits half as long cannot be late by a frame.
const COALESCE_MS_MAX: u64 = 10;

impl File {
    /// Reads the file, if one is given, and the environment.
    ///
    /// # Errors
    /// What is wrong, where, and what would be right.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
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
        environment::apply(&mut table, environment)?;
        table.try_into().map_err(|error| explain(&name, &error))
    }

    /// Checks that this can be served, as far as that can be said without opening a socket.
    ///
    /// # Errors
    /// What is missing, out of range or contradictory, by key.
    pub fn check(&self) -> Result<()> {
        Ok(self.options()?.validate()?)
    }

    /// Turns the file into what a server is started with.
    ///
    /// # Errors
    /// What is missing, out of range or contradictory, by key.
    pub fn options(&self) -> Result<Options> {
        self.limits.validate()?;
        for (key, seconds) in
            [("control.grace", self.control.grace), ("drain.seconds", self.drain.seconds)]
        {
            if seconds > DAY_S {
                bail!("{key} = {seconds} is out of range: 0 to {DAY_S} seconds are allowed");
            }
        }
        let tls = self.certificate_files()?.map(|files| files.read()).transpose()?;
        if tls.is_none() && !self.control.listen.ip().is_loopback() {
            bail!(
                "tls.off = true with control.listen = {}: without TLS the control listener must be \
                 on loopback, because LVSP proves only the chat server's identity",
                self.control.listen
            );
        }
        self.check_admin()?;
        if self.media.relays == 0 {
            bail!("media.relays = 0: at least one relay is needed");
        }
        if self.media.coalesce_ms > COALESCE_MS_MAX {
            bail!(
                "media.coalesce_ms = {} is out of range: 0 to {COALESCE_MS_MAX} milliseconds are \
                 allowed",
                self.media.coalesce_ms
            );
        }
        Ok(Options {
            control: self.control.listen,
            control_allow: self.control.allow.clone(),
            gateway: self.gateway.listen,
            media: self.media.listen,
            public_ip: self.public_ip()?,
            relays: self.media.relays,
            endpoint: self.endpoint()?,
            tls: tls.map(|certificate| certificate.identity),
            control_clients: self.control_clients()?,
            grace: Duration::from_secs(self.control.grace),
            drain: Duration::from_secs(self.drain.seconds),
            old_versions: self.gateway.old_versions,
            proxies: self.proxies()?,
            media_config: MediaConfig {
                legacy_modes: self.media.legacy_modes,
                enforce_bitrate: self.media.enforce_bitrate,
                foreign_udp: self.media.foreign_udp,
                cipher_provider: self.media.cipher_provider,
                loopback: false,
            },
            coalesce: Duration::from_millis(self.media.coalesce_ms),
            limits: self.limits.clone(),
            budgets: Budgets::default(),
            record: None,
        })
    }

    /// What the admin plane shows is nobody's business but the operator's.
    fn check_admin(&self) -> Result<()> {
        let AdminSection { listen, allow_remote, .. } = &self.admin;
        match listen {
            Some(listen) if !listen.ip().is_loopback() && !allow_remote => bail!(
                "admin.listen = {listen} is not a loopback address, and whoever reaches the admin plane \
                 sees who is in which channel, from which address: listen on 127.0.0.1 and let a proxy \
                 or an SSH tunnel in front ask who comes, or say admin.allow_remote = true where a \
                 firewall does"
            ),
            _ => Ok(()),
        }
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

    fn proxies(&self) -> Result<Proxies> {
        let GatewaySection { trusted_proxies: trusted, client_address, .. } = &self.gateway;
        if trusted.is_empty() && *client_address != ClientAddress::default() {
            bail!(
                "gateway.client_address is given without gateway.trusted_proxies: name the proxy's \
                 network, as in trusted_proxies = [\"127.0.0.1/32\"]"
            );
        }
        Ok(Proxies { trusted: trusted.clone(), client_address: *client_address })
    }

    /// Whether voice clients come through a proxy whose word is not taken: what their addresses are
    /// compared with is then not known.
    #[must_use]
    pub const fn hides_clients(&self) -> bool {
        self.tls.off && self.gateway.trusted_proxies.is_empty()
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

    /// Where the certificate and its key stand; `None` where TLS is off.
    ///
    /// # Errors
    /// Which key is missing.
    pub fn certificate_files(&self) -> Result<Option<CertificateFiles>> {
        let TlsSection { certificate, key, off } = &self.tls;
        match (certificate.clone(), key.clone()) {
            _ if *off => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(CertificateFiles { certificate, key })),
            (None, None) => bail!(
                "tls.certificate and tls.key are missing: client libraries speak TLS only; behind \
                 a proxy that does, say tls.off = true"
            ),
            (Some(_), None) => bail!("tls.key is missing"),
            (None, Some(_)) => bail!("tls.certificate is missing"),
        }
    }

    /// Takes the addresses of sockets that are open already for those of the file, so that what
    /// depends on them is checked as it will be.
    pub const fn listen_at(&mut self, addresses: Addresses) {
        self.control.listen = addresses.control;
        self.gateway.listen = addresses.gateway;
        self.media.listen = addresses.media;
    }

    fn control_clients(&self) -> Result<Vec<ControlClient>> {
        let control = &self.control;
        let is_single = control.secret.is_some() || control.secret_file.is_some();
        if is_single && !control.clients.is_empty() {
            bail!("control.secret and [[control.client]] are both given");
        }
        if control.clients.is_empty() {
            let secret = secret("control", &control.secret, &control.secret_file)?;
            return Ok(vec![ControlClient {
                name: "default".to_owned(),
                secret,
                revision: control.revision,
                auth: control.auth,
                health: control.health,
                litecord_assign: control.litecord_assign,
            }]);
        }
        let client = |client: &ClientSection| {
            let owner = format!("[[control.client]] {:?}", client.name);
            Ok(ControlClient {
                name: client.name.clone(),
                secret: secret(&owner, &client.secret, &client.secret_file)?,
                revision: client.revision,
                auth: client.auth,
                health: client.health,
                litecord_assign: client.litecord_assign,
            })
        };
        control.clients.iter().map(client).collect()
    }

    /// The most memory that a server with this configuration holds.
    #[must_use]
    pub fn memory_ceiling(&self) -> Ceiling {
        let clients = self.control.clients.len().max(1);
        memory::ceiling(&self.limits, clients, usize::from(self.media.relays))
    }

    /// What to say where the limits allow more memory than there is.
    #[must_use]
    pub fn memory_warning(&self) -> Option<String> {
        let (ceiling, there_is) = (self.memory_ceiling().bytes(), memory::available()?);
        (ceiling > there_is).then(|| {
            format!(
                "under these limits the server may come to hold {}, and this machine or \
                 container has {}; `lvsp-mio print-config` shows which of [limits] to lower",
                memory::mebibytes(ceiling),
                memory::mebibytes(there_is)
            )
        })
    }

    /// The configuration in force as TOML, secrets masked.
    ///
    /// # Errors
    /// Never for a configuration that was loaded.
    pub fn to_masked_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }
}

/// A secret that stands in one of two places; `owner` is whose it is in messages.
fn secret(
    owner: &str,
    secret: &Option<SecretText>,
    file: &Option<PathBuf>,
) -> Result<ControlSecret> {
    let (key, secret) = match (secret, file) {
        (Some(_), Some(_)) => {
            bail!("{owner}: secret and secret_file are both given: one of them is enough")
        }
        (Some(secret), None) => ("secret", secret.expose().to_owned()),
        (None, Some(path)) => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("{owner}: secret_file = {}", path.display()))?;
            ("secret_file", text.trim_end().to_owned())
        }
        (None, None) => bail!(
            "{owner}: secret is missing, and so is secret_file: `lvsp-mio gen-secret` makes one; \
             give the same to the chat server"
        ),
    };
    ControlSecret::new(secret)
        .map_err(|weak| anyhow!("{owner}: {key}: {weak}; `lvsp-mio gen-secret` makes a good one"))
}

/// The parser's message with a suggestion for a misspelt key.
fn explain(source: &str, error: &toml::de::Error) -> anyhow::Error {
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let suggestion = match quoted.next().filter(|_| message.starts_with("unknown field")) {
        Some(unknown) => most_similar(unknown, quoted)
            .map_or_else(String::new, |known| format!("\ndid you mean `{known}`?")),
        None => String::new(),
    };
    anyhow!("{source}: {}{suggestion}", error.to_string().trim_end())
}

/// The known name that a misspelt one is most like.
fn most_similar<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known.max_by(|a, b| {
        strsim::jaro_winkler(a, unknown).total_cmp(&strsim::jaro_winkler(b, unknown))
    })
}

#[cfg(test)]
mod tests;
