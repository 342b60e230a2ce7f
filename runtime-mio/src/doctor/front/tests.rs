//! What is concluded where nothing can be seen, and what counts of a running server mean. What is seen
//! is tried out with real proxies in `tests/front.rs`.

use super::super::Severity;
use super::running::{self, Proxied};
use super::*;

fn file(trusted: bool, foreign: ForeignUdp) -> File {
    let mut file = File::default();
    file.tls.off = true;
    file.media.foreign_udp = foreign;
    if trusted {
        file.gateway.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    }
    file
}

#[test]
fn a_proxy_that_may_hide_clients_is_warned_of_by_the_configuration_alone() {
    for (trusted, foreign, severity) in [
        (false, ForeignUdp::Guarded, Severity::Warning),
        (false, ForeignUdp::Strict, Severity::Warning),
        (false, ForeignUdp::Open, Severity::Ok),
        (true, ForeignUdp::Guarded, Severity::Ok),
    ] {
        let finding = conclude(&file(trusted, foreign)).unwrap();
        assert_eq!(finding.severity, severity, "{trusted} {foreign:?}");
        assert_eq!(finding.changes.is_empty(), severity == Severity::Ok, "{finding:?}");
    }
    assert_eq!(conclude(&File::default()), None, "no proxy needs to be there");
}

#[test]
fn nothing_has_to_be_passed_on_where_nothing_is_compared() {
    let peer = "10.0.0.7:5".parse().unwrap();
    let open = judge(&file(false, ForeignUdp::Open), Arrival::Silent(peer));
    assert_eq!(open.severity, Severity::Ok);
    let guarded = judge(&file(false, ForeignUdp::Guarded), Arrival::Silent(peer));
    let lines: Vec<_> =
        guarded.changes.iter().map(|change| change.lines().pop().unwrap()).collect();
    let wanted = [
        "proxy_set_header X-Forwarded-For $remote_addr;",
        "trusted_proxies = [\"10.0.0.7/32\"]",
        "LVSP_MEDIA__FOREIGN_UDP=open",
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn what_a_running_server_counted_of_proxies_is_judged_by_the_worst() {
    let file = file(true, ForeignUdp::Guarded);
    for (named, silent, refused, severity, said) in [
        (7, 0, 0, Severity::Ok, "all 7 connections"),
        (7, 2, 0, Severity::Warning, "2 of 9 connections"),
        (7, 2, 1, Severity::Warning, "1 of 10 connections since the server started ended"),
        (0, 0, 0, Severity::Warning, "no connection has come"),
    ] {
        let finding = running::judge(&file, Proxied { named, silent, refused });
        assert_eq!(finding.severity, severity, "{finding:?}");
        assert!(finding.what.contains(said), "{finding:?}");
    }
    let counted = |refused| Proxied { named: 0, silent: 0, refused };
    assert_eq!(running::unnamed(&file, counted(0)), None);
    let finding = running::unnamed(&file, counted(3)).unwrap();
    assert!(finding.what.starts_with("3 connections"), "{finding:?}");
    assert!(finding.changes[0].lines().contains(&"LVSP_GATEWAY__CLIENT_ADDRESS=proxy-protocol"));
}
