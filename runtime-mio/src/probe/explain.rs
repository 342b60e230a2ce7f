//! What a failure means, and what to do: by what was heard of it, and never by guessing alone.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lvsp_core::reasons::CloseReason;
use lvsp_core::transport::{Stage, TlsFailure};
use lvsp_core::wire::close;
use serde::Serialize;

/// Why a step failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Failure {
    /// What happened.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// Which of the server's listeners.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Listener {
    Control,
    Gateway,
}

impl Listener {
    const fn key(self) -> &'static str {
        match self {
            Self::Control => "control.listen",
            Self::Gateway => "gateway.listen",
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::Control => "--control",
            Self::Gateway => "gateway.endpoint (or --endpoint)",
        }
    }
}

/// Where a connection went and under which name.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Whose connection it is, for people.
    pub(super) of: &'static str,
    /// Which voice client's it is, if it is one's.
    pub(super) at: usize,
    pub(super) listener: Listener,
    pub(super) address: SocketAddr,
    /// What the certificate has to be for.
    pub(super) name: String,
    pub(super) is_tls: bool,
}

impl Route {
    /// No TCP connection came about.
    pub(super) fn no_connection(&self, error: Option<&io::Error>) -> Failure {
        let Self { listener, address, .. } = self;
        let (key, option) = (listener.key(), listener.option());
        match error.map(io::Error::kind) {
            Some(ErrorKind::ConnectionRefused) => Failure::new(
                format!(
                    "{address} refuses connections: nothing listens there, or a firewall says no"
                ),
                format!(
                    "start the server, and see that {option} leads to its {key}; one that listens \
                     on 127.0.0.1 is reached from its own host alone"
                ),
            ),
            Some(ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable) => Failure::new(
                format!("there is no route to {address}"),
                format!("see that {option} names an address that this host can reach"),
            ),
            Some(_) => Failure::new(
                format!(
                    "no connection to {address}: {}",
                    error.map_or_else(String::new, ToString::to_string)
                ),
                format!("see that {option} leads to the server's {key}"),
            ),
            None => Failure::new(
                format!("{address} does not answer"),
                format!(
                    "open TCP port {} in the firewall of the server and of its provider \
                     (`lvsp-mio ports`), and see that {option} names the right host",
                    address.port()
                ),
            ),
        }
    }

    /// A connection ended, or broke, before anything that this side asked for.
    pub(super) fn ended(
        &self,
        stage: Stage,
        code: Option<u16>,
        failure: Option<CloseReason>,
        tls: Option<&TlsFailure>,
    ) -> Failure {
        if let Some(tls) = tls {
            return self.tls(tls);
        }
        if let Some(code) = code {
            return self.closed(code);
        }
        let address = self.address;
        match failure {
            Some(CloseReason::BadUpgrade) if !self.is_tls => Failure::new(
                format!("{address} does not answer as a voice server without TLS does"),
                "the port may speak TLS: leave --plain out and name its authority with --ca; or it \
                 belongs to another program",
            ),
            Some(CloseReason::BadUpgrade) => Failure::new(
                format!("{address} speaks TLS and refuses the upgrade to WebSocket"),
                "the port belongs to another program, or a proxy in front does not pass WebSocket \
                 on (nginx: proxy_http_version 1.1 and the Upgrade and Connection headers)",
            ),
            Some(reason) => Failure::new(
                format!("the connection to {address} failed: {}", reason.name()),
                "see what the server's log says at this time",
            ),
            None => self.ended_silently(stage),
        }
    }

