//! What the operating system knows of this process.

use std::fs;
use std::time::Duration;

use crate::load::process::Process;
use crate::sys;

/// Figures of this process; nothing where the system does not tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Own {
    /// Memory in use.
    pub(crate) resident_bytes: Option<u64>,
    /// Open file descriptors.
    pub(crate) descriptors: Option<u64>,
    /// How many may be open.
    pub(crate) descriptors_max: Option<u64>,
    /// Processor time of all threads.
    pub(crate) processor_time: Option<Duration>,
}

impl Own {
    /// Looks now.
    pub(crate) fn look() -> Self {
        let process = Process::of(std::process::id());
        let max = sys::descriptors_max();
        // The one that lists them is open too.
        let open = fs::read_dir("/proc/self/fd").map(|open| open.count().saturating_sub(1) as u64);
        Self {
            resident_bytes: process.and_then(|process| process.resident_bytes()).ok(),
            descriptors: open.ok(),
            descriptors_max: (max != usize::MAX).then_some(max as u64),
            processor_time: sys::processor_time(),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_open_file_and_used_time_show() {
        let before = Own::look();
        let files: Vec<_> = (0..64).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let after = Own::look();
        assert!(after.descriptors >= before.descriptors.map(|count| count + 32), "{after:?}");
        assert!(after.descriptors <= after.descriptors_max && after.resident_bytes > Some(1 << 20));
        assert!(after.processor_time >= before.processor_time && before.processor_time.is_some());
        drop(files);
    }
}
