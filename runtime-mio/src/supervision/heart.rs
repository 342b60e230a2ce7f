//! The watchdog: the service manager is told that this process lives only while every thread of the
//! server makes progress, so that it restarts one that hangs.

use std::io;
use std::thread;

use super::ServiceManager;
use crate::pulse::Pulse;

/// Starts the thread, if there is a service manager.
pub(super) fn start(mut pulse: Pulse, manager: ServiceManager) -> io::Result<()> {
    let Some(interval) = manager.interval() else { return Ok(()) };
    let mut heart = Heart { manager, stalled: Vec::new() };
    let beat = move || {
        loop {
            heart.beat(pulse.stalled());
            thread::sleep(interval);
        }
    };
    thread::Builder::new().name("heart".to_owned()).spawn(beat)?;
    Ok(())
}

struct Heart {
    manager: ServiceManager,
    /// Who stood still at the last beat.
    stalled: Vec<String>,
}

impl Heart {
    fn beat(&mut self, stalled: Vec<String>) {
        if stalled.is_empty() {
            if !self.stalled.is_empty() {
                tracing::info!("every thread makes progress again");
                self.manager.status("every thread makes progress again");
            }
            self.manager.beat();
        } else {
            let names = stalled.join(", ");
            if stalled != self.stalled {
                tracing::error!(threads = names, "threads stand still: the watchdog is not fed");
                self.manager.status(&format!("standing still: {names}"));
            }
            tracing::debug!(threads = names, "no beat");
        }
        self.stalled = stalled;
    }
}
