//! The HTTP API. Whoever reaches it may do everything: a real chat server asks who that is first.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `PUT /rooms/{room}` | `{"guild": "3", "bitrate": 64000}`, each optional | 204: created or changed |
//! | `DELETE /rooms/{room}` | | 204: calls in it ended |
//! | `PUT /rooms/{room}/members/{user}` | `{"guild": "3", "mute": false, "deaf": false}`, each optional | 200: what the voice client needs. A user in another room of the guild moves |
//! | `PATCH /rooms/{room}/members/{user}` | `{"mute": true}` | 204 |
//! | `DELETE /rooms/{room}/members/{user}` | | 204: removed |
//! | `GET /rooms/{room}/why/{speaker}/{listener}` | | 200: why one does not hear the other, step by step |
//! | `GET /stats` | | 200: figures |

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use lvsp_tokio::lvsp_core::command::{Target, VoiceFlagsUpdate};
use lvsp_tokio::lvsp_core::ids::{ChannelId, GuildId, InvalidId, UserId};
use lvsp_tokio::{Handle, HandleError, Placement};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub fn router(handle: Handle) -> Router {
    Router::new()
        .route("/rooms/{room}", put(set_room).delete(destroy_room))
        .route("/rooms/{room}/members/{user}", put(place).patch(set_flags).delete(remove))
        .route("/rooms/{room}/why/{speaker}/{listener}", get(why))
        .route("/stats", get(stats))
        .with_state(handle)
}

/// Why a request was not done.
enum Refusal {
    /// The request makes no sense.
    BadRequest(String),
    /// It is about somebody who is not there.
    NotFound(String),
    /// The voice server said no, or is gone.
    Server(HandleError),
}

impl From<HandleError> for Refusal {
    fn from(error: HandleError) -> Self {
        Self::Server(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::BadRequest(why) => (StatusCode::BAD_REQUEST, why),
            Self::NotFound(why) => (StatusCode::NOT_FOUND, why),
            Self::Server(error @ HandleError::Refused(_)) => {
                (StatusCode::CONFLICT, error.to_string())
            }
            Self::Server(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        };
        (status, Json(json!({ "error": why }))).into_response()
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Room {
    guild: Option<GuildId>,
    bitrate: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Member {
    guild: Option<GuildId>,
    mute: Option<bool>,
    deaf: Option<bool>,
}

impl Member {
    fn flags(&self) -> VoiceFlagsUpdate {
        VoiceFlagsUpdate { mute: self.mute, deaf: self.deaf, ..VoiceFlagsUpdate::default() }
    }
}

/// An empty body says nothing.
fn parse<T: Default + DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| Refusal::BadRequest(error.to_string()))
}

fn id<T: FromStr<Err = InvalidId>>(what: &str, text: &str) -> Result<T, Refusal> {
    text.parse().map_err(|why| Refusal::BadRequest(format!("{what} {text:?}: {why}")))
}

fn member(room: &str, user: &str) -> Result<(ChannelId, UserId), Refusal> {
    Ok((id("room", room)?, id("user", user)?))
}

fn target(room: &str, user: &str) -> Result<Target, Refusal> {
    let (channel, user) = member(room, user)?;
    Ok(Target::member(channel, user))
}

async fn set_room(
    State(handle): State<Handle>,
    Path(room): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let said: Room = parse(&body)?;
    handle.set_channel(id("room", &room)?, said.guild, said.bitrate).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn destroy_room(
    State(handle): State<Handle>,
    Path(room): Path<String>,
) -> Result<StatusCode, Refusal> {
    handle.destroy_channel(id("room", &room)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn place(
    State(handle): State<Handle>,
    Path((room, user)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let said: Member = parse(&body)?;
    let (channel, user) = member(&room, &user)?;
    let (guild, flags) = (said.guild, said.flags());
    let placement = Placement { guild, flags, ..Placement::new(user, channel) };
    let placed = handle.place(placement).await?;
    // A room without a guild stands for itself.
    let server = placed.guild_id.map_or_else(|| channel.as_u64(), GuildId::as_u64);
    Ok(Json(json!({
        "server_id": server.to_string(),
        "user_id": user.to_string(),
        "session_id": placed.session_id.expose(),
        "token": placed.token.as_ref().map(|token| token.expose()),
        "endpoint": placed.endpoint,
    })))
}

async fn set_flags(
    State(handle): State<Handle>,
    Path((room, user)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let said: Member = parse(&body)?;
    handle.set_flags(target(&room, &user)?, said.flags()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    State(handle): State<Handle>,
    Path((room, user)): Path<(String, String)>,
) -> Result<StatusCode, Refusal> {
    handle.remove(target(&room, &user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn why(
    State(handle): State<Handle>,
    Path((room, speaker, listener)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let explained = handle.explain(target(&room, &speaker)?, target(&room, &listener)?).await?;
    let nobody = || Refusal::NotFound("one of the two is not in this room".to_owned());
    let explained = explained.ok_or_else(nobody)?;
    let steps = explained.steps.iter();
    let steps = steps.map(|s| json!({ "step": s.name, "ok": s.ok, "detail": s.detail }));
    Ok(Json(json!({ "summary": explained.summary, "steps": steps.collect::<Vec<_>>() })))
}

async fn stats(State(handle): State<Handle>) -> Result<Json<Value>, Refusal> {
    let stats = handle.stats().await?;
    let relays = stats.relays.iter().map(|relay| {
        json!({
            "legs": relay.legs,
            "packets_in": relay.stats.packets_in,
            "packets_out": relay.stats.packets_out,
        })
    });
    Ok(Json(json!({
        "rooms": stats.census.channels,
        "members": stats.census.voice_states,
        "sessions": stats.census.sessions,
        "health": stats.health,
        "relays": relays.collect::<Vec<_>>(),
    })))
}
