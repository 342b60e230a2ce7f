//! What the service manager is told, over the socket that `NOTIFY_SOCKET` names: `sd_notify(3)`.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// While a stop goes on, the manager is asked to wait at least so much longer at a time.
const EXTENSION: Duration = Duration::from_secs(20);

/// The service manager, if there is one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ServiceManager(Option<Arc<State>>);

#[derive(Debug)]
struct State {
    /// How often it wants to hear that this process lives.
    watchdog: Option<Duration>,
    /// It was told that this process stops: it expects nothing else any more.
    stopping: AtomicBool,
    /// The last message did not reach it.
    failing: AtomicBool,
}

impl ServiceManager {
    /// The one that started this process.
    #[must_use]
    pub fn from_environment() -> Self {
        let watchdog = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero());
        let state = |_| State {
            watchdog,
            stopping: AtomicBool::new(false),
            failing: AtomicBool::new(false),
        };
        Self(env::var_os("NOTIFY_SOCKET").map(state).map(Arc::new))
    }

    /// None: nobody is told anything.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// How often it should be told that this process lives; `None` when there is nobody to tell.
    pub(super) fn interval(&self) -> Option<Duration> {
        let state = self.0.as_ref()?;
        // A quarter: when one beat is late, another may be missed too.
        Some(state.watchdog.map_or(EXTENSION, |watchdog| watchdog) / 4)
    }

    /// All sockets listen.
    pub(super) fn ready(&self) {
        self.tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
    }

    /// The certificate is about to be read anew.
    pub(super) fn reloading(&self) {
        if !self.is_stopping()
            && let Ok(now) = NotifyState::monotonic_usec_now()
        {
            self.tell(&[NotifyState::Reloading, now]);
        }
    }

    /// That is done, one way or the other.
    pub(super) fn reloaded(&self, status: &str) {
        if !self.is_stopping() {
            self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
        }
    }

    /// A stop has begun, which may take longer than the manager would wait.
    pub(super) fn stopping(&self, status: &str) {
        let Some(state) = &self.0 else { return };
        state.stopping.store(true, Ordering::Release);
        let extension = NotifyState::ExtendTimeoutUsec(micros(EXTENSION));
        self.tell(&[NotifyState::Stopping, NotifyState::Status(status), extension]);
    }

    /// Every thread makes progress.
    pub(super) fn beat(&self) {
        let Some(state) = &self.0 else { return };
        let mut news = Vec::new();
        if state.watchdog.is_some() {
            news.push(NotifyState::Watchdog);
        }
        if self.is_stopping() {
            let extension = self.interval().map_or(EXTENSION, |tick| EXTENSION.max(tick * 4));
            news.push(NotifyState::ExtendTimeoutUsec(micros(extension)));
        }
        if !news.is_empty() {
            self.tell(&news);
        }
    }

    /// A line for `systemctl status`.
    pub(super) fn status(&self, text: &str) {
        self.tell(&[NotifyState::Status(text)]);
    }

    fn is_stopping(&self) -> bool {
        self.0.as_ref().is_some_and(|state| state.stopping.load(Ordering::Acquire))
    }

    fn tell(&self, news: &[NotifyState<'_>]) {
        let Some(state) = &self.0 else { return };
        let result = sd_notify::notify(news);
        let failed_before = state.failing.swap(result.is_err(), Ordering::AcqRel);
        if let Err(error) = result
            && !failed_before
        {
            tracing::warn!(%error, "cannot reach the service manager at NOTIFY_SOCKET");
        }
    }
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
