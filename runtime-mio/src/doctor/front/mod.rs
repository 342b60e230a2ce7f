//! What answers where clients dial? Is its certificate right, and does a proxy in between say who its
//! clients are?
//!
//! Both are seen and not concluded: a connection is made to `gateway.endpoint`. Before the server
//! starts, doctor listens in its place (`arrival`) and sees how that connection arrives; beside a
//! running server, that is asked at `admin.listen` what proxies said. What clients elsewhere see may
//! differ where names or routes do.

mod arrival;
mod dial;
mod running;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::time::SystemTime;

use ipnet::IpNet;
use lvsp_core::config::{ClientAddress, ForeignUdp, Proxies};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::{Finding, certificate};
use crate::config::{Change, File, host_and_port, path_word};
use crate::entropy::OsEntropy;
use crate::ports::{self, Format};
use arrival::{Arrival, Place};
use dial::{Answer, Dial};

const ENDPOINT: &str = "gateway.endpoint";
const PROXIES: &str = "gateway.trusted_proxies";

pub(super) fn look(file: &File, now: SystemTime) -> Vec<Finding> {
    let Some((host, port)) = file.gateway.endpoint.as_deref().and_then(host_and_port) else {
        return conclude(file).into_iter().collect();
    };
    // That a name does not resolve is found by the look at names.
    let resolved = (host, port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    let Ok(addresses) = resolved else { return conclude(file).into_iter().collect() };
    let mark = OsEntropy::hex::<16>();
    let target = format!("/?v=8&doctor={mark}");
    let dial = Dial { host, addresses: &addresses, target: &target };
    let listen = file.gateway.listen;
    let bound = TcpListener::bind(listen);
    let is_held = bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    // A port of 0 is another one at each start: nothing leads there.
    let listener = bound.ok().filter(|_| listen.port() != 0);
    let identity = file.certificate_files().ok().flatten().and_then(|files| files.read().ok());
    let seen = match &listener {
        Some(listener) if file.tls.off || identity.is_some() => {
            let tls = identity.as_ref().map(|certificate| &certificate.identity);
            let place = Place { listener, tls, expected: file.gateway.client_address };
            place.observe(&dial, &mark)
        }
        _ => dial.connect().map(|answer| (answer, None)),
    };
    let (answer, arrival) = match seen {
        Ok(seen) => seen,
        Err(error) => {
            let mut findings = vec![nobody(file, port, &error)];
            findings.extend(if is_held { running::ask(file) } else { conclude(file) });
            return findings;
        }
    };
    let mut findings = presented(file, host, &answer, now);
    match (arrival, listener) {
        (Some(arrival), _) => findings.push(judge(file, arrival)),
        (None, Some(_)) => {
            findings.push(elsewhere(file, &answer));
            findings.extend(conclude(file));
        }
        (None, None) if is_held => findings.extend(running::ask(file)),
        (None, None) => findings.extend(conclude(file)),
    }
    findings
}

/// Nobody takes the connection, or keeps it.
fn nobody(file: &File, port: u16, error: &io::Error) -> Finding {
    let firewall = ports::describe(file, Format::Nft);
    let firewall = firewall.lines().find(|line| line.contains(" tcp ") && !line.starts_with('#'));
    let change = match firewall {
        Some(line) => Change::shell([line]),
        None => Change::proxy(format!("listen {port} ssl;")),
    };
    let endpoint = file.gateway.endpoint.as_deref().unwrap_or_default();
    Finding::warning(
        ENDPOINT,
        format!("a connection from here to {endpoint} does not come about: {error}"),
        "start what answers there (a proxy in front), open the port in the firewall, forward it in \
         the router; many routers do not send back what comes from inside: then `lvsp-mio probe` \
         from another network tells more",
        change,
    )
}

/// Somebody answers, and not the server's port.
fn elsewhere(file: &File, answer: &Answer) -> Finding {
    let listen = file.gateway.listen;
    let endpoint = file.gateway.endpoint.as_deref().unwrap_or_default();
    let status = answer.status.as_deref().unwrap_or("no HTTP");
    Finding::warning(
        ENDPOINT,
        format!(
            "{} answers at {endpoint} ({status}), and the connection does not arrive at \
             gateway.listen = {listen}",
            answer.remote
        ),
        "lead what answers there to the server's port, or correct the endpoint",
        Change::proxy(format!("proxy_pass http://{listen};")),
    )
    .or(file.places.set("gateway.listen", answer.remote.to_string()))
}

/// The certificate that clients are shown.
fn presented(file: &File, host: &str, answer: &Answer, now: SystemTime) -> Vec<Finding> {
    let endpoint = file.gateway.endpoint.as_deref().unwrap_or_default();
    let Some(chain) = &answer.chain else {
        let change = Change::proxy(format!("listen {} ssl;", answer.remote.port()));
        let what = format!("{endpoint} answers, but not in TLS");
        let remedy =
            "client libraries speak nothing else: let a proxy in front do so, or the server";
        // So it is where everything is tried out on one host.
        let make = if answer.remote.ip().is_loopback() { Finding::warning } else { Finding::error };
        return vec![
            make(ENDPOINT.to_owned(), what, remedy.to_owned(), change)
                .or(file.places.set("tls.off", false)),
        ];
    };
    let Ok(Some(files)) = file.certificate_files() else {
        return certificate::judge_served(file, chain, host, now);
    };
    let own: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .map(|chain| chain.flatten().collect())
        .unwrap_or_default();
    if own == *chain {
        return vec![Finding::ok(ENDPOINT, format!("{endpoint} presents tls.certificate"))];
    }
    let path = files.certificate.display();
    let mut findings = vec![
        Finding::warning(
            ENDPOINT,
            format!("{endpoint} presents another certificate than {path}, tls.certificate"),
            "right where a proxy in front has its own; a server that was not told of new files \
             keeps the earlier ones: reload it",
            Change::shell(["systemctl reload lvsp-mio"]),
        )
        .or(Change::proxy(format!("ssl_certificate {};", path_word(&files.certificate)))),
    ];
    findings.extend(certificate::judge_served(file, chain, host, now));
    findings
}

/// How our own connection arrived.
fn judge(file: &File, arrival: Arrival) -> Finding {
    let gateway = &file.gateway;
    let proxies = Proxies {
        trusted: gateway.trusted_proxies.clone(),
        client_address: gateway.client_address,
    };
    let endpoint = gateway.endpoint.as_deref().unwrap_or_default();
    match arrival {
        Arrival::Direct => Finding::ok(
            PROXIES,
            format!(
                "a connection from here to {endpoint} arrives directly: no proxy is in between"
            ),
        ),
        Arrival::Named(peer, how, client)
            if proxies.trusts(peer.ip()) && how == gateway.client_address =>
        {
            Finding::ok(
                PROXIES,
                format!(
                    "the proxy at {} says by {} that its client is {client}",
                    peer.ip(),
                    word(how)
                ),
            )
        }
        Arrival::Named(peer, how, _) => misunderstood(file, peer, how, proxies.trusts(peer.ip())),
        Arrival::Silent(peer) => silent(file, peer, proxies.trusts(peer.ip())),
    }
}

/// A proxy says who its client is, and the server would not take it so.
fn misunderstood(file: &File, peer: SocketAddr, how: ClientAddress, is_trusted: bool) -> Finding {
    let expected = file.gateway.client_address;
    let ip = peer.ip();
    let mut what = format!("the proxy at {ip} says by {} who its client is", word(how));
    if !is_trusted {
        what += ", and its address is not among gateway.trusted_proxies";
    }
    if how != expected {
        what += &format!(", and gateway.client_address = \"{}\"", word(expected));
    }
    // What begins a connection in another way than is expected ends it.
    let is_refused =
        how == ClientAddress::ProxyProtocol || expected == ClientAddress::ProxyProtocol;
    let is_fatal = is_refused && (how != expected || !is_trusted);
    what += if is_fatal {
        ": the server ends its connections"
    } else {
        ": to the server all clients are the proxy"
    };
    let trusted = file.gateway.trusted_proxies.iter().map(ToString::to_string);
    let trusted: Vec<_> = trusted.chain((!is_trusted).then(|| host_network(ip))).collect();
    let change = match (is_trusted, how == expected) {
        (false, true) => file.places.set(PROXIES, trusted),
        (true, _) => file.places.set("gateway.client_address", word(how)),
        (false, false) => file.places.set_all(
            "gateway",
            [("trusted_proxies", trusted.into()), ("client_address", word(how).into())],
        ),
    };
    let make = if is_fatal { Finding::error } else { Finding::warning };
    let remedy = "let the configuration take it as the proxy says it".to_owned();
    make(PROXIES.to_owned(), what, remedy, change)
}

/// Somebody in between says nothing of its client.
fn silent(file: &File, peer: SocketAddr, is_trusted: bool) -> Finding {
    let how = file.gateway.client_address;
    let ip = peer.ip();
    if is_trusted && how == ClientAddress::ProxyProtocol {
        let what = format!(
            "the proxy at {ip} does not begin with the PROXY protocol: the server ends its \
             connections"
        );
        return Finding::error(PROXIES, what, PASS_ON, setting(how));
    }
    if file.media.foreign_udp == ForeignUdp::Open {
        let what = format!(
            "connections come from {ip}, which does not say who its clients are, and \
             media.foreign_udp = \"open\" compares nothing with that"
        );
        return Finding::ok(PROXIES, what);
    }
    let what = format!(
        "connections arrive from {ip}, a proxy or a router, which does not say who its client is: \
         to the server all clients are there"
    );
    // What is inside TLS no proxy adds to.
    let by = if file.tls.off { how } else { ClientAddress::ProxyProtocol };
    let finding = Finding::warning(PROXIES, what, PASS_ON, setting(by));
    let finding = if is_trusted {
        finding
    } else {
        finding.or(file.places.set(PROXIES, vec![host_network(ip)]))
    };
    finding.or(file.places.set("media.foreign_udp", "open"))
}

const PASS_ON: &str = "let the proxy pass its clients' addresses on (docs/operating.md, behind a \
                       proxy), and name it in gateway.trusted_proxies";

/// What makes nginx say who its client is in this way.
fn setting(how: ClientAddress) -> Change {
    Change::proxy(match how {
        ClientAddress::ProxyProtocol => "proxy_protocol on;",
        ClientAddress::Forwarded => "proxy_set_header Forwarded \"for=$remote_addr\";",
        ClientAddress::XForwardedFor | _ => "proxy_set_header X-Forwarded-For $remote_addr;",
    })
}

/// The word of `gateway.client_address`.
const fn word(how: ClientAddress) -> &'static str {
    match how {
        ClientAddress::ProxyProtocol => "proxy-protocol",
        ClientAddress::Forwarded => "forwarded",
        ClientAddress::XForwardedFor | _ => "x-forwarded-for",
    }
}

