//! The monotonic clock as the core's [`Timestamp`].

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use lvsp_core::time::Timestamp;

/// All threads of the process count from here.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The present time.
#[must_use]
pub fn now() -> Timestamp {
    let micros = EPOCH.elapsed().as_micros();
    // An hour ahead, so that nothing lies before the epoch.
    Timestamp::from_millis(3_600_000) + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
