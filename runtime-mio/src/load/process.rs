//! What the operating system knows of a server's process: processor time and memory; and how many
//! packets arrived on a link.
//!
//! Processor time is that of the threads' `schedstat`, in nanoseconds: the sum in `stat` counts in
//! ticks of 10 ms.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How the names of lvsp-mio's media threads begin.
const MEDIA: &str = "media-";

/// Processor time of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ProcessorTime {
    /// Of all its threads.
    pub all: Duration,
    /// Of those that only forward media, in a server that has such.
    pub media: Option<Duration>,
}

/// The process of a server on this machine.
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
                "--server-pid {pid}: no figures of such a process; it has to run on this machine, \
                 and the kernel has to count with CONFIG_SCHED_INFO"
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
    format!("cannot read {}; has the server ended?", path.display())
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

/// A network interface of this network namespace, as a counter of arrivals.
#[derive(Debug)]
pub struct Link(String);

impl Link {
    /// The interface of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(name: &str) -> Result<Self> {
        let link = Self(name.to_owned());
        link.arrived()?;
        Ok(link)
    }

    /// Packets that arrived on it so far, those dropped behind it included.
    ///
    /// # Errors
    /// When it is gone.
    pub fn arrived(&self) -> Result<u64> {
        let text = fs::read_to_string("/proc/net/dev").context("cannot read /proc/net/dev")?;
        ensure!(text.lines().count() > 2, "/proc/net/dev names no interface");
        let Self(name) = self;
        arrived(&text, name)
            .with_context(|| format!("--link {name}: no such interface; `ip link` shows them"))
    }
}

/// The second number behind an interface's name: packets received.
fn arrived(dev: &str, name: &str) -> Option<u64> {
    let numbers =
        dev.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    numbers.split_ascii_whitespace().nth(1)?.parse().ok()
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
        let dev = "Inter-|   Receive\n face |bytes    packets errs\n    lo: 100 2 0 0\n  veth1:5 77 0 0\n";
        assert_eq!((arrived(dev, "lo"), arrived(dev, "veth1")), (Some(2), Some(77)));
        assert_eq!((arrived(dev, "veth"), arrived(dev, "eth")), (None, None));
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
        assert!(error.to_string().starts_with("--server-pid 4294967295: "), "{error}");
        assert!(Link::of("lo").is_ok());
        let error = Link::of("none9").unwrap_err();
        assert!(error.to_string().starts_with("--link none9: no such interface"), "{error}");
    }
}
