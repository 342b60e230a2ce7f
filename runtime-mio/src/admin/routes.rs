//! What is asked for at which path.

use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use lvsp_core::command::Target;
use lvsp_core::explain::{Facts, explain};
use lvsp_core::ids::{ChannelId, MemberId, UserId};
use lvsp_core::server::{MemberView, Server};
use serde::Deserialize;

use super::Plane;
use super::bodies::{Answer, Control, Relay, Status};
use super::guard::{Guard, guard};
use super::metrics::{self, Snapshot};
use super::page;
use super::pages::{self, Members};
use super::pcapng;
use super::problem::Problem;
use crate::clock;
use crate::memory;
use crate::observer::{Observer, Silent};
use crate::process::Own;

/// Every path.
pub(super) fn router(plane: Plane, names: Guard) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(figures))
        .route("/v1/status", get(status))
        .route("/v1/channels", get(channels))
        .route("/v1/members", get(members))
        .route("/v1/members/{id}/capture", get(capture))
        .route("/v1/explain", get(explanation))
        .merge(page::routes())
        .fallback(|| async { Problem::Path })
        .with_state(plane)
        .layer(middleware::from_fn_with_state(names, guard))
}

/// Whether every thread makes turns: each is asked something.
async fn livez(State(Plane { observer, .. }): State<Plane>) -> Result<&'static str, Problem> {
    observer.control(|_| ()).await?;
    for relay in observer.relays() {
        observer.relay(relay, |_| ()).await?;
    }
    Ok("ok\n")
}

