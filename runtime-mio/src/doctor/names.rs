//! Does `gateway.endpoint` lead to this server?

use std::net::{IpAddr, Ipv4Addr, ToSocketAddrs};

use super::{Finding, host_and_port};
use crate::config::File;

const KEY: &str = "gateway.endpoint";

pub(super) fn look(file: &File) -> Vec<Finding> {
    // That it is missing is found by the look at the whole.
    let Some(endpoint) = &file.gateway.endpoint else { return Vec::new() };
    let Some((host, port)) = host_and_port(endpoint) else {
        return vec![Finding::error(
            KEY,
            format!("{endpoint:?} is no host:port"),
            "write it as in endpoint = \"voice.example.org:443\"",
        )];
    };
    let mut findings = Vec::new();
    if port != file.gateway.listen.port() {
        findings.push(Finding::warning(
            KEY,
            format!("clients dial port {port}, and gateway.listen = {}", file.gateway.listen),
            "right where a proxy or router leads from one port to the other; otherwise make them equal",
        ));
    }
    if host.parse::<IpAddr>().is_ok() && !file.gateway.listen.ip().is_loopback() {
        findings.push(Finding::warning(
            KEY,
            format!("{host} is an address"),
            "give a name: some client libraries refuse an endpoint that begins with a digit, and \
             public certificates are for names",
        ));
        return findings;
    }
    let resolved = (host, port).to_socket_addrs();
    let resolved = resolved.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>());
    findings.push(judge(host, resolved.map_err(|error| error.to_string()), file.media.public_ip));
    findings
}

/// What a name resolves to, against where media is sent.
fn judge(host: &str, resolved: Result<Vec<IpAddr>, String>, public: Option<Ipv4Addr>) -> Finding {
    let addresses = match resolved {
        Ok(addresses) => addresses,
        Err(error) => {
            return Finding::error(
                KEY,
                format!("{host} does not resolve: {error}"),
                match public {
                    Some(public) => format!("make a DNS record of it: {host} A {public}"),
                    None => "make a DNS record of it, or give the name that has one".to_owned(),
                },
            );
        }
    };
    let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match public {
        Some(public) if !addresses.contains(&IpAddr::V4(public)) => Finding::warning(
            KEY,
            format!("{host} resolves to {list}, and media.public_ip = {public} is not among that"),
            "right behind a proxy on another host; otherwise the DNS record or media.public_ip is \
             wrong",
        ),
        _ => Finding::ok(KEY, format!("{host} resolves to {list}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Severity;
    use super::*;

    #[test]
    fn a_name_leads_here_or_elsewhere_or_nowhere() {
        let public = Some(Ipv4Addr::new(8, 8, 4, 4));
        let to = |ip: &str| Ok(vec![ip.parse().unwrap()]);
        assert_eq!(judge("a.test", to("8.8.4.4"), public).severity, Severity::Ok);
        let elsewhere = judge("a.test", to("8.8.8.8"), public);
        assert_eq!(elsewhere.severity, Severity::Warning);
        assert!(elsewhere.what.contains("resolves to 8.8.8.8, and media.public_ip = 8.8.4.4"));
        let nowhere = judge("a.test", Err("unknown".to_owned()), public);
        assert_eq!(nowhere.severity, Severity::Error);
        assert_eq!(nowhere.remedy.as_deref(), Some("make a DNS record of it: a.test A 8.8.4.4"));
    }
}