    /// The server said by a close code why it ended the connection.
    fn closed(&self, code: u16) -> Failure {
        let address = self.address;
        let (what, remedy) = match (code, self.listener) {
            (close::CONTROL_AUTHENTICATION_FAILED, Listener::Control) => (
                format!("{address} refuses the secret"),
                "give the secret that stands in control.secret, control.secret_file or the \
                 [[control.client]] of the server's configuration; a file may end with a line \
                 break, but no other character more",
            ),
            (close::CONTROL_GENERAL, Listener::Control) => (
                format!("a chat server is connected to {address} under this secret"),
                "add a [[control.client]] for the probe to the server's configuration, with a name \
                 and a secret of its own, and give that secret",
            ),
            (close::GATEWAY_SESSION_INVALID, Listener::Gateway) => (
                format!("{address} does not know the session"),
                "see that the endpoint leads to the same server as the control connection, and not \
                 to another behind the same name",
            ),
            (close::GATEWAY_DISCONNECTED, Listener::Gateway) => (
                "a chat server removed the probe's client".to_owned(),
                "try again; a chat server that removes users it does not know needs to let the \
                 probe have a [[control.client]] of its own",
            ),
            (close::GATEWAY_RESTARTING, Listener::Gateway) => {
                (format!("{address} is about to stop"), "try again when it has started anew")
            }
            (_, Listener::Control | Listener::Gateway) => (
                format!("{address} closed the connection"),
                "see what the server's log says at this time",
            ),
        };
        Failure::new(format!("{what} (close code {code})"), remedy)
    }

    fn tls(&self, failure: &TlsFailure) -> Failure {
        let Self { address, name, .. } = self;
        match failure {
            TlsFailure::NotTls => Failure::new(
                format!("{address} answers, but not in TLS"),
                "the server has tls.off = true (then use --plain), or the port belongs to another \
                 program",
            ),
            TlsFailure::Expired => Failure::new(
                format!("the certificate of {address} has expired: clients refuse it"),
                "renew tls.certificate on the server; it takes the new files by itself. If it is \
                 valid, the clock of this host is wrong",
            ),
            TlsFailure::NotYetValid => Failure::new(
                format!("the certificate of {address} is not valid yet"),
                "set the clock of this host or of the one that made the certificate right",
            ),
            TlsFailure::OtherName => Failure::new(
                format!("the certificate of {address} is for other names than {name:?}"),
                format!(
                    "get a certificate for {name:?}, or {}",
                    match self.listener {
                        Listener::Control =>
                            "say with --name which name of it the control listener goes by",
                        Listener::Gateway =>
                            "change gateway.endpoint to a name that it is for: clients check that \
                             one",
                    }
                ),
            ),
            TlsFailure::UnknownAuthority => Failure::new(
                format!("the certificate of {address} is of an authority that is not trusted here"),
                "for a private authority give its certificate with --ca; for a public one the \
                 server's tls.certificate lacks the intermediate certificates (certbot: use \
                 fullchain.pem). Clients that do not trust it either refuse to connect",
            ),
            other @ (TlsFailure::Other(_) | _) => Failure::new(
                format!("no TLS with {address}: {other}"),
                "see that nothing between here and the server changes what is sent",
            ),
        }
    }

    /// The server ended it and said nothing.
    fn ended_silently(&self, stage: Stage) -> Failure {
        let Self { address, listener, .. } = self;
        let what = format!("{address} ended the connection without a word");
        let remedy = match (stage, listener) {
            (Stage::Open | Stage::Closing, _) => {
                "see what the server's log says at this time".to_owned()
            }
            (_, Listener::Control) => "the server may refuse this host: see control.allow, and \
                                       wait a minute after several wrong secrets \
                                       (limits.control_failures); or the port belongs to another \
                                       program"
                .to_owned(),
            (_, Listener::Gateway) => "the server may have as many connections as it takes \
                                       (limits.unauthenticated_per_address), or a proxy in front \
                                       does not reach it"
                .to_owned(),
        };
        Failure::new(what, remedy)
    }

