//! The admin plane: what operators and their tools look at, over HTTP on an address of its own.
//!
//! It runs on a thread of its own and holds nothing: each request asks the server's threads
//! ([`Observer`]), a page of members or channels at a time, so that no look holds up the voice. It only
//! reads; nothing can be changed by it.
//!
//! | file | decides |
//! |---|---|
//! | `serve` | connections: how many, how long |
//! | `guard` | which requests are answered, and what every answer carries |
//! | `routes` | what is asked for at which path |
//! | `bodies` | the shapes of the answers |
//! | `problem` | what is said where there is none |
//! | `metrics` | the figures for Prometheus |
//! | `exposition` | how those are written |
//! | `pages` | how thousands of members are told in one answer |
//! | `pcapng` | a flight recorder's file |
//! | `page` | the dashboard |

mod bodies;
mod exposition;
mod guard;
mod metrics;
mod page;
mod pages;
mod pcapng;
mod problem;
mod routes;
mod serve;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use crate::config::AdminSection;
use crate::observer::Observer;
use crate::options::BindError;

pub(crate) use exposition::Histogram;
pub use metrics::table as metrics_table;
pub(crate) use pages::PAGE;
pub(crate) use serve::{CONNECTIONS_MAX, HEAD_BYTES};

use crate::certificate::CertificateFiles;
use guard::Guard;

/// An admin plane whose socket is bound. Nobody is answered before [`Self::serve`].
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    guard: Guard,
}

impl Admin {
    /// Binds the socket; `None` where the section names no address.
    ///
    /// # Errors
    /// When the address is not to be had.
    pub fn bind(section: &AdminSection) -> Result<Option<Self>, BindError> {
        let Some(listen) = section.listen else { return Ok(None) };
        let refused = |source| BindError::Address { key: "admin.listen", address: listen, source };
        let listener = TcpListener::bind(listen).map_err(refused)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Some(Self { listener, address, guard: Guard::new(&section.hosts) }))
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers on a thread of its own, for as long as what this returns lives. `certificate` is where
    /// the certificate stands that the server presents.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn serve(
        self,
        observer: Observer,
        certificate: Option<CertificateFiles>,
    ) -> io::Result<AdminThread> {
        let Self { listener, guard, .. } = self;
        let router = routes::router(Plane { observer, certificate }, guard);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let ended = runtime.block_on(serve::serve(listener, router, stopped));
            if let Err(error) = ended {
                tracing::error!(%error, "the admin plane ended");
            }
        };
        let thread = thread::Builder::new().name("admin".to_owned()).spawn(serve)?;
        Ok(AdminThread { stop: Some(stop), thread: Some(thread) })
    }
}

/// An admin plane that answers. It ends when this is dropped.
#[derive(Debug)]
pub struct AdminThread {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for AdminThread {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the handlers share.
#[derive(Clone, Debug)]
struct Plane {
    observer: Observer,
    /// Where the certificate stands whose end is a figure.
    certificate: Option<CertificateFiles>,
}
