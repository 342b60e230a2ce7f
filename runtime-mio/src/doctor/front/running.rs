//! What a server that runs has seen of proxies, by its own admin plane.

use lvsp_core::config::ClientAddress;
use serde::Deserialize;

use super::{PASS_ON, PROXIES, conclude, setting, word};
use crate::config::File;
use crate::doctor::Finding;
use crate::healthcheck;

/// A part of the answer to `/v1/status`.
#[derive(Deserialize)]
struct Status {
    proxied: Proxied,
}

/// Connections of proxies since the server started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
pub(super) struct Proxied {
    pub(super) named: u64,
    pub(super) silent: u64,
    pub(super) refused: u64,
}

/// Asks it. Our own connection through the endpoint is among what it counted.
pub(super) fn ask(file: &File) -> Option<Finding> {
    let is_named = !file.gateway.trusted_proxies.is_empty();
    let Some(listen) = file.admin.listen else {
        let why = "the server runs and has no admin.listen that could be asked";
        return if is_named { Some(unseen(why)) } else { conclude(file) };
    };
    let answer = healthcheck::get(listen, "/v1/status");
    let status = answer.and_then(|body| Ok(serde_json::from_str::<Status>(&body)?));
    match status {
        Ok(Status { proxied }) if is_named => Some(judge(file, proxied)),
        Ok(Status { proxied }) => unnamed(file, proxied).or_else(|| conclude(file)),
        Err(error) if is_named => Some(unseen(&format!("{error:#}"))),
        Err(_) => conclude(file),
    }
}

fn unseen(why: &str) -> Finding {
    let what = "a proxy in front may say where clients are; whether it does was not seen";
    Finding::ok(PROXIES, format!("{what}: {why}"))
}

/// Somebody begins as proxies do, and none is believed.
pub(super) fn unnamed(file: &File, Proxied { refused, .. }: Proxied) -> Option<Finding> {
    (refused > 0).then(|| {
        let both = [
            ("trusted_proxies", vec!["127.0.0.1/32"].into()),
            ("client_address", word(ClientAddress::ProxyProtocol).into()),
        ];
        Finding::warning(
            PROXIES,
            format!(
                "{refused} connections since the server started ended because they began with the \
                 PROXY protocol, and no proxy is believed"
            ),
            "name the address that the proxy connects from, which stands in the server's log",
            file.places.set_all("gateway", both),
        )
    })
}

/// What the counts mean.
pub(super) fn judge(file: &File, proxied: Proxied) -> Finding {
    let Proxied { named, silent, refused } = proxied;
    let how = file.gateway.client_address;
    let all = named + silent + refused;
    if all == 0 {
        let trusted = file.gateway.trusted_proxies.iter().map(ToString::to_string);
        let trusted: Vec<_> = trusted.chain(["127.0.0.1/32".to_owned()]).collect();
        return Finding::warning(
            PROXIES,
            "no connection has come from these addresses since the server started, ours just now \
             included: the proxy connects from another address, or clients come without it",
            "name the address that the proxy connects from: the server's log names it beside each \
             connection that is refused",
            file.places.set(PROXIES, trusted),
        );
    }
    if refused > 0 {
        let what = format!(
            "{refused} of {all} connections since the server started ended because of how a proxy \
             began them, and gateway.client_address = \"{}\"",
            word(how)
        );
        return Finding::warning(PROXIES, what, PASS_ON, setting(how));
    }
    if silent > 0 {
        let what = format!(
            "{silent} of {all} connections of proxies since the server started did not say by {} \
             who their client is",
            word(how)
        );
        return Finding::warning(PROXIES, what, PASS_ON, setting(how));
    }
    let what = format!(
        "all {all} connections of proxies since the server started said by {} who their client is",
        word(how)
    );
    Finding::ok(PROXIES, what)
}
