//! What a machine was made with, as JSON at the head of a recording.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{
    Config, ControlAuth, ControlClient, ForeignUdp, HealthScale, MediaConfig, Proxies, Revision,
};
use crate::crypto::auth::{ControlSecret, WeakSecret};
use crate::crypto::provider::CipherProvider;
use crate::ids::RelayId;
use crate::limits::Limits;
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerSetup {
    pub(super) now: u64,
    control_clients: Vec<ClientSetup>,
    control_grace: Duration,
    gateway_endpoint: String,
    relays: Vec<SocketAddrV4>,
    old_versions: bool,
    proxies: Proxies,
    media: MediaSetup,
    drain: Duration,
    limits: Limits,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientSetup {
    name: String,
    secret: String,
    revision: Revision,
    auth: ControlAuth,
    health: HealthScale,
    litecord_assign: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MediaSetup {
    legacy_modes: bool,
    enforce_bitrate: bool,
    foreign_udp: ForeignUdp,
    cipher_provider: CipherProvider,
    loopback: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RelaySetup {
    pub(super) id: u16,
    pub(super) media: MediaSetup,
    pub(super) limits: Limits,
}

impl MediaSetup {
    const fn new(config: MediaConfig) -> Self {
        let MediaConfig { legacy_modes, enforce_bitrate, foreign_udp, cipher_provider, loopback } =
            config;
        Self { legacy_modes, enforce_bitrate, foreign_udp, cipher_provider, loopback }
    }

    pub(super) const fn into_config(self) -> MediaConfig {
        let Self { legacy_modes, enforce_bitrate, foreign_udp, cipher_provider, loopback } = self;
        MediaConfig { legacy_modes, enforce_bitrate, foreign_udp, cipher_provider, loopback }
    }
}

impl RelaySetup {
    pub(super) fn new(id: RelayId, limits: &Limits, media: MediaConfig) -> Self {
        Self { id: id.0, media: MediaSetup::new(media), limits: limits.clone() }
    }
}

impl ServerSetup {
    pub(super) fn new(config: &Config, now: Timestamp) -> Self {
        let Config {
            control_clients,
            control_grace,
            gateway_endpoint,
            relays,
            old_versions,
            proxies,
            media,
            drain,
            limits,
        } = config;
        Self {
            now: now.as_micros(),
            control_clients: control_clients.iter().map(ClientSetup::new).collect(),
            control_grace: *control_grace,
            gateway_endpoint: gateway_endpoint.clone(),
            relays: relays.clone(),
            old_versions: *old_versions,
            proxies: proxies.clone(),
            media: MediaSetup::new(*media),
            drain: *drain,
            limits: limits.clone(),
        }
    }

    pub(super) fn into_config(self) -> Result<Config, WeakSecret> {
        let clients = self.control_clients.into_iter().map(ClientSetup::into_client);
        Ok(Config {
            control_clients: clients.collect::<Result<_, _>>()?,
            control_grace: self.control_grace,
            gateway_endpoint: self.gateway_endpoint,
            relays: self.relays,
            old_versions: self.old_versions,
            proxies: self.proxies,
            media: self.media.into_config(),
            drain: self.drain,
            limits: self.limits,
        })
    }
}

impl ClientSetup {
    fn new(client: &ControlClient) -> Self {
        let ControlClient { name, secret, revision, auth, health, litecord_assign } = client;
        Self {
            name: name.clone(),
            secret: secret.expose().to_owned(),
            revision: *revision,
            auth: *auth,
            health: *health,
            litecord_assign: *litecord_assign,
        }
    }

    fn into_client(self) -> Result<ControlClient, WeakSecret> {
        Ok(ControlClient {
            name: self.name,
            secret: ControlSecret::new(self.secret)?,
            revision: self.revision,
            auth: self.auth,
            health: self.health,
            litecord_assign: self.litecord_assign,
        })
    }
}
