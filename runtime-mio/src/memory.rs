//! How much memory the process can come to hold, and how much there is.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lvsp_core::ids::{ConnId, LegId, RelayId};
use lvsp_core::limits::Limits;
use lvsp_core::media::command::{RelayCommand, RelayEvent};
use lvsp_core::memory::Ceiling;
use lvsp_core::parking;
use mio::net::TcpStream;

use crate::admin::{CONNECTIONS_MAX, HEAD_BYTES, PAGE};
use crate::capture::{HEADERS_MAX, Header, PAST_MAX, RECORDERS_MAX};
use crate::runtime::{COMMAND_QUEUE, EVENT_QUEUE};
use crate::sys::RECEIVED_BYTES;
use crate::tcp::Tcp;

/// A connection of the admin plane: its buffers, a page of members as they are asked for and as text.
const ADMIN_CONNECTION_BYTES: usize = HEAD_BYTES + PAGE * 2_048;
/// A queue, and what its receiver took from it last.
const QUEUE_COPIES: usize = 2;
/// What the program itself takes before anybody connects: threads, buffers, the certificate.
const PROGRAM_BYTES: usize = 4 * 1_024 * 1_024;

/// The most that a server of this shape holds: the core's part and that of the event loops.
#[must_use]
pub fn ceiling(limits: &Limits, control_clients: usize, relays: usize) -> Ceiling {
    let mut ceiling = Ceiling::of(limits, control_clients, relays);
    let connection = size_of::<Option<Tcp>>() + 4 * size_of::<(ConnId, usize)>();
    ceiling.add("sockets", "connections", limits.connections, connection);
    let place = size_of::<TcpStream>() + parking::PLACE_BYTES;
    ceiling.add("parked connections", "parked", limits.parked, place);
    let commands = relays * COMMAND_QUEUE * QUEUE_COPIES;
    ceiling.add("commands to relays", "", commands, size_of::<RelayCommand>());
    let events = EVENT_QUEUE * QUEUE_COPIES;
    ceiling.add("events of relays", "", events, size_of::<(RelayId, RelayEvent)>());
    ceiling.add("received datagrams", "", relays, RECEIVED_BYTES);
    let headers = RECORDERS_MAX * HEADERS_MAX + relays * PAST_MAX;
    ceiling.add("flight recorders", "", headers, size_of::<(LegId, Header)>());
    ceiling.add("the admin plane", "", CONNECTIONS_MAX, ADMIN_CONNECTION_BYTES);
    ceiling.add("the program itself", "", 1, PROGRAM_BYTES);
    ceiling
}

/// The sum and its parts, each line a comment of TOML.
#[must_use]
pub fn describe(ceiling: &Ceiling) -> String {
    let mut text = format!(
        "# Memory ceiling: {} under these limits, kernel buffers aside.\n",
        mebibytes(ceiling.bytes())
    );
    for item in ceiling.items() {
        let keys = if item.keys.is_empty() { String::new() } else { format!(" ({})", item.keys) };
        let _ = writeln!(text, "# {:>11}  {}{keys}", mebibytes(item.bytes()), item.what);
    }
    text
}

/// A number of bytes for people.
#[must_use]
pub(crate) fn mebibytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
    let mebibytes = bytes as f64 / (1 << 20) as f64;
    format!("{mebibytes:.1} MiB")
}

/// How much memory there is for a process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Available {
    /// In bytes.
    pub(crate) bytes: u64,
    /// What has so much, in words.
    pub(crate) of: String,
}

/// The memory for this process: that of the machine, or of its service or container where that has
/// less. `None` where the system does not say.
#[must_use]
pub(crate) fn available() -> Option<Available> {
    available_to("self")
}

/// The same for another process, by its id.
#[must_use]
pub(crate) fn available_to(pid: &str) -> Option<Available> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let machine = machine().map(|bytes| Available { bytes, of: "this machine".to_owned() });
    machine.into_iter().chain(granted(&groups, Path::new("/sys/fs/cgroup"))).min_by_key(|a| a.bytes)
}

/// The machine's memory. Asked of the kernel and not of `/proc/meminfo`, which a service with
/// `ProcSubset=pid` does not see.
#[cfg(target_os = "linux")]
fn machine() -> Option<u64> {
    Some(nix::sys::sysinfo::sysinfo().ok()?.ram_total())
}

