//! What goes on around a server in a process of its own: signals, certificate files, and what the
//! service manager (systemd) wants to know. Each has a thread, which sleeps but for moments.
//!
//! Not here: what a drain or a new certificate means (`Runtime` and the core).

mod certificates;
mod heart;
mod service_manager;
mod signals;

use std::io;
use std::time::Duration;

use crate::certificate::CertificateFiles;
use crate::runtime::Runtime;

pub use certificates::{CertificateWatch, watch_certificates};
pub use service_manager::ServiceManager;

/// How often certificate files are looked at.
const LOOK: Duration = Duration::from_secs(30);

/// Watches over a server that is about to run, until the process ends: SIGTERM and SIGINT drain it,
/// a second one stops it at once; SIGHUP reads the certificate anew, and so does a change of its
/// files; the service manager hears of all that, and that every thread makes progress.
///
/// # Errors
/// When a thread cannot be started or signals cannot be caught.
pub fn supervise(
    runtime: &Runtime,
    certificate: Option<CertificateFiles>,
    drain: Duration,
) -> io::Result<()> {
    let manager = ServiceManager::from_environment();
    let stop = runtime.stop_handle();
    let certificates = certificate
        .map(|files| watch_certificates(files, stop.clone(), manager.clone(), LOOK))
        .transpose()?;
    signals::watch(stop, manager.clone(), certificates, drain)?;
    heart::start(runtime.pulse(), manager.clone())?;
    manager.ready();
    Ok(())
}
