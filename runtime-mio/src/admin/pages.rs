//! Thousands of members in one answer, a page at a time: no question holds up a thread for long, and
//! no answer is ever held as a whole.

use std::collections::{BTreeMap, HashMap};

use axum::body::{Body, Bytes};
use futures_util::stream;
use lvsp_core::ids::{ChannelId, LegId, MemberId, RelayId, RoomId};
use lvsp_core::media::inspect::LegView;
use lvsp_core::server::{ChannelView, MemberView};

use super::bodies::{ByRoom, Channel, Member, Names, is_speaking};
use super::problem::Problem;
use crate::clock;
use crate::observer::{Observer, Silent};

/// Members or channels that one question is about.
pub(crate) const PAGE: usize = 128;

/// A page of members with what their relays know of them.
pub(super) struct Members {
    pub(super) views: Vec<MemberView>,
    pub(super) legs: HashMap<LegId, LegView>,
}

impl Members {
    /// The members behind one.
    pub(super) async fn after(
        observer: &Observer,
        after: Option<MemberId>,
        channel: Option<ChannelId>,
    ) -> Result<Self, Silent> {
        let page = observer.control(move |server| {
            server.member_views(after, channel).take(PAGE).collect::<Vec<_>>()
        });
        Self::with_legs(observer, page.await?).await
    }

    /// Asks the relays of these members.
    pub(super) async fn with_legs(
        observer: &Observer,
        views: Vec<MemberView>,
    ) -> Result<Self, Silent> {
        let mut by_relay: BTreeMap<RelayId, Vec<LegId>> = BTreeMap::new();
        for session in views.iter().filter_map(|view| view.session.as_ref()) {
            by_relay.entry(session.relay).or_default().push(session.leg);
        }
        let mut legs = HashMap::new();
        for (relay, ids) in by_relay {
            let views = observer.relay(relay, move |relay| {
                ids.into_iter().filter_map(|leg| relay.leg_view(leg)).collect::<Vec<_>>()
            });
            legs.extend(views.await?.into_iter().map(|view| (view.leg, view)));
        }
        Ok(Self { views, legs })
    }

    pub(super) fn leg(&self, member: &MemberView) -> Option<&LegView> {
        self.legs.get(&member.session.as_ref()?.leg)
    }
}

/// The names of chat servers.
pub(super) async fn names(observer: &Observer) -> Result<Names, Silent> {
    observer.control(|server| Names(server.control_views().map(|link| link.name).collect())).await
}

/// Every member, or those of one channel.
pub(super) async fn members(
    observer: Observer,
    channel: Option<ChannelId>,
) -> Result<Body, Problem> {
    let names = names(&observer).await?;
    // Before anything is answered, so that a thread that does not answer is a status.
    let first = Members::after(&observer, None, channel).await?;
    Ok(list("members", first, move |page| {
        let (observer, names) = (observer.clone(), names.clone());
        async move {
            let now = clock::now();
            let bodies = page
                .views
                .iter()
                .map(|view| serde_json::to_string(&Member::new(now, &names, view, page.leg(view))));
            let bodies = bodies.collect::<Result<Vec<_>, _>>().unwrap_or_default();
            let next = match page.views.last().filter(|_| page.views.len() == PAGE) {
                Some(last) => Some(Members::after(&observer, Some(last.id), channel).await?),
                None => None,
            };
            Ok((bodies, next))
        }
    }))
}

/// Every channel, with how many speak in it.
pub(super) async fn channels(observer: Observer) -> Result<Body, Problem> {
    let names = names(&observer).await?;
    let speaking = speaking(&observer).await?;
    let first = channels_after(&observer, None).await?;
    Ok(list("channels", first, move |page: Vec<ChannelView>| {
        let observer = observer.clone();
        let bodies = page.iter().map(|view| {
            let speaking = speaking.get(&view.room).copied().unwrap_or_default();
            serde_json::to_string(&Channel::new(&names, view, speaking))
        });
        let bodies = bodies.collect::<Result<Vec<_>, _>>().unwrap_or_default();
        async move {
            let next = match page.last().filter(|_| page.len() == PAGE) {
                Some(last) => Some(channels_after(&observer, Some(last.room)).await?),
                None => None,
            };
            Ok((bodies, next))
        }
    }))
}

async fn channels_after(
    observer: &Observer,
    after: Option<RoomId>,
) -> Result<Vec<ChannelView>, Silent> {
    observer.control(move |server| server.channel_views(after).take(PAGE).collect()).await
}

/// How many speak in each room where somebody does.
async fn speaking(observer: &Observer) -> Result<ByRoom, Silent> {
    let mut rooms = ByRoom::new();
    let mut after = None;
    loop {
        let page = Members::after(observer, after, None).await?;
        let now = clock::now();
        for view in page.views.iter().filter(|view| is_speaking(now, view, page.leg(view))) {
            *rooms.entry(view.room).or_default() += 1;
        }
        match page.views.last().filter(|_| page.views.len() == PAGE) {
            Some(last) => after = Some(last.id),
            None => return Ok(rooms),
        }
    }
}

/// `{"name":[...]}`, page by page. A thread that stops answering in the middle ends the connection, so
/// that half a list is not taken for a whole one.
fn list<P, F, R>(name: &'static str, first: P, write: F) -> Body
where
    P: Send + 'static,
    F: Fn(P) -> R + Send + 'static,
    R: Future<Output = Result<(Vec<String>, Option<P>), Silent>> + Send,
{
    let state = Some((Some(first), true, write));
    Body::from_stream(stream::unfold(state, move |state| async move {
        let (page, is_first, write) = state?;
        match write(page?).await {
            Ok((items, next)) => {
                let mut text = String::new();
                if is_first {
                    text = format!("{{\"{name}\":[");
                } else if !items.is_empty() {
                    text.push(',');
                }
                text += &items.join(",");
                if next.is_none() {
                    text += "]}";
                }
                Some((Ok(Bytes::from(text)), Some((next, false, write))))
            }
            Err(silent) => Some((Err(silent), None)),
        }
    }))
}
