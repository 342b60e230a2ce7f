//! What an operator's signals do.

use std::io;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{CertificateWatch, ServiceManager};
use crate::requests::StopHandle;

/// Catches them from now on.
pub(super) fn watch(
    stop: StopHandle,
    manager: ServiceManager,
    certificates: Option<CertificateWatch>,
    drain: Duration,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let watch = move || {
        let mut draining = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                reload(&manager, certificates.as_ref());
            } else if std::mem::replace(&mut draining, true) {
                stop.stop();
                tracing::info!("stopping at once");
                manager.stopping("stopping at once");
            } else {
                let seconds = drain.as_secs();
                stop.drain();
                tracing::info!(seconds, "draining; once more stops at once");
                manager.stopping(&format!("draining: calls go on for {seconds} s"));
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
    Ok(())
}

fn reload(manager: &ServiceManager, certificates: Option<&CertificateWatch>) {
    manager.reloading();
    match certificates {
        Some(certificates) => certificates.reload(),
        None => {
            tracing::warn!("TLS is off: no certificate to reload");
            manager.reloaded("serving; TLS is off: there was no certificate to reload");
        }
    }
}
