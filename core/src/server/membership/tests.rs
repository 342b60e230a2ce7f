use proptest::prelude::*;

use super::*;
use crate::ids::RelayId;
use crate::time::Timestamp;
use crate::wire::lvsp::VoiceFlags;

const CLIENT: ControlId = ControlId(0);

fn member(room: RoomId, user: u64, guild: Option<GuildId>, session_id: u8) -> Member {
    Member {
        client: CLIENT,
        room,
        user: UserId::new(user).expect("not zero"),
        guild,
        session_id: secret(session_id),
        token: Secret::from("token"),
        flags: VoiceFlags::default(),
        confirmed: true,
        calm_until: Timestamp::ZERO,
        session: None,
    }
}

fn secret(number: u8) -> Secret {
    Secret::new(number.to_string())
}

fn room(channel: u64, guild: Option<GuildId>) -> Room {
    let channel = ChannelId::new(channel).expect("not zero");
    Room::new(CLIENT, channel, guild, 64_000, Secret::from("another token"), RelayId(0))
}

impl Membership {
    /// Every member is in its room and under each of its keys, and nothing else is anywhere.
    fn check(&self) {
        for (id, member) in self.members.iter() {
            let room = &self.rooms.get(member.room).expect("a member has a room");
            let place = Scope::of(member.guild, room.channel);
            assert!(room.members.contains(&id));
            assert_eq!(self.member_of(member.client, member.user, place), Some(id));
            assert!(self.by_session.contains(&(digest(&member.session_id), id)));
            for server in server_ids(member.guild, room.channel) {
                assert!(self.by_server.contains(&(server, member.user, id)));
            }
        }
        let members = self.members.len();
        assert_eq!(self.by_user.len(), members);
        assert_eq!(self.by_session.len(), members);
        assert_eq!(self.rooms.iter().map(|(_, room)| room.members.len()).sum::<usize>(), members);
        let servers = self.members.iter().map(|(_, member)| {
            let channel = self.rooms.get(member.room).expect("a member has a room").channel;
            server_ids(member.guild, channel).count()
        });
        assert_eq!(self.by_server.len(), servers.sum::<usize>());
        let held = self.members.iter().map(|(_, member)| member.credential_bytes());
        let tokens = self.rooms.iter().map(|(_, room)| room.token.len());
        assert_eq!(self.credential_bytes, held.chain(tokens).sum::<usize>());
        assert_eq!(self.by_channel.len(), self.rooms.len());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Place { user: u64, channel: usize, session_id: u8 },
    Remove { user: u64, channel: usize },
    Restate { user: u64, channel: usize, session_id: u8 },
    NameGuild { channel: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (user, channel) = (1..4_u64, 0..3_usize);
    prop_oneof![
        3 => (user.clone(), channel.clone(), 0..4_u8).prop_map(|(user, channel, session_id)| {
            Step::Place { user, channel, session_id }
        }),
        2 => (user.clone(), channel.clone()).prop_map(|(user, channel)| {
            Step::Remove { user, channel }
        }),
        2 => (user, channel.clone(), 0..4_u8).prop_map(|(user, channel, session_id)| {
            Step::Restate { user, channel, session_id }
        }),
        1 => channel.prop_map(|channel| Step::NameGuild { channel }),
    ]
}

proptest! {
    #[test]
    fn indexes_agree_with_members_after_any_history(
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let guild = GuildId::new(9);
        let mut all = Membership::default();
        // One channel of the guild from the start; the others may turn out to be of it.
        let rooms = [(1, guild), (2, None), (3, None)]
            .map(|(channel, guild)| all.add_room(room(channel, guild)));
        for step in steps {
            let find = |all: &Membership, user: u64, channel: usize| {
                let room = all.room(rooms[channel]).expect("no room goes");
                let user = UserId::new(user).expect("not zero");
                let here = |id: &MemberId| all.member(*id).is_some_and(|m| m.user == user);
                room.members.iter().copied().find(here)
            };
            match step {
                Step::Place { user, channel, session_id } => {
                    let known = all.room(rooms[channel]).expect("no room goes");
                    let (guild, id) = (known.guild, known.channel);
                    let user_id = UserId::new(user).expect("not zero");
                    let there = all.member_of(CLIENT, user_id, Scope::of(guild, id));
                    if there.is_none() && find(&all, user, channel).is_none() {
                        all.add_member(member(rooms[channel], user, guild, session_id));
                    }
                }
                Step::Remove { user, channel } => {
                    if let Some(id) = find(&all, user, channel) {
                        all.remove_member(id);
                    }
                }
                Step::Restate { user, channel, session_id } => {
                    if let Some(id) = find(&all, user, channel) {
                        all.set_credentials(id, secret(session_id), Secret::from("new"));
                    }
                }
                Step::NameGuild { channel } => {
                    all.room_mut(rooms[channel]).expect("no room goes").guild = guild;
                    let _adopted = all.adopt_guild(rooms[channel]);
                }
            }
            all.check();
        }
    }
}
