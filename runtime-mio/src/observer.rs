//! What others may ask a running server: its control thread and its media threads, and for how long
//! they wait for an answer.

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lvsp_core::ids::{LegId, RelayId};
use lvsp_core::media::Relay;
use lvsp_core::server::Server;
use tokio::sync::oneshot;
use tokio::time;

use crate::capture::{Recorder, Recorders, Shelf};
use crate::questions::Desk;
use crate::turns::Watch;

/// A thread that has not answered for so long stands still, or has far too much to do.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the threads of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Observer(Arc<Desks>);

#[derive(Debug)]
struct Desks {
    control: Arc<Desk<Server>>,
    /// By relay.
    media: Vec<(Arc<Desk<Relay>>, Arc<Recorders>)>,
    /// Where media arrives, by relay, and the address that clients know for it.
    addresses: Vec<(SocketAddr, SocketAddrV4)>,
    shelf: Shelf,
    watch: Watch,
    started: Instant,
}

/// A thread that did not answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{thread} did not answer within {} s", PATIENCE.as_secs())]
pub(crate) struct Silent {
    /// In words.
    pub(crate) thread: String,
}

impl Observer {
    pub(crate) fn new(
        control: Arc<Desk<Server>>,
        media: Vec<(Arc<Desk<Relay>>, Arc<Recorders>)>,
        addresses: Vec<(SocketAddr, SocketAddrV4)>,
        watch: Watch,
    ) -> Self {
        let (shelf, started) = (Shelf::default(), Instant::now());
        Self(Arc::new(Desks { control, media, addresses, shelf, watch, started }))
    }

    /// How long ago its sockets were bound.
    pub(crate) fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Where a relay's media arrives.
    pub(crate) fn address(&self, relay: RelayId) -> Option<SocketAddr> {
        self.0.addresses.get(usize::from(relay.0)).map(|(bound, _)| *bound)
    }

    /// Where clients send a relay's media.
    pub(crate) fn public_address(&self, relay: RelayId) -> Option<SocketAddr> {
        self.0.addresses.get(usize::from(relay.0)).map(|(_, public)| (*public).into())
    }

    /// Begins to record a leg; `None` when as many recorders run as may.
    pub(crate) fn record(&self, relay: RelayId, leg: LegId) -> Option<Recorder> {
        let (_, recorders) = self.0.media.get(usize::from(relay.0))?;
        self.0.shelf.begin(recorders, leg)
    }

    /// What is counted without asking anybody.
    pub(crate) fn watch(&self) -> &Watch {
        &self.0.watch
    }

    /// The relays, in their order.
    pub(crate) fn relays(&self) -> impl Iterator<Item = RelayId> {
        (0u16..).take(self.0.media.len()).map(RelayId)
    }

    /// Asks the control thread.
    pub(crate) async fn control<A: Send + 'static>(
        &self,
        question: impl FnOnce(&Server) -> A + Send + 'static,
    ) -> Result<A, Silent> {
        let answer = self.0.control.ask(question);
        wait(answer).await.ok_or_else(|| Silent { thread: "the control thread".to_owned() })
    }

    /// Asks the thread of a relay.
    pub(crate) async fn relay<A: Send + 'static>(
        &self,
        relay: RelayId,
        question: impl FnOnce(&Relay) -> A + Send + 'static,
    ) -> Result<A, Silent> {
        let desk = self.0.media.get(usize::from(relay.0));
        let answer = desk.and_then(|(desk, _)| desk.ask(question));
        wait(answer).await.ok_or_else(|| Silent { thread: format!("media thread {}", relay.0) })
    }
}

async fn wait<A>(answer: Option<oneshot::Receiver<A>>) -> Option<A> {
    time::timeout(PATIENCE, answer?).await.ok()?.ok()
}
