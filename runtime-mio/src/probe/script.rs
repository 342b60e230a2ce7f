//! What is tried in which order, and for how long.

use std::fmt::Display;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use lvsp_core::client::{ChatServer, FRAME_INTERVAL, Role as _, Ticket, VoiceClient};
use lvsp_core::crypto::mode::Mode;
use lvsp_core::ids::{ChannelId, UserId};
use lvsp_core::time::Timestamp;
use lvsp_core::transport::Stage as Reached;
use lvsp_core::transport::TlsTrust;
use lvsp_core::wire::gateway::Version;
use lvsp_core::wire::lvsp::VoiceRequest;
use lvsp_core::wire::rtp::SILENCE;

use super::explain::{self, Failure, Listener, Route};
use super::peer::Peer;
use super::report::{Report, Step, round};
use super::stage::{Seated, Stage};
use super::talk;
use super::target::Target;
use crate::clock;
use crate::entropy::OsEntropy;
use crate::entry;
use crate::progress::Progress;

/// No snowflake of today is as small, and no other tool of this program counts from these.
const CHANNEL: u64 = 8_400_000_000;
const USERS: u64 = 8_500_000_000;
const BITRATE: u32 = 64_000;
const VERSION: u8 = 8;
const CLIENTS: [&str; 2] = ["client 1", "client 2"];
/// Steps of a probe without TLS: four of the chat server, seven of each client, and what is heard.
const PLAIN_STEPS: u64 = 19;
/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// From the end to the last order: the server has read it by then.
const FAREWELL: Duration = Duration::from_secs(2);

/// Joins a server and lets two clients talk for `time`.
///
/// # Errors
/// When this host lacks what a probe needs. Whatever is wrong with the server stands in the report.
pub fn run(target: &Target, time: Duration, bar: &Progress) -> Result<Report> {
    let mut script = Script::new(target, bar)?;
    script.play(time)?;
    script.leave()?;
    bar.end();
    Ok(script.report)
}

/// `None` after a failure, which stands in the report then.
type Passed<T> = Result<Option<T>>;

struct Script<'a> {
    target: &'a Target,
    bar: &'a Progress,
    stage: Stage,
    report: Report,
    /// When the last step was passed.
    since: Timestamp,
}

/// Tries an expression of type `Passed` and leaves when a step failed.
macro_rules! passed {
    ($step:expr) => {
        match $step? {
            Some(value) => value,
            None => return Ok(None),
        }
    };
}

impl<'a> Script<'a> {
    fn new(target: &'a Target, bar: &'a Progress) -> Result<Self> {
        let tls = u64::from(target.control_trust.is_some())
            + CLIENTS.len() as u64 * u64::from(target.gateway_trust.is_some());
        bar.begin("probe", PLAIN_STEPS + tls);
        let (stage, report) = (Stage::new()?, Report::default());
        Ok(Self { target, bar, stage, report, since: clock::now() })
    }

    fn play(&mut self, time: Duration) -> Result<()> {
        if self.join()?.is_none() {
            return Ok(());
        }
        self.report.talk = talk::talk(&mut self.stage, time, self.bar)?;
        self.report.trouble = talk::trouble(&self.report.talk);
        self.report.passed = self.report.trouble.is_none();
        Ok(())
    }

    /// Everything up to the first packet that is heard.
    fn join(&mut self) -> Passed<()> {
        passed!(self.connect_chat());
        for (at, of) in CLIENTS.into_iter().enumerate() {
            let user = UserId::new(USERS + at as u64).context("not zero")?;
            let (ticket, endpoint) = passed!(self.place(of, user));
            passed!(self.connect_caller(of, at, ticket, &endpoint));
        }
        self.hear_each_other()
    }

    fn connect_chat(&mut self) -> Passed<()> {
        let Target { control, name, secret, control_trust, .. } = self.target;
        let route = Route {
            of: "control",
            at: 0,
            listener: Listener::Control,
            address: *control,
            name: name.clone(),
            is_tls: control_trust.is_some(),
        };
        let tls = tls(control_trust, name);
        let role = ChatServer::connect(secret.clone(), true, tls, name, &mut OsEntropy)
            .context("--control or --name")?;
        self.since = clock::now();
        if let Err(error) = self.stage.open_chat(role, *control) {
            return Ok(self.fail(route.of, "TCP connect", route.no_connection(Some(&error))));
        }
        passed!(self.open::<ChatServer>(&route));
        passed!(self.reach::<ChatServer>("identify", &route, |chat| chat.news.ready));
        if let (Some(chat), Some(channel)) = (&mut self.stage.chat, ChannelId::new(CHANNEL)) {
            chat.role.set_channel(channel, None, BITRATE);
        }
        Ok(Some(()))
    }

