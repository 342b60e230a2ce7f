//! What an attack and an overload have in common: newcomers who join meanwhile, and an end in which
//! everybody hears everybody.

use std::ops::Range;
use std::time::Duration;

use anyhow::Result;

use crate::seconds;
use crate::world::{CHANNEL_MEMBERS, Verdict, World};

/// How many newcomers there are: a channel of their own.
pub(crate) const NEWCOMERS: usize = CHANNEL_MEMBERS;
/// The goal of their handshakes: the chat server's order, TLS, the gateway and discovery.
pub(crate) const JOIN_MAX: Duration = Duration::from_secs(1);
/// How long they may take at the most, and everybody to be audible in the end.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Members who join one after the other while something goes on.
pub(crate) struct Newcomers(Range<usize>);

impl Newcomers {
    /// Those whose numbers begin with this one.
    pub(crate) const fn from(first: usize) -> Self {
        Self(first..first + NEWCOMERS)
    }

    /// Lets them join, evenly over `time`, and looks at the world after each.
    pub(crate) fn arrive(
        &self,
        world: &mut World,
        time: Duration,
        mut look: impl FnMut(&mut World) -> Result<()>,
    ) -> Result<()> {
        for at in self.0.clone() {
            world.members[at].want();
            world.run_for(time / u32::try_from(NEWCOMERS).unwrap_or(1))?;
            look(world)?;
        }
        Ok(())
    }

    /// Waits for those who are not in yet: the slowest handshake, or `None` if one of them did not get
    /// in at all.
    pub(crate) fn slowest(&self, world: &mut World) -> Result<Option<Duration>> {
        let there = |world: &mut World| {
            world.members[self.0.clone()].iter().all(|member| member.live_since().is_some())
        };
        world.run_until(LIMIT, there)?;
        let joins = world.members[self.0.clone()].iter().map(|member| member.join_time());
        Ok(joins.collect::<Option<Vec<_>>>().and_then(|all| all.into_iter().max()))
    }
}

/// How long a handshake took, for people.
pub(crate) fn in_words(join: Option<Duration>) -> String {
    join.map_or_else(|| "not in".to_owned(), |join| format!("{} ms", join.as_millis()))
}

/// Waits until everybody hears everybody; whether they do, and nothing was wrong or lost before.
pub(crate) fn conclude(world: &mut World) -> Result<Verdict> {
    world.mark(world.members.len());
    let is_audible = world.run_until_audible(LIMIT)?;
    let Verdict { held, words } = world.verdict();
    let words = match world.judge.audible_after() {
        Some(after) => format!("{words}, all audible in the end, after {}", seconds(after)),
        None => format!("{words}, {} pairs silent in the end", world.judge.silent_pairs()),
    };
    Ok(Verdict { held: held && is_audible, words })
}