/// The network of one address.
fn host_network(ip: IpAddr) -> String {
    IpNet::from(ip.to_canonical()).to_string()
}

/// What follows from the configuration alone: nothing could be seen.
fn conclude(file: &File) -> Option<Finding> {
    let is_named = !file.gateway.trusted_proxies.is_empty();
    if is_named {
        return Some(Finding::ok(
            PROXIES,
            "a proxy in front may say where clients are; whether it does was not seen",
        ));
    }
    if !file.tls.off {
        return None;
    }
    if file.media.foreign_udp == ForeignUdp::Open {
        return Some(Finding::ok(
            PROXIES,
            "clients' addresses are not known behind the proxy, and media.foreign_udp = \"open\" \
             compares nothing with them",
        ));
    }
    let finding = Finding::warning(
        PROXIES,
        "tls.off = true, so a proxy stands in front, and it may not say where clients are: for the \
         server all come from the proxy. Media is then sent to any address that it comes from, as \
         with media.foreign_udp = \"open\", if the proxy's address is private or loopback; \
         otherwise clients count as foreign and get three times what they send, or nothing under \
         \"strict\". And limits.unauthenticated_per_address is one share for all",
        "let the proxy pass clients' addresses on and name its address in gateway.trusted_proxies \
         (docs/operating.md, behind a proxy), or say media.foreign_udp = \"open\"",
        file.places.set(PROXIES, vec!["127.0.0.1/32"]),
    );
    Some(finding.or(file.places.set("media.foreign_udp", "open")))
}

#[cfg(test)]
mod tests;