#[cfg(not(target_os = "linux"))]
const fn machine() -> Option<u64> {
    None
}

/// What the control groups of a process leave it, by its `/proc/PID/cgroup`: each group's limit holds
/// for those inside it. `MemoryMax=` of a unit is one of them, and what a container was started with.
fn granted(groups: &str, root: &Path) -> Option<Available> {
    let lines = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        match controllers {
            "" => Some((root.to_owned(), path, "memory.max")),
            "memory" => Some((root.join("memory"), path, "memory.limit_in_bytes")),
            _ => None,
        }
    });
    let limits = lines.flat_map(|(root, path, file)| {
        let own = root.join(path.trim_start_matches('/'));
        let up = own.ancestors().take_while(|folder| folder.starts_with(&root));
        let limit = |folder: &Path| {
            let bytes = fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()?;
            let name = folder.strip_prefix(&root).ok()?.display().to_string();
            let of = if name.is_empty() {
                "this container".to_owned()
            } else {
                format!("the control group {name} (MemoryMax= of a unit)")
            };
            Some(Available { bytes, of })
        };
        up.filter_map(limit).collect::<Vec<_>>()
    });
    limits.min_by_key(|available| available.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_limits_hold_no_more_than_512_mib() {
        let ceiling = ceiling(&Limits::default(), 1, 1);
        assert!(ceiling.bytes() <= 512 << 20, "{}", describe(&ceiling));
    }

    #[test]
    fn every_limit_that_counts_moves_the_ceiling() {
        let limits = Limits::default();
        let before = ceiling(&limits, 1, 1).bytes();
        for more in [
            Limits { connections: limits.connections + 1, ..limits.clone() },
            Limits { outbound_total_bytes: limits.outbound_total_bytes + 1, ..limits.clone() },
            Limits { inbound_total_bytes: limits.inbound_total_bytes + 1, ..limits.clone() },
            Limits { replay_total_bytes: limits.replay_total_bytes + 1, ..limits.clone() },
            Limits { voice_states: limits.voice_states + 1, ..limits.clone() },
            Limits { channels: limits.channels + 1, ..limits.clone() },
            Limits { parked: limits.parked + 1, ..limits.clone() },
            Limits { sessions: limits.sessions + 1, ..Limits::default() },
        ] {
            assert!(ceiling(&more, 1, 1).bytes() > before);
        }
        assert!(ceiling(&limits, 2, 1).bytes() > before && ceiling(&limits, 1, 2).bytes() > before);
    }

    #[test]
    fn the_least_of_the_control_groups_around_a_process_is_what_it_has() {
        let root = std::env::temp_dir().join(format!("lvsp-groups-{}", std::process::id()));
        let service = root.join("system.slice/lvsp-mio.service");
        fs::create_dir_all(&service).unwrap();
        let said = |groups: &str| granted(groups, &root).map(|found| (found.bytes, found.of));
        let own = "0::/system.slice/lvsp-mio.service\n";
        assert_eq!(said(own), None, "no group says anything");
        fs::write(service.join("memory.max"), "268435456\n").unwrap();
        fs::write(root.join("system.slice/memory.max"), "max\n").unwrap();
        let (bytes, of) = said(own).unwrap();
        assert_eq!(bytes, 256 << 20);
        assert!(of.contains("system.slice/lvsp-mio.service"), "{of}");
        assert_eq!(said("0::/system.slice\n"), None, "not that of another");
        fs::write(root.join("system.slice/memory.max"), "134217728\n").unwrap();
        assert_eq!(said(own).unwrap().0, 128 << 20, "that around it is narrower");
        // As a container sees its own.
        fs::write(root.join("memory.max"), "1048576\n").unwrap();
        assert_eq!(said("0::/\n").unwrap(), (1 << 20, "this container".to_owned()));
        fs::create_dir_all(root.join("memory/old")).unwrap();
        fs::write(root.join("memory/old/memory.limit_in_bytes"), "4096\n").unwrap();
        assert_eq!(said("5:cpu:/x\n4:memory:/old\n").unwrap().0, 4_096);
        fs::remove_dir_all(&root).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_says_how_much_memory_it_has() {
        assert!(available().unwrap().bytes > 1 << 24);
        assert_eq!(mebibytes(3 << 19), "1.5 MiB");
    }
}
