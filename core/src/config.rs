//! What the core is told once, at the start.
//!
//! Plain data. Hosts build it from their own configuration file; [`Config::validate`] runs in
//! `Server::new`, so an invalid one never serves.

use std::net::{IpAddr, SocketAddrV4};
use std::time::Duration;

pub use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::crypto::auth::ControlSecret;
use crate::crypto::provider::{CipherProvider, ProviderError};
use crate::ids::RelayId;
use crate::limits::{LimitError, Limits};

/// Everything that a `Server` is told at its start.
#[derive(Debug)]
pub struct Config {
    /// The chat servers that may give orders, each with channels of its own.
    pub control_clients: Vec<ControlClient>,
    /// How long calls go on after the control link was lost and no chat server came back.
    /// Up to 24 hours.
    pub control_grace: Duration,
    /// `host:port` of the voice gateway as clients must dial it; chat servers pass it on.
    pub gateway_endpoint: String,
    /// For each relay the public address that the voice Ready names. At least one.
    pub relays: Vec<SocketAddrV4>,
    /// Serve the voice gateway's versions 1 to 3 as well, and clients that name none (discordgo).
    pub old_versions: bool,
    /// Proxies in front of the voice gateway.
    pub proxies: Proxies,
    /// How media is served. Each relay is given the same.
    pub media: MediaConfig,
    /// How long calls go on untouched after a drain began.
    pub drain: Duration,
    /// Every bound.
    pub limits: Limits,
}

/// Proxies in front of the voice gateway, which know who their clients are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proxies {
    /// Networks that they connect from. Whoever connects from elsewhere is the client itself, and is
    /// not believed to be another.
    pub trusted: Vec<IpNet>,
    /// How they say who the client is.
    pub client_address: ClientAddress,
}

impl Proxies {
    /// Whether this is the address of one of them.
    #[must_use]
    pub fn trusts(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.trusted.iter().any(|network| network.contains(&ip))
    }
}

/// How a proxy says who the client is. One of them is believed and not all, because a proxy that
/// writes one passes on what a client wrote into another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClientAddress {
    /// By the header `X-Forwarded-For` of the upgrade request.
    #[default]
    XForwardedFor,
    /// By the header `Forwarded` of the upgrade request (RFC 7239).
    Forwarded,
    /// By the PROXY protocol, version 1 or 2, before everything else, TLS included. A proxy must
    /// begin with it.
    ProxyProtocol,
}

/// How media is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MediaConfig {
    /// Offer the xsalsa20 modes of old client libraries as well, behind the AEAD modes, and answer
    /// their 70-byte discovery.
    pub legacy_modes: bool,
    /// Drop audio of a sender above twice its channel's bitrate, over 2 s. Without it such senders
    /// are only counted.
    pub enforce_bitrate: bool,
    /// What a client gets at an address that its gateway connection does not vouch for.
    pub foreign_udp: ForeignUdp,
    /// Whose code seals and opens media.
    pub cipher_provider: CipherProvider,
    /// Addresses of this host may be served: only when the media socket is bound to one of them.
    pub loopback: bool,
}

/// What a client gets at a UDP address that differs from that of its gateway connection.
///
/// A member knows its own key, so it could send authentic packets with a victim's source address and
/// aim the audio of a whole channel at it. The comparison is made only where the gateway's address
/// says something: not when it is private, loopback or that of an unknown proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ForeignUdp {
    /// The gateway connection's own address and addresses of the other family are served; another
    /// address of the same family gets three times the bytes that came from it.
    #[default]
    Guarded,
    /// The gateway connection's own address alone.
    Strict,
    /// Any.
    Open,
}

/// One chat server.
#[derive(Debug)]
pub struct ControlClient {
    /// Its name in logs, events and metrics.
    pub name: String,
    /// What it identifies with.
    pub secret: ControlSecret,
    /// The revision of LVSP that it speaks.
    pub revision: Revision,
    /// Which kinds of token it may identify with.
    pub auth: ControlAuth,
    /// Which end of the scale it takes for good health.
    pub health: HealthScale,
    /// Under [`Revision::Litecord`]: it stands a CHANNEL_ASSIGN. The deployed code does not.
    pub litecord_assign: bool,
}

impl ControlClient {
    /// A chat server with the defaults of everything but its name and secret.
    #[must_use]
    pub const fn new(name: String, secret: ControlSecret) -> Self {
        Self {
            name,
            secret,
            revision: Revision::Auto,
            auth: ControlAuth::Any,
            health: HealthScale::BestIs1,
            litecord_assign: false,
        }
    }
}

/// A revision of LVSP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Revision {
    /// Decided by what the chat server says. A chat server of the document waits for an answer
    /// that is not given while this is undecided: configure it.
    #[default]
    Auto,
    /// The draft of 2019.
    Draft,
    /// What the code of Litecord and its forks speaks.
    Litecord,
    /// The document of 2022.
    Document,
}

/// Which kinds of token a chat server may identify with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ControlAuth {
    /// The secret itself, or its HMAC of HELLO's nonce.
    #[default]
    Any,
    /// The HMAC alone.
    Hmac,
}