    /// Asks for a voice state; what its client needs, and where that is to connect.
    fn place(&mut self, of: &'static str, user: UserId) -> Passed<(Ticket, String)> {
        self.since = clock::now();
        if let (Some(chat), Some(channel_id)) = (&mut self.stage.chat, ChannelId::new(CHANNEL)) {
            chat.role.place(VoiceRequest::new(user, channel_id));
        }
        let end = self.since + PATIENCE;
        while clock::now() < end {
            self.stage.turn(end)?;
            let Some(chat) = &mut self.stage.chat else { break };
            if let Some(why) = chat.news.refused.take() {
                let remedy = "see [limits] of the server's configuration, and whether it drains";
                let failure =
                    Failure::new(format!("the server refuses a voice state: {why}"), remedy);
                return Ok(self.fail(of, "voice state", failure));
            }
            let found = chat.news.placed.iter().position(|(ticket, _)| ticket.user == user);
            if let Some(at) = found {
                let (ticket, endpoint) = chat.news.placed.swap_remove(at);
                self.pass(of, "voice state", Some(format!("endpoint {endpoint}")));
                return Ok(Some((ticket, endpoint)));
            }
        }
        let failure = Failure::new(
            "the server does not answer the request for a voice state",
            "see what its log says at this time (`control message refused`)",
        );
        Ok(self.fail(of, "voice state", failure))
    }

    fn connect_caller(
        &mut self,
        of: &'static str,
        at: usize,
        ticket: Ticket,
        told: &str,
    ) -> Passed<()> {
        let trust = &self.target.gateway_trust;
        let endpoint = self.target.endpoint.as_deref().unwrap_or(told);
        let (name, address) = match entry::resolve(endpoint) {
            Ok(found) => found,
            Err(error) => return Ok(self.fail(of, "resolve", unresolved(endpoint, &error))),
        };
        let name = certified_name(name, told);
        let is_tls = trust.is_some();
        let route = Route { of, at, listener: Listener::Gateway, address, name, is_tls };
        let version = Version::new(VERSION).context("versions count from 1")?;
        let mode = Mode::Aes256GcmRtpSize;
        let tls = tls(trust, &route.name);
        let role = VoiceClient::connect(ticket, version, mode, tls, &route.name, &mut OsEntropy);
        let role = match role {
            Ok(role) => role,
            Err(error) => return Ok(self.fail(of, "resolve", unresolved(endpoint, &error))),
        };
        self.since = clock::now();
        if let Err(error) = self.stage.open_caller(role, address) {
            return Ok(self.fail(of, "TCP connect", route.no_connection(Some(&error))));
        }
        passed!(self.open::<VoiceClient>(&route));
        passed!(self.reach::<VoiceClient>("identify", &route, |peer| {
            peer.role.media_address().is_some()
        }));
        passed!(self.discover(of, at));
        self.reach::<VoiceClient>("session description", &route, |peer| peer.news.ready)
    }

    /// Waits for the answer over UDP. The role repeats its request each second.
    fn discover(&mut self, of: &'static str, at: usize) -> Passed<()> {
        let end = self.since + PATIENCE;
        loop {
            self.stage.turn(end)?;
            let Some(caller) = self.stage.callers.get(at) else { return Ok(None) };
            let role = &caller.peer.role;
            let Some(media) = role.media_address() else { return Ok(None) };
            if let Some(seen) = role.discovered_address() {
                let note = format!("{media} sees this host as {seen}");
                self.pass(of, "discovery over UDP", Some(note));
                return Ok(Some(()));
            }
            if caller.peer.is_over() || clock::now() >= end {
                let failure = explain::no_discovery(media, caller.unsendable.as_ref());
                return Ok(self.fail(of, "discovery over UDP", failure));
            }
        }
    }

    /// The steps of every connection up to Hello.
    fn open<R: Seated>(&mut self, route: &Route) -> Passed<()> {
        let end = self.since + PATIENCE;
        loop {
            let Some(found) = R::find(&mut self.stage, route.at) else { return Ok(None) };
            match found.connection.is_connected() {
                Ok(true) => break,
                Ok(false) if found.broken.is_none() && clock::now() < end => {
                    self.stage.turn(end)?
                }
                result => {
                    let error = found.broken.take().or_else(|| result.err());
                    let failure = route.no_connection(error.as_ref());
                    return Ok(self.fail(route.of, "TCP connect", failure));
                }
            }
        }
        self.pass(route.of, "TCP connect", Some(route.address.to_string()));
        if route.is_tls {
            passed!(self.reach::<R>("TLS", route, |peer| peer.role.stage() > Reached::Tls));
        }
        passed!(self.reach::<R>("upgrade", route, |peer| peer.role.stage() >= Reached::Open));
        self.reach::<R>("hello", route, |peer| peer.role.is_greeted())
    }

