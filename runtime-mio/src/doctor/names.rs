//! Does `gateway.endpoint` lead to this server?

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use super::Finding;
use crate::config::{Change, File, Places, host_and_port};

const KEY: &str = "gateway.endpoint";

pub(super) fn look(file: &File) -> Vec<Finding> {
    // That it is missing is found by the look at the whole.
    let Some(endpoint) = &file.gateway.endpoint else { return Vec::new() };
    let listen = file.gateway.listen;
    let Some((host, port)) = host_and_port(endpoint) else {
        let host = endpoint.split([':', '/']).find(|part| part.contains('.'));
        let right = format!("{}:{}", host.unwrap_or("voice.example.org"), listen.port());
        return vec![Finding::error(
            KEY,
            format!("{endpoint:?} is no host:port"),
            "write it as in endpoint = \"voice.example.org:443\"",
            file.places.set(KEY, right),
        )];
    };
    let mut findings = Vec::new();
    if port != listen.port() {
        let at_port = SocketAddr::new(listen.ip(), port).to_string();
        findings.push(
            Finding::warning(
                KEY,
                format!("clients dial port {port}, and gateway.listen = {listen}"),
                "right where a proxy or router leads from one port to the other; otherwise make \
                 them equal",
                file.places.set("gateway.listen", at_port),
            )
            .or(file.places.set(KEY, format!("{host}:{}", listen.port()))),
        );
    }
    if host.parse::<IpAddr>().is_ok() && !listen.ip().is_loopback() {
        findings.push(Finding::warning(
            KEY,
            format!("{host} is an address"),
            "give a name: some client libraries refuse an endpoint that begins with a digit, and \
             public certificates are for names",
            file.places.set(KEY, format!("voice.example.org:{port}")),
        ));
        return findings;
    }
    let resolved = (host, port).to_socket_addrs();
    let resolved = resolved.map(|found| found.map(|address| address.ip()).collect::<Vec<_>>());
    let resolved = resolved.map_err(|error| error.to_string());
    let public = file.media.public_ip;
    // One of the manual's example belongs to nobody, and must not come into a zone.
    let right = public.filter(|ip| !ip.is_documentation()).or_else(|| file.likely_public_ip());
    findings.push(judge(&file.places, host, resolved, public, right));
    findings
}

/// What a name resolves to, against where media is sent; `right` is where it should lead.
fn judge(
    places: &Places,
    host: &str,
    resolved: Result<Vec<IpAddr>, String>,
    public: Option<Ipv4Addr>,
    right: Option<Ipv4Addr>,
) -> Finding {
    let right = right.map_or_else(|| "...".to_owned(), |right| right.to_string());
    let record = Change::zone(format!("{host}. 300 IN A {right}"));
    let addresses = match resolved {
        Ok(addresses) => addresses,
        Err(error) => {
            let what = format!("{host} does not resolve: {error}");
            return Finding::error(KEY, what, "make a DNS record of it", record);
        }
    };
    let list = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match public {
        Some(public) if !addresses.contains(&IpAddr::V4(public)) => {
            let finding = Finding::warning(
                KEY,
                format!(
                    "{host} resolves to {list}, and media.public_ip = {public} is not among that"
                ),
                "right behind a proxy on another host; otherwise the DNS record or media.public_ip \
                 is wrong",
                record,
            );
            let first = addresses.iter().find(|ip| ip.is_ipv4());
            let change = first.map(|ip| places.set("media.public_ip", ip.to_string()));
            change.into_iter().fold(finding, Finding::or)
        }
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
        let judge = |resolved| judge(&Places::default(), "a.test", resolved, public, public);
        assert_eq!(judge(to("8.8.4.4")).severity, Severity::Ok);
        let elsewhere = judge(to("8.8.8.8"));
        assert_eq!(elsewhere.severity, Severity::Warning);
        assert!(elsewhere.what.contains("resolves to 8.8.8.8, and media.public_ip = 8.8.4.4"));
        let lines: Vec<_> = elsewhere.changes.iter().flat_map(|change| change.lines()).collect();
        assert_eq!(lines, ["a.test. 300 IN A 8.8.4.4", "LVSP_MEDIA__PUBLIC_IP=8.8.8.8"]);
        let nowhere = judge(Err("unknown".to_owned()));
        assert_eq!(nowhere.severity, Severity::Error);
        assert_eq!(nowhere.changes[0].lines(), ["a.test. 300 IN A 8.8.4.4"]);
    }

    #[test]
    fn the_address_of_the_example_is_proposed_for_no_zone() {
        let mut file = File::default();
        file.gateway.endpoint = Some("nowhere.invalid:8443".to_owned());
        file.media.public_ip = Some(Ipv4Addr::new(203, 0, 113, 7));
        let finding = look(&file).remove(0);
        assert_eq!(finding.severity, Severity::Error);
        assert!(!finding.changes[0].lines()[0].contains("203.0.113.7"), "{finding:?}");
    }

    #[test]
    fn an_endpoint_without_a_port_is_told_with_one() {
        let mut file = File::default();
        file.gateway.endpoint = Some("https://a.test/".to_owned());
        let finding = look(&file).remove(0);
        assert_eq!(finding.severity, Severity::Error);
        assert_eq!(finding.changes[0].lines(), ["LVSP_GATEWAY__ENDPOINT=a.test:8443"]);
        file.gateway.endpoint = Some("127.0.0.1:9443".to_owned());
        let finding = look(&file).remove(0);
        let lines: Vec<_> = finding.changes.iter().flat_map(|change| change.lines()).collect();
        assert_eq!(
            lines,
            ["LVSP_GATEWAY__LISTEN=127.0.0.1:9443", "LVSP_GATEWAY__ENDPOINT=127.0.0.1:8443"]
        );
        file.gateway.listen = "0.0.0.0:9443".parse().unwrap();
        let finding = look(&file).remove(0);
        assert!(finding.what.ends_with("is an address"), "{}", finding.what);
    }
}
