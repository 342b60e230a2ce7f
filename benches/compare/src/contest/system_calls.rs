//! How many system calls a server's media threads make, as the kernel's tracepoint counts them.
//!
//! `perf` counts without stopping anybody, so a server under load is as fast as without it. Tracers
//! that stop a thread at each call let datagrams pile up, which makes every call carry more.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Counts from when this is made on.
pub(super) struct SystemCalls(Child);

impl SystemCalls {
    /// Counts those of a process's media threads.
    pub(super) fn of_media_threads(pid: u32) -> Result<Self> {
        let threads = media_threads(&Path::new("/proc").join(pid.to_string()).join("task"))?;
        ensure!(!threads.is_empty(), "process {pid} has no media threads");
        let child = Command::new("perf")
            .args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-t", &threads.join(",")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("perf does not run (Debian: linux-perf)")?;
        Ok(Self(child))
    }

    /// Ends the count.
    pub(super) fn end(self) -> Result<u64> {
        let Self(child) = self;
        kill(Pid::from_raw(child.id().try_into()?), Signal::SIGINT)?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        counted(&text).with_context(|| format!("perf counts no system calls here: {text}"))
    }
}

fn media_threads(tasks: &Path) -> Result<Vec<String>> {
    let mut threads = Vec::new();
    for thread in fs::read_dir(tasks)? {
        let thread = thread?;
        if fs::read_to_string(thread.path().join("comm"))?.starts_with("media-") {
            threads.push(thread.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(threads)
}

/// The first field of the counter's line, as `perf stat -x,` writes it.
fn counted(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("raw_syscalls"))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perfs_line_is_read_and_a_refusal_is_no_count() {
        let line = "1234,,raw_syscalls:sys_enter,721772,100.00,,\n";
        assert_eq!(counted(line), Some(1_234));
        assert_eq!(counted("<not counted>,,raw_syscalls:sys_enter,0,0.00,,\n"), None);
        assert_eq!(counted("event syntax error: 'raw_syscalls:sys_enter'"), None);
    }
}