    /// Waits for a step of a connection that stands.
    fn reach<R: Seated>(
        &mut self,
        step: &'static str,
        route: &Route,
        is_reached: impl Fn(&Peer<R>) -> bool,
    ) -> Passed<()> {
        let of = route.of;
        let end = self.since + PATIENCE;
        loop {
            let Some(found) = R::find(&mut self.stage, route.at) else { return Ok(None) };
            // A connection that is over has come to its last stage without what leads there.
            if !found.is_over() && is_reached(found) {
                let note = (step == "TLS").then(|| format!("certificate for {}", route.name));
                self.pass(of, step, note);
                return Ok(Some(()));
            }
            if found.is_over() {
                let code = found.news.ended.flatten();
                let (stage, failure) = (found.role.stage(), found.role.failure());
                let failure = route.ended(stage, code, failure, found.role.tls_failure());
                // A code of the protocol answers the first message, which may have left in one turn
                // with what came before it.
                let is_answer =
                    matches!(code, Some(4_000..)) && matches!(step, "upgrade" | "hello");
                let step = if is_answer { "identify" } else { step };
                return Ok(self.fail(of, step, failure));
            }
            if clock::now() >= end {
                return Ok(self.fail(of, step, route.silent(step)));
            }
            self.stage.turn(end)?;
        }
    }

    /// Each says something until the other hears it.
    fn hear_each_other(&mut self) -> Passed<()> {
        for caller in &mut self.stage.callers {
            caller.peer.role.set_speaking(1);
        }
        self.since = clock::now();
        let end = self.since + PATIENCE;
        let mut next = self.since;
        loop {
            let now = clock::now();
            if now >= next {
                next = now + FRAME_INTERVAL;
                for caller in &mut self.stage.callers {
                    caller.peer.role.send_frame(SILENCE);
                }
            }
            self.stage.turn(next)?;
            let callers = &mut self.stage.callers;
            if callers.iter().all(|caller| !caller.peer.news.frames.is_empty()) {
                callers.iter_mut().for_each(|caller| caller.peer.news.frames.clear());
                self.pass("talk", "first packet heard", None);
                return Ok(Some(()));
            }
            if now >= end {
                let media = callers.iter().find_map(|caller| caller.peer.role.media_address());
                let Some(media) = media else { return Ok(None) };
                return Ok(self.fail("talk", "first packet heard", explain::not_heard(media)));
            }
        }
    }

    /// Ends the channel and waits until that was written, so that nothing of the probe is left.
    fn leave(&mut self) -> Result<()> {
        let Some(chat) = self.stage.chat.as_mut().filter(|chat| chat.news.ready) else {
            return Ok(());
        };
        if let Some(channel) = ChannelId::new(CHANNEL) {
            chat.role.destroy_channel(channel);
        }
        let end = clock::now() + FAREWELL;
        let is_written = |stage: &Stage| {
            stage.chat.as_ref().is_none_or(|chat| chat.is_over() || chat.role.outbound().is_empty())
        };
        while clock::now() < end && !is_written(&self.stage) {
            self.stage.turn(end)?;
        }
        Ok(())
    }

    fn pass(&mut self, of: &'static str, step: &'static str, note: Option<String>) {
        let now = clock::now();
        let ms = round(now.since(self.since).as_secs_f64() * 1_000.0);
        self.since = now;
        self.report.steps.push(Step { of, step, ms: Some(ms), note, failure: None });
        self.bar.set(self.report.steps.len() as u64);
    }

    fn fail<T>(&mut self, of: &'static str, step: &'static str, failure: Failure) -> Option<T> {
        let failure = Some(failure);
        self.report.steps.push(Step { of, step, ms: None, note: None, failure });
        None
    }
}

/// What the certificate has to be for: the host that is dialled, or the one that clients are told where
/// an address is dialled in its place.
fn certified_name(dialled: String, told: &str) -> String {
    let told = told.rsplit_once(':').map_or(told, |(host, _)| host);
    if dialled.parse::<IpAddr>().is_ok() {
        told.trim_matches(['[', ']']).to_owned()
    } else {
        dialled
    }
}

fn tls<'a>(trust: &'a Option<TlsTrust>, name: &'a str) -> Option<(&'a TlsTrust, &'a str)> {
    trust.as_ref().map(|trust| (trust, name))
}

fn unresolved(endpoint: &str, error: &impl Display) -> Failure {
    Failure::new(
        format!("clients are told to connect to {endpoint:?}, which leads nowhere: {error:#}"),
        "correct gateway.endpoint on the server or the DNS record of its name, or say where to \
         connect with --endpoint",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_place_of_the_endpoint_keeps_its_name() {
        let name = |dialled: &str, told| certified_name(dialled.to_owned(), told);
        assert_eq!(name("192.0.2.1", "voice.test:443"), "voice.test");
        assert_eq!(name("other.test", "voice.test:443"), "other.test");
        assert_eq!(name("::1", "[::1]:443"), "::1");
    }
}
