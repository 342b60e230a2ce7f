//! Waking a poll at a time given in microseconds. The poll's own timeout counts in milliseconds, of
//! which a frame's latency has few.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use lvsp_core::time::Timestamp;
#[cfg(target_os = "linux")]
use mio::{Interest, unix::SourceFd};
use mio::{Registry, Token};
#[cfg(target_os = "linux")]
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::clock;

/// A timer that a poll watches.
#[cfg(target_os = "linux")]
pub(super) struct Alarm(TimerFd);

#[cfg(target_os = "linux")]
impl Alarm {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let timer = TimerFd::new(
            ClockId::CLOCK_MONOTONIC,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )?;
        let descriptor = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        Ok(Self(timer))
    }

    /// Prepares to wake the poll at `until`; the timeout to poll with.
    pub(super) fn set(&self, until: Timestamp) -> io::Result<Option<Duration>> {
        let left = until.since(clock::now());
        if left.is_zero() {
            return Ok(Some(left));
        }
        // Setting it anew takes back an expiration that nobody read.
        self.0.set(Expiration::OneShot(left.into()), TimerSetTimeFlags::empty())?;
        Ok(None)
    }
}

/// Where there is no such timer, the poll's timeout has to do.
#[cfg(not(target_os = "linux"))]
pub(super) struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub(super) fn new(_: &Registry, _: Token) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) fn set(&self, until: Timestamp) -> io::Result<Option<Duration>> {
        Ok(Some(until.since(clock::now())))
    }
}
