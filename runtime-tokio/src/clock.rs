//! The time of Tokio's clock as the core's [`Timestamp`].

use std::time::Duration;

use lvsp_core::time::Timestamp;
use tokio::time::Instant;

/// What the machines of one server count from: an hour ahead, so that nothing lies before it.
const HEAD_START: Duration = Duration::from_secs(3_600);

/// One server's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp::ZERO + HEAD_START + self.0.elapsed()
    }

    /// When Tokio's clock shows this time, or a moment later.
    pub(crate) fn instant(self, at: Timestamp) -> Instant {
        let from_start = at.since(Timestamp::ZERO).saturating_sub(HEAD_START);
        // A microsecond more, so that the time has come when the timer fires. What never comes is
        // as good as far away.
        let far = Duration::from_secs(86_400);
        self.0 + from_start.min(self.0.elapsed() + far) + Duration::from_micros(1)
    }
}
