//! What other threads ask of the control thread: a drain, a stop, another certificate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use lvsp_core::transport::TlsIdentity;
use mio::Waker;

use crate::threads::{lock, wake};

/// What other threads ask of the control thread.
#[derive(Debug)]
pub(crate) struct Requests {
    drain: AtomicBool,
    stop: AtomicBool,
    tls: Mutex<Option<TlsIdentity>>,
    waker: Arc<Waker>,
}

impl Requests {
    /// None so far, of the thread that this wakes.
    pub(crate) fn new(waker: Arc<Waker>) -> Arc<Self> {
        let (drain, stop) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { drain, stop, tls: Mutex::default(), waker })
    }

    /// What wakes the control thread.
    pub(crate) fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    pub(crate) fn stops(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(crate) fn take_drain(&self) -> bool {
        self.drain.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn take_tls(&self) -> Option<TlsIdentity> {
        lock(&self.tls).take()
    }
}

/// Stops a running server, or gives it a new certificate. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StopHandle(pub(crate) Arc<Requests>);

impl StopHandle {
    /// Begins a drain; [`Runtime::run`](crate::Runtime::run) returns when it is over.
    pub fn drain(&self) {
        self.0.drain.store(true, Ordering::Release);
        wake(&self.0.waker);
    }

    /// Makes [`Runtime::run`](crate::Runtime::run) return at once.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        wake(&self.0.waker);
    }

    /// Serves another certificate on connections accepted from now on.
    pub fn set_tls(&self, identity: TlsIdentity) {
        *lock(&self.0.tls) = Some(identity);
        wake(&self.0.waker);
    }
}
