//! What doctor sees of what stands in front of the gateway: real proxies on loopback, before a server
//! starts and beside one that runs.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test may panic: that is its verdict"
)]

mod common;

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, SystemTime};

use lvsp_mio::development::{Authority, Files};
use serde_json::Value;

use common::SECRET;
use common::process::{Directory, Process, lvsp};
use common::proxy::{Proxy, Says};

const PROXIES: &str = "gateway.trusted_proxies";
const DAY: Duration = Duration::from_secs(86_400);
const XFF: Says = Says::Header("X-Forwarded-For: ");
const FORWARDED: Says = Says::Header("Forwarded: for=");
const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1/32\"]\n";
const BY_PROTOCOL: &str = "client_address = \"proxy-protocol\"\n";

/// A certificate from and until so many days from now.
fn certificate(name: &str, from: i32, until: i32) -> Files {
    let at = |days: i32| match u32::try_from(days) {
        Ok(days) => SystemTime::now() + days * DAY,
        Err(_) => SystemTime::now() - days.unsigned_abs() * DAY,
    };
    let names = [name.to_owned()];
    Authority::new().unwrap().issue_between(&names, at(from), at(until)).unwrap()
}

/// A configuration of a gateway at an address of its own.
struct Site {
    directory: Directory,
    own: Files,
    gateway: SocketAddr,
}

