//! What the standard library does not offer: many datagrams in one system call (`recvmmsg` and
//! `sendmmsg` on Linux, single calls elsewhere), their age, the limit of open files, and
//! descriptors that came with the process.
//!
//! The only folder with `unsafe`. Every pointer handed to the kernel points into memory that the
//! function that makes the call has borrowed for its whole length; `scripts/sanitize.sh` watches that.

mod receive;
mod send;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::net::UdpSocket;

pub(crate) use receive::{RECEIVED_BYTES, Received, receive};
pub(crate) use send::{segments, send_flights};

/// Messages in one system call. More gains nothing.
pub(crate) const BATCH: usize = 64;

/// Lets the kernel note when each datagram arrives, so that its time in the socket's buffer counts
/// for its age. Without it only the time since [`receive()`] counts.
///
/// # Errors
/// When the kernel cannot.
#[cfg(target_os = "linux")]
pub(crate) fn note_arrivals(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Lets the kernel tell with each datagram how many the buffer had no room for.
///
/// # Errors
/// When the kernel cannot.
#[cfg(target_os = "linux")]
pub(crate) fn note_overflows(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// Lets routers split datagrams to IPv4 addresses, and ignores what anybody says about a path's
/// size.
///
/// The largest datagram has 1,400 bytes, and nothing here could act on a smaller path: with the
/// usual "don't fragment" it would be lost there, every time, unless an ICMP message came back;
/// and such messages can be forged to make the kernel split everything.
///
/// # Errors
/// When the kernel cannot.
#[cfg(target_os = "linux")]
pub(crate) fn allow_fragments(socket: &UdpSocket) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)
}

#[cfg(target_os = "linux")]
fn set_option(socket: &UdpSocket, level: i32, name: i32, value: libc::c_int) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    // SAFETY: the pointer and the length are those of `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(&value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How many descriptors this process may have open; `usize::MAX` where there is no limit.
pub(crate) fn descriptors_max() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a structure of the right type, which outlives the call.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    if result == 0 { usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) } else { usize::MAX }
}

/// The descriptors that a service manager passed on, with their names, marked to be closed on exec.
/// There are none at the second call.
///
/// # Errors
/// When the variables that announce them are wrong, or one is not open.
pub(crate) fn inherited_descriptors() -> io::Result<Vec<(OwnedFd, String)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    let passed = sd_notify::listen_fds_with_names()?;
    // SAFETY: whoever started this process opened these descriptors for it and says so in the
    // environment, by this process's id; they are open, as marking them has just shown, and this
    // line, reached once, is the only one that takes them.
    Ok(passed.map(|(fd, name)| (unsafe { OwnedFd::from_raw_fd(fd) }, name)).collect())
}

/// Whether something keeps this host's clock right, as the kernel is told. `None` where it does not
/// say.
#[cfg(target_os = "linux")]
pub(crate) fn is_clock_kept() -> Option<bool> {
    // SAFETY: every member is a number or an array of them, for which zeros are values.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a structure of the right type, which outlives the call; with no mode
    // set nothing is changed.
    let result = unsafe { libc::adjtimex(&raw mut state) };
    (result >= 0).then_some(result != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}

/// How much processor time this process has used, all threads together.
pub(crate) fn processor_time() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a structure of the right type, which outlives the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    let (seconds, nanos) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (result == 0).then(|| Duration::new(seconds, nanos))
}
