//! A chat server that identified anew states again what it still wants; the rest goes.
//!
//! Decided here: how long that may take, and what goes. Who states nothing again (`lvsp::revision`
//! knows) loses nobody: there a voice state ends with its voice client.

use std::time::Duration;

use super::Server;
use super::deadlines::Timer;
use super::membership::Room;
use crate::ids::{ControlId, MemberId};
use crate::lvsp::outbox::Cause;
use crate::output::GoneReason;
use crate::time::Timestamp;

/// An Identify for an unknown voice state is worth waiting for while the chat server is this new.
const FRESH_CONTROL: Duration = Duration::from_secs(30);
/// From one part of a large removal to the next.
const PAUSE: Duration = Duration::from_millis(1);

impl Server {
    /// Marks everything of a chat server unconfirmed: it has to be stated again.
    pub(super) fn unconfirm(&mut self, now: Timestamp, client: ControlId) {
        let rooms: Vec<_> = self.membership.rooms_from(client, None).collect();
        let members: Vec<_> =
            self.membership.members_from(client, None).map(|(id, _)| id).collect();
        if rooms.is_empty() && members.is_empty() {
            return;
        }
        for room in rooms {
            if let Some(room) = self.membership.room_mut(room) {
                room.confirmed = false;
            }
        }
        for member in members {
            if let Some(member) = self.membership.member_mut(member) {
                member.confirmed = false;
            }
        }
        let wait = self.config.limits.reconcile_ms.duration();
        self.timers.set(Timer::Reconcile(client), now + wait);
    }

    pub(super) fn restate(&mut self, now: Timestamp, client: ControlId, id: MemberId) {
        if let Some(member) = self.membership.member_mut(id) {
            member.confirmed = true;
            let room = member.room;
            if let Some(room) = self.membership.room_mut(room) {
                room.confirmed = true;
            }
        }
        self.note_restatement(now, client);
    }

    /// The chat server is still stating: the rest has time, up to a point.
    pub(super) fn note_restatement(&mut self, now: Timestamp, client: ControlId) {
        if self.timers.armed(Timer::Reconcile(client)).is_none() {
            return;
        }
        let limits = &self.config.limits;
        let (wait, total) = (limits.reconcile_ms.duration(), limits.reconcile_total_ms.duration());
        let latest = self.control(client).identified + total;
        self.control(client).cut_short = latest < now + wait;
        self.timers.set(Timer::Reconcile(client), latest.min(now + wait));
    }

    /// What was not stated again goes, unless this chat server states nothing again.
    pub(super) fn reconcile(&mut self, now: Timestamp, client: ControlId) {
        let session = self.control(client).session.as_ref();
        match session.map(|session| session.speech.restates()) {
            Some(Some(true)) | None => {}
            Some(Some(false)) => return,
            Some(None) => {
                let wait = self.config.limits.reconcile_ms.duration();
                return self.timers.set(Timer::Reconcile(client), now + wait);
            }
        }
        let cut_short = std::mem::take(&mut self.control(client).cut_short);
        self.stats.limits.reconcile_total_ms += u64::from(cut_short);
        let members: Vec<_> =
            self.membership.members_from(client, None).map(|(id, _)| id).collect();
        for id in members {
            if self.outputs.len() > self.config.limits.outputs {
                // The rest goes when the host has acted on these.
                self.put_off();
                return self.timers.set(Timer::Reconcile(client), now + PAUSE);
            }
            if self.membership.member(id).is_some_and(|member| !member.confirmed) {
                self.stats.limits.reconcile_ms += 1;
                self.remove_member(now, id, GoneReason::NotRestated);
            }
        }
        self.reconcile_rooms(now, client);
    }

    fn reconcile_rooms(&mut self, now: Timestamp, client: ControlId) {
        let rooms: Vec<_> = self.membership.rooms_from(client, None).collect();
        for id in rooms {
            if self.outputs.len() > self.config.limits.outputs {
                self.put_off();
                return self.timers.set(Timer::Reconcile(client), now + PAUSE);
            }
            let stale = |room: &&Room| !room.confirmed && room.members.is_empty();
            if let Some(room) = self.membership.room(id).filter(stale) {
                let channel = room.channel;
                self.drop_room(id);
                self.tell_channel_gone(now, client, channel, Cause::Changed);
            }
        }
    }

    /// Whether an Identify for an unknown voice state should wait for a chat server.
    pub(super) fn may_still_come(&self, now: Timestamp) -> bool {
        self.controls.iter().any(|control| {
            control.connected_since.is_none_or(|since| now.since(since) < FRESH_CONTROL)
        })
    }
}