impl Site {
    fn new() -> Self {
        // Of an address that nobody else takes ports of, so that it stays free.
        let gateway = TcpListener::bind("127.66.83.1:0").unwrap().local_addr().unwrap();
        let (directory, own) = (Directory::new(), certificate("127.0.0.1", -1, 90));
        directory.write("chain.pem", &own.certificate);
        directory.write("key.pem", &own.key);
        Self { directory, own, gateway }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Clients dial `endpoint`; with more keys of `[gateway]`.
    fn configuration(&self, endpoint: SocketAddr, tls: bool, keys: &str) -> String {
        let tls = if tls {
            format!(
                "certificate = {:?}\nkey = {:?}\n",
                self.path("chain.pem"),
                self.path("key.pem")
            )
        } else {
            "off = true\n".to_owned()
        };
        let text = format!(
            "[control]\nlisten = \"127.0.0.1:0\"\nsecret = \"{SECRET}\"\n[media]\n\
             listen = \"127.0.0.1:0\"\n[tls]\n{tls}[gateway]\nlisten = \"{}\"\n\
             endpoint = \"{endpoint}\"\n{keys}",
            self.gateway
        );
        self.directory.write("lvsp.toml", &text)
    }
}

/// One finding: severity, what was found, and all lines that are to be written.
type Found = (String, String, Vec<String>);

/// What doctor finds about a key; everything that is not well has lines to write.
fn examine(configuration: &str, about: &str, variables: &[(&str, &str)]) -> Vec<Found> {
    let mut command = lvsp(&["doctor", "--json", "--config", configuration]);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = Vec::new();
    for finding in report["findings"].as_array().unwrap() {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let changes = finding["changes"].as_array().cloned().unwrap_or_default();
        let steps = changes.iter().flat_map(|change| change["steps"].as_array().unwrap());
        let steps: Vec<_> = steps.collect();
        let lines = steps.iter().flat_map(|step| step["lines"].as_array().unwrap());
        let lines: Vec<_> = lines.map(|line| line.as_str().unwrap().to_owned()).collect();
        assert_eq!(lines.is_empty(), text("severity") == "ok", "{finding}");
        assert!(steps.iter().all(|step| step["place"].is_string()), "{finding}");
        if text("about") == about {
            found.push((text("severity"), text("what"), lines));
        }
    }
    found
}

#[track_caller]
fn assert_found(found: &[Found], severity: &str, said: &str, line: &str) {
    let is_it = |(how, what, lines): &Found| {
        how == severity
            && what.contains(said)
            && (line.is_empty() || lines.iter().any(|one| one == line))
    };
    assert!(found.iter().any(is_it), "{severity} {said:?} {line:?} is missing in:\n{found:#?}");
}

#[test]
fn how_a_proxy_names_its_clients_is_seen_before_the_server_starts() {
    let site = Site::new();
    let says = "a proxy or a router, which does not say";
    let begins = "does not begin with the PROXY protocol";
    for (way, tls, keys, severity, said, line) in [
        // Through TLS that ends at the server.
        (Says::Nothing, true, "", "warning", says, "proxy_protocol on;"),
        (Says::Nothing, true, TRUSTED, "warning", says, "proxy_protocol on;"),
        (
            Says::Nothing,
            true,
            &[TRUSTED, BY_PROTOCOL].concat(),
            "error",
            begins,
            "proxy_protocol on;",
        ),
        (
            Says::Line,
            true,
            &[TRUSTED, BY_PROTOCOL].concat(),
            "ok",
            "says by proxy-protocol that",
            "",
        ),
        (
            Says::Line,
            true,
            "",
            "error",
            "is not among gateway.trusted_proxies, and gateway.client_address = \
             \"x-forwarded-for\"",
            "client_address = \"proxy-protocol\"",
        ),
        // The proxy ends TLS.
        (XFF, false, TRUSTED, "ok", "says by x-forwarded-for that its client is 127.0.0.1", ""),
        (XFF, false, "", "warning", "not among", "trusted_proxies = [\"127.0.0.1/32\"]"),
        (
            FORWARDED,
            false,
            TRUSTED,
            "warning",
            "says by forwarded who its client is, and gateway.client_address = \"x-forwarded-for\"",
            "client_address = \"forwarded\"",
        ),
        (
            Says::Nothing,
            false,
            TRUSTED,
            "warning",
            says,
            "proxy_set_header X-Forwarded-For $remote_addr;",
        ),
        (Says::Line, false, &[TRUSTED, BY_PROTOCOL].concat(), "ok", "says by proxy-protocol", ""),
    ] {
        let theirs = certificate("127.0.0.1", -1, 90);
        let proxy = Proxy::start(site.gateway, way, (!tls).then_some(&theirs));
        let configuration = site.configuration(proxy.address, tls, keys);
        assert_found(&examine(&configuration, PROXIES, &[]), severity, said, line);
    }
    // Nobody in between.
    let configuration = site.configuration(site.gateway, true, "");
    assert_found(&examine(&configuration, PROXIES, &[]), "ok", "arrives directly", "");
}

#[test]
fn a_running_server_is_asked_what_proxies_said() {
    for (says, severity, said, line) in [
        (Says::Line, "ok", "said by proxy-protocol who their client is", ""),
        (Says::Nothing, "warning", "ended because of how a proxy", "proxy_protocol on;"),
    ] {
        let site = Site::new();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
        let keys = [TRUSTED, BY_PROTOCOL].concat();
        let served = site.configuration(nowhere, true, &keys);
        let variables = [("LVSP_ADMIN__LISTEN", "127.0.0.1:0")];
        let server = Process::start_as(lvsp(&["serve", "--config", &served]), &variables);
        let (_, admin) = server.said.trim_end().rsplit_once("admin ").unwrap();
        let proxy = Proxy::start(server.gateway, says, None);
        let configuration = site.configuration(proxy.address, true, &keys);
        let gateway = server.gateway.to_string();
        let variables = [("LVSP_GATEWAY__LISTEN", &*gateway), ("LVSP_ADMIN__LISTEN", admin)];
        assert_found(&examine(&configuration, PROXIES, &variables), severity, said, line);
        // Without an admin plane nothing is claimed.
        let found = examine(&configuration, PROXIES, &variables[..1]);
        assert_found(&found, "ok", "was not seen", "");
    }
}

#[test]
fn proxies_that_never_came_are_told() {
    let site = Site::new();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let keys = "trusted_proxies = [\"10.9.8.7/32\"]\n";
    let served = site.configuration(nowhere, true, keys);
    let variables = [("LVSP_ADMIN__LISTEN", "127.0.0.1:0")];
    let server = Process::start_as(lvsp(&["serve", "--config", &served]), &variables);
    let (_, admin) = server.said.trim_end().rsplit_once("admin ").unwrap();
    let configuration = site.configuration(server.gateway, true, keys);
    let gateway = server.gateway.to_string();
    let variables = [("LVSP_GATEWAY__LISTEN", &*gateway), ("LVSP_ADMIN__LISTEN", admin)];
    let line = "trusted_proxies = [\"10.9.8.7/32\", \"127.0.0.1/32\"]";
    let found = examine(&configuration, PROXIES, &variables);
    assert_found(&found, "warning", "no connection has come from these addresses", line);
    let found = examine(&configuration, "gateway.endpoint", &variables);
    assert_found(&found, "ok", "presents tls.certificate", "");
}

#[test]
fn the_certificate_that_clients_are_shown_is_looked_at() {
    let site = Site::new();
    let expired = certificate("voice.example.org", -30, -2);
    let proxy = Proxy::start(site.gateway, XFF, Some(&expired));
    let configuration = site.configuration(proxy.address, false, TRUSTED);
    let found = examine(&configuration, "gateway.endpoint", &[]);
    let renew = "certbot renew --cert-name 127.0.0.1 --force-renewal";
    assert_found(&found, "error", "it expired 2 days ago", renew);
    let other = format!("endpoint = \"voice.example.org:{}\"", proxy.address.port());
    assert_found(&found, "error", "it is for voice.example.org and not for 127.0.0.1", &other);
    // The server's own is well, and clients are shown another.
    let configuration = site.configuration(proxy.address, true, "");
    let found = examine(&configuration, "gateway.endpoint", &[]);
    assert_found(&found, "warning", "presents another certificate", "systemctl reload lvsp-mio");
    assert_found(&found, "error", "it expired 2 days ago", renew);
    drop(proxy);
    // Through a relay that leaves TLS alone it is the server's own.
    let proxy = Proxy::start(site.gateway, Says::Nothing, None);
    let configuration = site.configuration(proxy.address, true, "");
    let found = examine(&configuration, "gateway.endpoint", &[]);
    assert_found(&found, "ok", "presents tls.certificate", "");
}

#[test]
fn an_endpoint_that_leads_elsewhere_or_nowhere_or_is_not_in_tls_is_told() {
    let site = Site::new();
    let elsewhere = Site::new();
    let other = Process::start(&[("LVSP_CONTROL__SECRET", SECRET), ("LVSP_TLS__OFF", "true")]);
    let proxy = Proxy::start(other.gateway, Says::Nothing, Some(&site.own));
    let configuration = site.configuration(proxy.address, true, "");
    let found = examine(&configuration, "gateway.endpoint", &[]);
    let line = format!("proxy_pass http://{};", site.gateway);
    assert_found(&found, "warning", "the connection does not arrive at gateway.listen", &line);

    let configuration = site.configuration(elsewhere.gateway, true, "");
    let found = examine(&configuration, "gateway.endpoint", &[]);
    assert_found(&found, "warning", "does not come about: Connection refused", "");

    let configuration = site.configuration(site.gateway, false, "");
    let found = examine(&configuration, "gateway.endpoint", &[]);
    let line = format!("listen {} ssl;", site.gateway.port());
    assert_found(&found, "warning", "answers, but not in TLS", &line);
}
