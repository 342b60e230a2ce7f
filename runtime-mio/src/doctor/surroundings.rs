//! What is around the server: open files, memory, the clock.

use std::time::{Duration, SystemTime};

use lvsp_core::limits::Limits;

use super::Finding;
use crate::config::{Change, File};
use crate::host::{self, Holder, OWN_NAME, Protocol, TooFewFiles};
use crate::memory::{self, Available};

/// 2026-01-01, in seconds: no host that runs this program lives before that.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

pub(super) fn look(file: &File) -> Vec<Finding> {
    vec![open_files(file), memory(file), judge_clock(SystemTime::now(), clock_is_kept())]
}

fn open_files(file: &File) -> Finding {
    let Some(few) = host::open_files_hard_warning(&file.limits) else {
        return Finding::ok("limits.sessions", "enough files may be open for every session");
    };
    let TooFewFiles { needed, connections, .. } = few;
    let sessions = i64::try_from(connections.max(1)).unwrap_or(i64::MAX);
    Finding::warning(
        "limits.sessions",
        few.to_string(),
        "doctor sees the limit of where it runs; the unit of deploy/ sets its own",
        Change::unit(format!("LimitNOFILE={needed}")),
    )
    .or(Change::shell([format!("ulimit -n {needed}")]))
    .or(file.places.set("limits.sessions", sessions))
}

/// Whether what the limits allow to be held is there: for a server that runs in its own service or
/// container, for this process otherwise.
fn memory(file: &File) -> Finding {
    let gateway = file.gateway.listen;
    let server = host::holder(Protocol::Tcp, gateway).filter(|holder| holder.name == OWN_NAME);
    let available = match server {
        Some(Holder { pid, .. }) => memory::available_to(&pid.to_string()),
        None => memory::available(),
    };
    let Some(available) = available else {
        return Finding::ok("limits", "how much memory there is, this system does not say");
    };
    judge_memory(file, available)
}

fn judge_memory(file: &File, available: Available) -> Finding {
    let ceiling = file.memory_ceiling().bytes();
    let of = available.of.clone();
    let bytes = available.bytes;
    let Some(warning) = file.lack_of_memory(available) else {
        let (ceiling, bytes) = (memory::mebibytes(ceiling), memory::mebibytes(bytes));
        return Finding::ok(
            "limits",
            format!("they allow {ceiling} to be held, and {of} has {bytes}"),
        );
    };
    let unit = Change::unit(format!("MemoryMax={}M", ceiling.div_ceil(1 << 20)));
    let remedy =
        "lower the limits to what is served, or give the service more where the machine has it";
    match fitting(file, bytes) {
        Some(limits) => {
            let keys = [
                ("sessions", limits.sessions),
                ("connections", limits.connections),
                ("channels", limits.channels),
                ("voice_states", limits.voice_states),
                ("outbound_total_bytes", limits.outbound_total_bytes),
                ("inbound_total_bytes", limits.inbound_total_bytes),
                ("replay_total_bytes", limits.replay_total_bytes),
                ("credentials_total_bytes", limits.credentials_total_bytes),
            ];
            let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX).into();
            let keys = keys.map(|(key, value)| (key, number(value)));
            let change = file.places.set_all("limits", keys);
            Finding::warning("limits", warning, remedy, change).or(unit)
        }
        None => Finding::warning("limits", warning, remedy, unit),
    }
}

/// The same limits in a smaller measure, so that what they allow fits into so many bytes. `None` where
/// even the smallest do not.
fn fitting(file: &File, bytes: u64) -> Option<Limits> {
    // From 1023 parts of 1024 downwards, the largest that fits.
    (1..1_024).rev().map(|parts| scaled(&file.limits, parts)).find(|limits| {
        let smaller = File { limits: limits.clone(), ..file.clone() };
        smaller.memory_ceiling().bytes() <= bytes && limits.faults().is_empty()
    })
}