/// Whether new voice states are taken.
async fn readyz(State(Plane { observer, .. }): State<Plane>) -> Response {
    if observer.watch().is_ready() {
        return "ok\n".into_response();
    }
    let why = "not ready: the server is starting, or draining before a stop; calls go on\n";
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

/// What the control thread knows.
pub(super) async fn control(observer: &Observer) -> Result<Control, Silent> {
    let control = observer.control(|server| Control {
        census: server.census(),
        stats: server.stats().clone(),
        links: server.control_views().collect(),
        ready: server.is_ready(),
        draining: server.is_draining(),
        health: server.health(),
    });
    control.await
}

/// What the thread of each relay knows.
pub(super) async fn relays(observer: &Observer) -> Result<Vec<Relay>, Silent> {
    let mut relays = Vec::new();
    for id in observer.relays() {
        let address = observer.address(id);
        let relay = observer.relay(id, move |relay| Relay {
            id,
            address,
            legs: relay.leg_count(),
            stats: relay.stats().clone(),
            behind: relay.is_behind(clock::now()),
        });
        relays.push(relay.await?);
    }
    Ok(relays)
}

async fn status(State(Plane { observer, .. }): State<Plane>) -> Result<Json<Status>, Problem> {
    let control = control(&observer).await?;
    let relays = relays(&observer).await?;
    Ok(Json(Status::new(clock::now(), observer.uptime(), control, &relays)))
}

/// The type of the text format's version.
const FIGURES: &str = "text/plain; version=0.0.4; charset=utf-8";

async fn figures(State(plane): State<Plane>) -> Result<Response, Problem> {
    let Plane { observer, certificate } = plane;
    let control = control(&observer).await?;
    let relays = relays(&observer).await?;
    let now = clock::now();
    let ages = control.links.iter().map(|link| link.since.map(|since| now.since(since)));
    let expires = certificate.and_then(|files| files.read().ok()?.expires);
    let (clients, media) = (control.links.len(), relays.len());
    let ceiling = observer.control(move |server| memory::ceiling(server.limits(), clients, media));
    let memory_ceiling_bytes = ceiling.await?.bytes();
    let snapshot = Snapshot {
        link_ages: ages.collect(),
        control,
        relays,
        times: observer.watch().times(),
        process: Own::look(),
        uptime: observer.uptime(),
        now: SystemTime::now(),
        certificate_expires: expires,
        memory_ceiling_bytes,
    };
    Ok(([(header::CONTENT_TYPE, FIGURES)], metrics::text(&snapshot)).into_response())
}

async fn channels(State(Plane { observer, .. }): State<Plane>) -> Result<Response, Problem> {
    Ok(json(pages::channels(observer).await?))
}

#[derive(Deserialize)]
struct OfMembers {
    channel: Option<String>,
}

async fn members(
    State(Plane { observer, .. }): State<Plane>,
    query: Result<Query<OfMembers>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(OfMembers { channel }) = query?;
    let channel = channel.map(|given| {
        let id = given.parse().ok().and_then(ChannelId::new);
        let why = "a channel's id is a number";
        id.ok_or(Problem::Argument { what: "channel", given, why })
    });
    Ok(json(pages::members(observer, channel.transpose()?).await?))
}

fn json(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[derive(Deserialize)]
struct OfExplanation {
    speaker: Option<String>,
    listener: Option<String>,
}

async fn explanation(
    State(Plane { observer, .. }): State<Plane>,
    query: Result<Query<OfExplanation>, QueryRejection>,
) -> Result<Json<Answer>, Problem> {
    let Query(OfExplanation { speaker, listener }) = query?;
    let [speaker, listener] = [("speaker", speaker), ("listener", listener)].map(named);
    let ((speaker, from), (listener, to)) = (speaker?, listener?);
    let asked =
        observer.control(move |server| (from.find(server), to.find(server), server.foreign_udp()));
    let (speaker_view, listener_view, foreign_udp) = asked.await?;
    let views = vec![
        speaker_view.ok_or(Problem::Member(speaker))?,
        listener_view.ok_or(Problem::Member(listener))?,
    ];
    let both = Members::with_legs(&observer, views).await?;
    let [speaker, listener] = [&both.views[0], &both.views[1]];
    let now = clock::now();
    let listener_relay_behind = match &listener.session {
        Some(session) => observer.relay(session.relay, move |relay| relay.is_behind(now)).await?,
        None => false,
    };
    let facts = Facts {
        now,
        speaker,
        speaker_leg: both.leg(speaker),
        listener,
        listener_leg: both.leg(listener),
        listener_relay_behind,
        foreign_udp,
    };
    Ok(Json(explain(&facts).into()))
}

/// Who is asked about.
#[derive(Clone, Copy)]
enum Named {
    /// By the id of a member.
    Member(MemberId),
    /// By the id of a user, who has to be a member once.
    User(UserId),
}

impl Named {
    fn find(self, server: &Server) -> Option<MemberView> {
        let user = match self {
            Self::Member(id) => return server.member_view(id),
            Self::User(user) => user,
        };
        let target = Target { user: Some(user), ..Target::default() };
        let clients = server.control_views().map(|view| view.client);
        let mut found = clients.filter_map(|client| server.member_view_of(client, &target));
        let first = found.next();
        first.filter(|_| found.next().is_none())
    }
}

/// Who is asked about, as it was written and what it means.
fn named((what, given): (&'static str, Option<String>)) -> Result<(String, Named), Problem> {
    let why = "the id of a member is needed, as /v1/members gives it, or that of a user";
    let given = given.unwrap_or_default();
    let found = MemberId::parse(&given).map(Named::Member);
    match found.or_else(|| given.parse().ok().map(Named::User)) {
        Some(found) => Ok((given, found)),
        None if given.is_empty() => Err(Problem::Argument { what, given, why }),
        None => Err(Problem::Member(given)),
    }
}

#[derive(Deserialize)]
struct OfCapture {
    seconds: Option<String>,
}

/// The longest that a flight recorder runs, and how long it does where nothing is said, in seconds.
const CAPTURE_S_MAX: u64 = 60;
const CAPTURE_S: u64 = 5;

/// Records the headers of a member's datagrams from now on, and answers when the time is over, with
/// what it sent lately before them. No time gives that alone.
async fn capture(
    State(Plane { observer, .. }): State<Plane>,
    id: Result<Path<String>, PathRejection>,
    query: Result<Query<OfCapture>, QueryRejection>,
) -> Result<Response, Problem> {
    let (Path(id), Query(OfCapture { seconds })) = (id?, query?);
    let seconds = match seconds {
        None => CAPTURE_S,
        Some(given) => match given.parse() {
            Ok(seconds @ 0..=CAPTURE_S_MAX) => seconds,
            _ => {
                let why = "0 to 60 seconds can be recorded";
                return Err(Problem::Argument { what: "seconds", given, why });
            }
        },
    };
    let (given, member) = named(("id", Some(id)))?;
    let view = observer.control(move |server| member.find(server)).await?;
    let view = view.ok_or_else(|| Problem::Member(given.clone()))?;
    let session = view.session.ok_or(Problem::NoSession)?;
    let recorder = observer.record(session.relay, session.leg).ok_or(Problem::Recorders)?;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let (headers, lost) = recorder.finish();
    let about = pcapng::About {
        server: observer.public_address(session.relay).unwrap_or_else(|| ([0, 0, 0, 0], 0).into()),
        relay: &format!("relay-{}", session.relay.0),
        comment: &format!(
            "Member {given}, SSRC {}: what it sent lately, and {seconds} s of both directions; \
             headers only; IP and UDP headers are made up from the real addresses. {lost} older \
             headers had no room.",
            session.ssrc.0
        ),
        now: (clock::now(), SystemTime::now()),
    };
    let file = pcapng::write(&about, &headers);
    let name = format!("attachment; filename=\"member-{given}.pcapng\"");
    let kind = "application/vnd.tcpdump.pcap".to_owned();
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], file).into_response())
}
