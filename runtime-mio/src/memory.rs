//! How much memory the process can come to hold, and how much there is.

use std::fmt::Write as _;
use std::fs;

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
pub fn mebibytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
    let mebibytes = bytes as f64 / (1 << 20) as f64;
    format!("{mebibytes:.1} MiB")
}

/// The memory of this machine, or of this container where that has less. `None` where it does not
/// say.
#[must_use]
pub fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let container =
        limits.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    machine.into_iter().chain(container).min()
}

/// `MemTotal` in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1_024)
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
    fn memory_is_read_as_the_kernel_writes_it() {
        let text = "MemTotal:       16384256 kB\nMemFree:         1000 kB\n";
        assert_eq!(total(text), Some(16_384_256 * 1_024));
        assert_eq!(total("MemFree: 1 kB"), None);
        assert_eq!(mebibytes(3 << 19), "1.5 MiB");
    }
}
