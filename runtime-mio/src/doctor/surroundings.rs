//! What is around the server: a proxy in front, open files, memory, the clock.

use std::time::{Duration, SystemTime};

use lvsp_core::config::ForeignUdp;

use super::Finding;
use crate::config::File;
use crate::host;

/// 2026-01-01, in seconds: no host that runs this program lives before that.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);

pub(super) fn look(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    if file.tls.off {
        findings
            .push(judge_proxy(!file.gateway.trusted_proxies.is_empty(), file.media.foreign_udp));
    }
    findings.push(match host::open_files_hard_warning(&file.limits) {
        Some(warning) => Finding::warning(
            "limits.sessions",
            warning,
            "doctor sees the limit of where it runs; the unit of deploy/ sets its own",
        ),
        None => Finding::ok("limits.sessions", "enough files may be open for every session"),
    });
    findings.push(match file.memory_warning() {
        Some(warning) => Finding::warning(
            "limits",
            warning,
            "lower limits.sessions, connections, channels and voice_states to what is served",
        ),
        None => Finding::ok("limits", "the memory that they allow is there"),
    });
    findings.push(judge_clock(SystemTime::now(), clock_is_kept()));
    findings
}

/// Behind a proxy: does the server learn where clients are? It compares media's addresses with that.
fn judge_proxy(passes_addresses: bool, foreign: ForeignUdp) -> Finding {
    const KEY: &str = "gateway.trusted_proxies";
    if passes_addresses {
        return Finding::ok(KEY, "the proxy in front may say where clients are");
    }
    if foreign == ForeignUdp::Open {
        return Finding::ok(
            KEY,
            "clients' addresses are not known behind the proxy, and media.foreign_udp = \"open\" \
             compares nothing with them",
        );
    }
    Finding::warning(
        KEY,
        "tls.off = true, so a proxy stands in front, and it may not say where clients are: for the \
         server all come from the proxy. Media is then sent to any address that it comes from, as \
         with media.foreign_udp = \"open\", if the proxy's address is private or loopback; otherwise \
         clients count as foreign and get three times what they send, or nothing under \"strict\". \
         And limits.unauthenticated_per_address is one share for all",
        "let the proxy pass clients' addresses on and name its address in gateway.trusted_proxies \
         (docs/operating.md, behind a proxy), or say media.foreign_udp = \"open\"",
    )
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
    const SET: &str = "install chrony or run `timedatectl set-ntp true`; in a container this is the \
                       matter of the host outside";
    if now.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|since| since >= EARLIEST) {
        return match is_kept {
            Some(false) => {
                let what = "nothing keeps it right, as far as the kernel knows";
                Finding::warning(ABOUT, what, SET)
            }
            Some(true) => Finding::ok(ABOUT, "it is kept right"),
            None => Finding::ok(ABOUT, "it shows a year that is possible"),
        };
    }
    let what = "it is years behind: every certificate looks as if it were not valid yet";
    Finding::error(ABOUT, what, SET)
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn a_proxy_that_hides_clients_is_warned_of() {
        for (passes, foreign, severity) in [
            (false, ForeignUdp::Guarded, Severity::Warning),
            (false, ForeignUdp::Strict, Severity::Warning),
            (false, ForeignUdp::Open, Severity::Ok),
            (true, ForeignUdp::Guarded, Severity::Ok),
        ] {
            assert_eq!(judge_proxy(passes, foreign).severity, severity, "{passes} {foreign:?}");
        }
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
