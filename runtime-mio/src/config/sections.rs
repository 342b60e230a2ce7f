//! The sections of the configuration file, with their defaults.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use lvsp_core::config::{ClientAddress, ControlAuth, ForeignUdp, HealthScale, Revision};
use lvsp_core::crypto::provider::CipherProvider;
use lvsp_core::limits::Limits;
use serde::{Deserialize, Serialize};

use super::places::Places;

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
    /// Where operators and their tools look.
    pub admin: AdminSection,
    /// Every bound of the core.
    pub limits: Limits,
    /// Where each key was given.
    #[serde(skip)]
    pub places: Places,
}

/// `[control]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSection {
    /// Address and TCP port of the listener for chat servers.
    pub listen: SocketAddr,
    /// Networks that chat servers may connect from, as in `10.0.0.0/8`; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<IpNet>,
    /// What the chat server identifies with, at least 32 bytes; `lvsp-mio gen-secret` makes one. Short
    /// for one client "default".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretText>,
    /// A file that holds the secret instead, as in `/etc/lvsp/control-secret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// The LVSP revision of the single client: `auto`, `draft`, `litecord` or `document`. `auto` finds
    /// out by what it says.
    pub revision: Revision,
    /// How the single client proves who it is: `any` for the secret itself or its HMAC, `hmac` for the
    /// HMAC alone.
    pub auth: ControlAuth,
    /// Which end of the scale the single client takes for good health: `best-is-1`, or `best-is-0` for
    /// chat servers that pick the lowest figure, as Litecord's code does.
    pub health: HealthScale,
    /// Under revision `litecord`: the single client stands a CHANNEL_ASSIGN. The deployed code does not.
    pub litecord_assign: bool,
    /// Seconds that calls go on when no chat server comes back, up to 86,400.
    pub grace: u64,
    /// Several chat servers, instead of `secret`. Each sees its own channels only.
    #[serde(rename = "client", skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientSection>,
}

impl Default for ControlSection {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 6_000)),
            allow: Vec::new(),
            secret: None,
            secret_file: None,
            revision: Revision::Auto,
            auth: ControlAuth::Any,
            health: HealthScale::BestIs1,
            litecord_assign: false,
            grace: 300,
            clients: Vec::new(),
        }
    }
}

/// `[[control.client]]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSection {
    /// Its name in logs and events, as in `litecord`. One called `probe` lets `lvsp-mio probe` in beside
    /// the chat server.
    pub name: String,
    /// What it identifies with, at least 32 bytes and another one for each client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretText>,
    /// A file that holds the secret instead, as in `/etc/lvsp/litecord-secret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Its LVSP revision: `auto`, `draft`, `litecord` or `document`.
    #[serde(default)]
    pub revision: Revision,
    /// How it proves who it is: `any` or `hmac`.
    #[serde(default)]
    pub auth: ControlAuth,
    /// Which end of the scale it takes for good health: `best-is-1` or `best-is-0`.
    #[serde(default)]
    pub health: HealthScale,
    /// Under revision `litecord`: it stands a CHANNEL_ASSIGN. The deployed code does not.
    #[serde(default)]
    pub litecord_assign: bool,
}

/// `[gateway]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewaySection {
    /// Address and TCP port of the listener for voice clients.
    pub listen: SocketAddr,
    /// `host:port` that clients dial, as the chat server passes it on: as in
    /// `voice.example.org:443`. Required when `listen` is not loopback. The host is a name in the
    /// certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Serve the gateway's versions 1 to 3 as well, and clients that name none (discordgo).
    pub old_versions: bool,
    /// Networks of proxies that are believed when they say who their client is, as in
    /// `127.0.0.1/32`; empty for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trusted_proxies: Vec<IpNet>,
    /// How they say it: `x-forwarded-for`, `forwarded` or `proxy-protocol`.
    pub client_address: ClientAddress,
}

impl Default for GatewaySection {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8_443));
        Self {
            listen,
            endpoint: None,
            old_versions: false,
            trusted_proxies: Vec::new(),
            client_address: ClientAddress::default(),
        }
    }
}

/// `[media]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaSection {
    /// Address and UDP port of the first relay; relay n listens on the port + n.
    pub listen: SocketAddr,
    /// The IPv4 address that clients send media to, as in `203.0.113.7`. Required when `listen` is not
    /// loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ip: Option<Ipv4Addr>,
    /// Relays, each with a thread and a port of its own, 1 to 64.
    pub relays: u16,
    /// Offer the xsalsa20 modes and answer the 70-byte discovery of old client libraries as well (eris
    /// 0.18, for one).
    pub legacy_modes: bool,
    /// Drop audio above twice the channel's bitrate, over 2 s; otherwise it is counted.
    pub enforce_bitrate: bool,
    /// What a client gets at a UDP address that differs from its gateway connection's: with `guarded`
    /// three times what it sends, with `strict` nothing, with `open` everything.
    pub foreign_udp: ForeignUdp,
    /// Whose code seals and opens media: `auto` takes `ring` where it passes a test at the start, else
    /// `rustcrypto`. The xsalsa20 modes are RustCrypto's in any case.
    pub cipher_provider: CipherProvider,
    /// Milliseconds that packets may wait for others while many speak (more than about 15 at a relay),
    /// which saves processor time; up to 10, 0 for never.
    pub coalesce_ms: u64,
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
            cipher_provider: CipherProvider::Auto,
            coalesce_ms: 2,
        }
    }
}

/// `[tls]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// PEM file of the certificate chain for both TCP listeners, the server's own certificate first, as
    /// in `/etc/lvsp/chain.pem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of the certificate's private key, as in `/etc/lvsp/key.pem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Serve plain TCP: behind a proxy that speaks TLS, or for tests. The control listener must be on
    /// loopback then.
    pub off: bool,
}

impl TlsSection {
    /// Whether it says anything.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.certificate.is_some() || self.key.is_some() || self.off
    }
}

/// `[drain]`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainSection {
    /// Seconds that calls go on untouched after SIGTERM, up to 86,400; 0 ends them at once.
    pub seconds: u64,
}

impl Default for DrainSection {
    fn default() -> Self {
        Self { seconds: 30 }
    }
}

/// `[admin]`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSection {
    /// Address and TCP port of the dashboard, the figures and the health checks, as in
    /// `127.0.0.1:9900`; off where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Listen on an address that is not loopback: whoever reaches it sees who is in which channel.
    pub allow_remote: bool,
    /// Names that requests may be made to, as in `voice.example.org`, besides localhost and addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// A secret as it stands in the configuration. It is masked wherever it is printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// Takes a secret.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

const MASK: &str = "********";

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}