    /// A connection stands, and something that should come does not.
    pub(super) fn silent(&self, step: &str) -> Failure {
        let Self { address, is_tls, .. } = self;
        let remedy = match (step, *is_tls) {
            ("TLS", _) => {
                "the port belongs to a program that waits for something else, or a firewall lets \
                 connections through and not what is said (a wrong MTU, say)"
            }
            ("upgrade", false) => {
                "does this port speak TLS? Then leave --plain out; otherwise it belongs to another \
                 program"
            }
            _ => "see what the server's log says at this time; one that is overloaded answers late",
        };
        Failure::new(format!("{address} says nothing: no {step}"), remedy)
    }
}

/// Discovery requests are not answered.
pub(super) fn no_discovery(media: SocketAddr, unsendable: Option<&io::Error>) -> Failure {
    let why = unsendable.map_or_else(String::new, |error| format!(" ({error})"));
    let is_private = |ip: &Ipv4Addr| ip.is_private() || ip.is_loopback();
    let private = match media.ip() {
        IpAddr::V4(ip) if is_private(&ip) => format!(
            "; {ip} is an address that only hosts of its own network reach: is media.public_ip \
             right?"
        ),
        IpAddr::V4(_) | IpAddr::V6(_) => String::new(),
    };
    Failure::new(
        format!("no discovery answer from {media} over UDP{why}"),
        format!(
            "open UDP port {} in the firewall of the server and of its provider (`lvsp-mio ports` \
             there), forward it if the server is behind a router, and see that media.public_ip is \
             the address that clients reach it at{private}",
            media.port()
        ),
    )
}

/// Discovery was answered, and what one client says does not come to the other.
pub(super) fn not_heard(media: SocketAddr) -> Failure {
    Failure::new(
        format!("nothing of what one client sends to {media} comes to the other"),
        "a firewall may let small datagrams through alone, or the server drops what comes from \
         here: see media.foreign_udp if this host reaches TCP and UDP from different addresses, \
         and the server's log",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(listener: Listener, is_tls: bool) -> Route {
        let address = "192.0.2.1:443".parse().unwrap();
        Route { of: "client 1", at: 0, listener, address, name: "voice.test".to_owned(), is_tls }
    }

    #[test]
    fn causes_are_told_apart_and_each_names_what_to_change() {
        let gateway = route(Listener::Gateway, true);
        let control = route(Listener::Control, true);
        let plain = route(Listener::Control, false);
        let tls = |failure| {
            gateway.ended(Stage::Closed, None, Some(CloseReason::TlsFailed), Some(&failure))
        };
        let closed = |route: &Route, code| route.ended(Stage::Open, Some(code), None, None);
        let refused = io::Error::from(ErrorKind::ConnectionRefused);
        for (failure, what, remedy) in [
            (gateway.no_connection(None), "does not answer", "open TCP port 443"),
            (gateway.no_connection(Some(&refused)), "nothing listens", "start the server"),
            (tls(TlsFailure::Expired), "has expired", "renew tls.certificate"),
            (tls(TlsFailure::OtherName), "other names than \"voice.test\"", "gateway.endpoint"),
            (tls(TlsFailure::UnknownAuthority), "not trusted", "--ca"),
            (tls(TlsFailure::NotTls), "not in TLS", "--plain"),
            (
                closed(&control, close::CONTROL_AUTHENTICATION_FAILED),
                "the secret",
                "control.secret",
            ),
            (control.ended(Stage::Upgrade, None, None, None), "without a word", "control.allow"),
            (
                plain.ended(Stage::Closed, None, Some(CloseReason::BadUpgrade), None),
                "without TLS",
                "leave --plain out",
            ),
            (
                no_discovery("198.51.100.4:50000".parse().unwrap(), None),
                "198.51.100.4:50000",
                "open UDP port 50000",
            ),
        ] {
            assert!(failure.what.contains(what), "{failure:?}");
            assert!(failure.remedy.contains(remedy), "{failure:?}");
        }
        let private = no_discovery("10.0.0.4:50000".parse().unwrap(), None);
        assert!(
            private.remedy.contains("10.0.0.4 is an address that only hosts of its own network")
        );
    }
}
