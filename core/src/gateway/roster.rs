//! Whom the voice clients of one channel were told of, in little memory.
//!
//! Everybody in a channel knows nearly everybody, so users have numbers in their channel, and what
//! one client knows is a set of bits: a thousand users that know each other are 125 bytes each.
//!
//! Between calls a user has a number exactly while somebody knows it.

use std::collections::BTreeMap;

use crate::ids::UserId;

/// The numbers of one channel's users.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    /// By number: the user, and how many know it.
    entries: Vec<Option<(UserId, u32)>>,
    numbers: BTreeMap<UserId, usize>,
    free: Vec<usize>,
}

/// The users whom one client was told of and not told that they are gone. Only its channel's roster
/// can read it.
#[derive(Debug, Default)]
pub(crate) struct Known(Vec<u64>);

impl Known {
    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|bits| bits >> (number % 64) & 1 == 1)
    }

    fn flip(&mut self, number: usize) {
        if self.0.len() <= number / 64 {
            self.0.reserve_exact(number / 64 + 1 - self.0.len());
            self.0.resize(number / 64 + 1, 0);
        }
        self.0[number / 64] ^= 1 << (number % 64);
    }
}

impl Roster {
    /// The client was told of a user.
    pub(crate) fn learn(&mut self, known: &mut Known, user: UserId) {
        let number = match self.numbers.get(&user) {
            Some(number) if known.has(*number) => return,
            Some(number) => *number,
            None => self.number(user),
        };
        known.flip(number);
        if let Some(Some((_, holders))) = self.entries.get_mut(number) {
            *holders += 1;
        }
    }

    fn number(&mut self, user: UserId) -> usize {
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() - 1
        });
        self.entries[number] = Some((user, 0));
        self.numbers.insert(user, number);
        number
    }

    /// The client was told that a user is gone.
    pub(crate) fn unlearn(&mut self, known: &mut Known, user: UserId) {
        if let Some(number) = self.numbers.get(&user).copied().filter(|number| known.has(*number)) {
            known.flip(number);
            self.release(number);
        }
    }

    /// The client is gone.
    pub(crate) fn forget(&mut self, known: &Known) {
        for number in 0..self.entries.len() {
            if known.has(number) {
                self.release(number);
            }
        }
    }

    fn release(&mut self, number: usize) {
        let Some(Some((user, holders))) = self.entries.get_mut(number) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.numbers.remove(user);
            self.entries[number] = None;
            self.free.push(number);
        }
    }

    /// Whether the client was told of a user.
    pub(crate) fn knows(&self, known: &Known, user: UserId) -> bool {
        self.numbers.get(&user).is_some_and(|number| known.has(*number))
    }

    /// Everybody whom a client knows.
    pub(crate) fn users(&self, known: &Known) -> impl Iterator<Item = UserId> {
        let entries = self.entries.iter().enumerate();
        entries
            .filter(|(number, _)| known.has(*number))
            .filter_map(|(_, entry)| Some(entry.as_ref()?.0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn user(n: u64) -> UserId {
        UserId::new(n + 1).expect("not zero")
    }

    proptest! {
        #[test]
        fn everybody_knows_exactly_whom_they_were_told_of(
            steps in prop::collection::vec((0..3u8, 0..4usize, 0..100u64), 0..300),
        ) {
            let mut roster = Roster::default();
            let mut known: [Known; 4] = Default::default();
            let mut model: [BTreeSet<UserId>; 4] = Default::default();
            for (step, client, n) in steps {
                match step {
                    0 => {
                        roster.learn(&mut known[client], user(n));
                        model[client].insert(user(n));
                    }
                    1 => {
                        roster.unlearn(&mut known[client], user(n));
                        model[client].remove(&user(n));
                    }
                    _ => {
                        roster.forget(&known[client]);
                        known[client] = Known::default();
                        model[client].clear();
                    }
                }
                for (known, model) in known.iter().zip(&model) {
                    let users: BTreeSet<_> = roster.users(known).collect();
                    prop_assert_eq!(&users, model);
                    for n in 0..100 {
                        let user = user(n);
                        prop_assert_eq!(roster.knows(known, user), model.contains(&user));
                    }
                }
                let all: BTreeSet<_> = model.iter().flatten().collect();
                prop_assert_eq!(roster.numbers.len(), all.len());
                prop_assert_eq!(roster.entries.len() - roster.free.len(), all.len());
            }
        }
    }
}