/// So many of 1024 parts of the limits that memory depends on most.
fn scaled(limits: &Limits, parts: usize) -> Limits {
    let scale = |value: usize| (value / 1_024 * parts + value % 1_024 * parts / 1_024).max(1);
    Limits {
        sessions: scale(limits.sessions),
        connections: scale(limits.connections),
        channels: scale(limits.channels),
        voice_states: scale(limits.voice_states),
        outbound_total_bytes: scale(limits.outbound_total_bytes),
        inbound_total_bytes: scale(limits.inbound_total_bytes),
        replay_total_bytes: scale(limits.replay_total_bytes),
        credentials_total_bytes: scale(limits.credentials_total_bytes),
        ..limits.clone()
    }
}

#[cfg(target_os = "linux")]
fn clock_is_kept() -> Option<bool> {
    crate::sys::is_clock_kept()
}

#[cfg(not(target_os = "linux"))]
const fn clock_is_kept() -> Option<bool> {
    None
}

/// Certificates are judged by the clock, and people compare log lines by it.
fn judge_clock(now: SystemTime, is_kept: Option<bool>) -> Finding {
    const ABOUT: &str = "clock";
    const SET: &str = "install chrony or let systemd keep it; in a container this is the matter of \
                       the host outside";
    let change = || Change::shell(["timedatectl set-ntp true"]);
    if now.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since >= EARLIEST) {
        return match is_kept {
            Some(false) => {
                let what = "nothing keeps it right, as far as the kernel knows";
                Finding::warning(ABOUT, what, SET, change())
            }
            Some(true) => Finding::ok(ABOUT, "it is kept right"),
            None => Finding::ok(ABOUT, "it shows a year that is possible"),
        };
    }
    let what = "it is years behind: every certificate looks as if it were not valid yet";
    Finding::error(ABOUT, what, SET, change())
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn limits_that_allow_more_than_there_is_are_told_with_some_that_fit() {
        let file = File::default();
        let of = "the control group system.slice/lvsp-mio.service".to_owned();
        let plenty = Available { bytes: 4 << 30, of: of.clone() };
        assert_eq!(judge_memory(&file, plenty).severity, Severity::Ok);
        let bytes = 200 << 20;
        let finding = judge_memory(&file, Available { bytes, of });
        assert_eq!(finding.severity, Severity::Warning);
        assert!(
            finding.what.contains("system.slice/lvsp-mio.service has 200.0 MiB"),
            "{finding:?}"
        );
        let lines = finding.changes[0].lines();
        let text = lines.join("\n");
        let variables = lines.iter().map(|line| line.split_once('=').unwrap());
        let variables = variables.map(|(variable, value)| (variable.into(), value.into()));
        let smaller = File::load(None, variables).unwrap();
        assert!(smaller.memory_ceiling().bytes() <= bytes, "{text}");
        assert!(smaller.limits.validate().is_ok(), "{text}");
        assert!(smaller.memory_ceiling().bytes() > bytes * 9 / 10, "no less than need be: {text}");
        assert!(finding.changes[1].lines()[1].starts_with("MemoryMax="), "{finding:?}");
        let nothing = Available { bytes: 1 << 20, of: String::new() };
        assert_eq!(judge_memory(&file, nothing).changes.len(), 1);
    }

    #[test]
    fn a_clock_is_wrong_or_not_kept_or_well() {
        let now = SystemTime::UNIX_EPOCH + EARLIEST;
        let severity = |time, is_kept| judge_clock(time, is_kept).severity;
        assert_eq!(severity(now, Some(true)), Severity::Ok);
        assert_eq!(severity(now, None), Severity::Ok);
        assert_eq!(severity(now, Some(false)), Severity::Warning);
        assert_eq!(severity(now - Duration::from_secs(1), Some(true)), Severity::Error);
        assert_eq!(severity(SystemTime::UNIX_EPOCH, Some(true)), Severity::Error);
    }
}
