//! What the operating system knows of a process, this one or another: processor time, memory,
//! descriptors.
//!
//! Processor time of another process is that of its threads' `schedstat`, in nanoseconds: the sum in
//! `stat` counts in ticks of 10 ms.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::sys;

/// How the names of lvsp-mio's media threads begin.
const MEDIA: &str = "media-";

/// Processor time of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ProcessorTime {
    /// Of all its threads.
    pub all: Duration,
    /// Of those that only forward media, in an `lvsp-mio`.
    pub media: Option<Duration>,
}

/// A process of this machine.
#[derive(Debug)]
pub struct Process {
    folder: PathBuf,
}

impl Process {
    /// The process of this id.
    ///
    /// # Errors
    /// When there is none, or this system does not tell of it.
    pub fn of(pid: u32) -> Result<Self> {
        let process = Self { folder: PathBuf::from(format!("/proc/{pid}")) };
        process.processor_time().and_then(|_| process.resident_bytes()).with_context(|| {
            format!(
                "no figures of a process {pid}; it has to run on this machine, and the kernel has \
                 to count with CONFIG_SCHED_INFO"
            )
        })?;
        Ok(process)
    }

    /// Processor time of all its threads that are alive.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn processor_time(&self) -> Result<ProcessorTime> {
        let threads = self.folder.join("task");
        let (mut all, mut media) = (Duration::ZERO, None);
        for thread in fs::read_dir(&threads).with_context(|| gone(&threads))? {
            let folder = thread?.path();
            // A thread may end between the two looks.
            let Ok(text) = fs::read_to_string(folder.join("schedstat")) else { continue };
            let time = on_processor(&text).with_context(|| format!("schedstat says {text:?}"))?;
            all += time;
            if fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.starts_with(MEDIA)) {
                media = Some(media.unwrap_or_default() + time);
            }
        }
        Ok(ProcessorTime { all, media })
    }

    /// Its resident memory, in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_bytes(&self) -> Result<u64> {
        let path = self.folder.join("status");
        let text = fs::read_to_string(&path).with_context(|| gone(&path))?;
        resident(&text).with_context(|| format!("no VmRSS in {}", path.display()))
    }
}

fn gone(path: &Path) -> String {
    format!("cannot read {}; has the process ended?", path.display())
}

/// The first number of a `schedstat` file.
fn on_processor(schedstat: &str) -> Option<Duration> {
    Some(Duration::from_nanos(schedstat.split_ascii_whitespace().next()?.parse().ok()?))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1_024)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(on_processor("1234567 89 10\n"), Some(Duration::from_nanos(1_234_567)));
        assert_eq!(on_processor("\n"), None);
        let status = "Name:\tlvsp-mio\nVmRSS:\t    1536 kB\nThreads:\t2\n";
        assert_eq!(resident(status), Some(1_536 * 1_024));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_has_figures_and_one_that_is_not_there_is_named() {
        let me = Process::of(std::process::id()).unwrap();
        let before = me.processor_time().unwrap();
        while me.processor_time().unwrap().all == before.all {}
        assert!(me.resident_bytes().unwrap() > 1 << 20);
        // The largest process id is below this.
        let error = Process::of(u32::MAX).unwrap_err();
        assert!(error.to_string().contains("a process 4294967295"), "{error}");
    }

    #[cfg(target_os = "linux")]
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