/// Which end of the scale from 0 to 1 a chat server takes for good health.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HealthScale {
    /// It prefers the voice server with the highest figure.
    #[default]
    #[serde(rename = "best-is-1")]
    BestIs1,
    /// It prefers the voice server with the lowest figure, as Litecord's code does.
    #[serde(rename = "best-is-0")]
    BestIs0,
}

impl HealthScale {
    /// A figure on this scale, from one where 1 is best.
    #[must_use]
    pub fn apply(self, health: f32) -> f32 {
        match self {
            Self::BestIs1 => health,
            Self::BestIs0 => 1.0 - health,
        }
    }
}

/// A configuration that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A limit out of its range.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// No relay address.
    #[error("at least one relay address is needed")]
    NoRelay,
    /// More relays than there can be.
    #[error("{0} relay addresses are too many: at most {most} can be served", most = RelayId::MOST)]
    TooManyRelays(usize),
    /// A relay address that clients cannot send to.
    #[error(
        "relay address {0} is not usable: give the IPv4 address and UDP port that clients reach"
    )]
    RelayAddress(SocketAddrV4),
    /// Two chat servers of one name.
    #[error("two control clients are named {0:?}: names must differ")]
    DuplicateClient(String),
    /// Two chat servers with one secret: nobody could tell them apart.
    #[error("the control clients {0:?} and {1:?} have the same secret: each needs its own")]
    SharedSecret(String, String),
    /// A cipher provider that cannot be had.
    #[error("media.cipher_provider: {0}")]
    CipherProvider(ProviderError),
    /// Everybody would be a trusted proxy.
    #[error("{0} is no network of trusted proxies: everybody could claim to be anybody")]
    TrustsEverybody(IpNet),
    /// Grace over a day.
    #[error("control grace of {0:?} is too long: at most 24 hours")]
    Grace(Duration),
}

// By hand, as its text has the other one's: as a source it would be told twice.
impl From<ProviderError> for ConfigError {
    fn from(error: ProviderError) -> Self {
        Self::CipherProvider(error)
    }
}

impl Config {
    /// A configuration with the defaults of everything but where clients find the server: calls go
    /// on for five minutes without their chat server and for half a minute into a drain. There is
    /// no chat server in it yet.
    ///
    /// ```
    /// use lvsp_core::config::{Config, ControlClient};
    /// use lvsp_core::crypto::auth::ControlSecret;
    ///
    /// let secret = ControlSecret::new("at least thirty-two random bytes".to_owned())?;
    /// let relay = "203.0.113.7:50000".parse()?;
    /// let config = Config {
    ///     control_clients: vec![ControlClient::new("default".to_owned(), secret)],
    ///     ..Config::new("voice.example.org:443".to_owned(), vec![relay])
    /// };
    /// config.validate()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn new(gateway_endpoint: String, relays: Vec<SocketAddrV4>) -> Self {
        Self {
            control_clients: Vec::new(),
            control_grace: Duration::from_secs(300),
            gateway_endpoint,
            relays,
            old_versions: false,
            proxies: Proxies::default(),
            media: MediaConfig::default(),
            drain: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }

    /// Checks that this can be served.
    ///
    /// # Errors
    /// The first thing that is wrong, in words.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.faults().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that keeps this from being served; nothing where it can be.
    #[must_use]
    pub fn faults(&self) -> Vec<ConfigError> {
        let mut faults: Vec<_> = self.limits.faults().into_iter().map(ConfigError::from).collect();
        faults.extend(self.media.cipher_provider.provider().err().map(ConfigError::from));
        if self.relays.is_empty() {
            faults.push(ConfigError::NoRelay);
        }
        if self.relays.len() > RelayId::MOST {
            faults.push(ConfigError::TooManyRelays(self.relays.len()));
        }
        let unusable = self.relays.iter().find(|address| {
            let ip = address.ip();
            address.port() == 0 || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()
        });
        faults.extend(unusable.map(|address| ConfigError::RelayAddress(*address)));
        faults.extend(self.client_faults());
        let everybody = self.proxies.trusted.iter().find(|network| network.prefix_len() == 0);
        faults.extend(everybody.map(|all| ConfigError::TrustsEverybody(*all)));
        if self.control_grace > Duration::from_secs(86_400) {
            faults.push(ConfigError::Grace(self.control_grace));
        }
        faults
    }

    /// Each chat server that cannot be told from one before it.
    fn client_faults(&self) -> Vec<ConfigError> {
        let mut faults = Vec::new();
        for (at, client) in self.control_clients.iter().enumerate() {
            let before = &self.control_clients[..at];
            if before.iter().any(|other| other.name == client.name) {
                faults.push(ConfigError::DuplicateClient(client.name.clone()));
            }
            let same = before.iter().find(|one| one.secret.matches_plain(client.secret.expose()));
            faults.extend(
                same.map(|other| {
                    ConfigError::SharedSecret(other.name.clone(), client.name.clone())
                }),
            );
        }
        faults
    }
}
