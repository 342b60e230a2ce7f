//! What must hold, whatever happens. The numbers are those of `docs/reliability.md`.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use lvsp_core::ids::{ConnId, LegId};
use lvsp_core::media::command::RelayCommand;
use lvsp_core::output::{Event, GoneReason};

use crate::kit::{SECOND, channel_id, voice_of};
use crate::network::Wire;

/// Flags of a voice state, as bits.
pub(crate) const MUTE: u64 = 1;
pub(crate) const DEAF: u64 = 2;
pub(crate) const SUPPRESS: u64 = 4;

/// An order of the chat server, which holds from the moment when all its bytes have arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// With flags, if they are stated.
    Place {
        user: u64,
        channel: u64,
        flags: Option<u64>,
    },
    Flags {
        user: u64,
        flags: u64,
    },
    Remove {
        user: u64,
    },
    Destroy {
        channel: u64,
    },
}

/// Where a user is and what it may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place {
    channel: u64,
    flags: u64,
    /// Whether it was stated since the chat server last identified.
    stated: bool,
}

/// Who said something, and where and with which flags that was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    user: Option<u64>,
    place: Option<Place>,
}

#[derive(Debug)]
struct Leg {
    ssrc: u32,
    /// How many keys it has had.
    keys: u32,
}

/// Bytes to and from an address that no member's gateway connection vouches for.
#[derive(Default, Debug)]
struct Strange {
    received: u64,
    sent: u64,
    /// Whether a member sealed a packet that came from there.
    vouched: bool,
}

#[derive(Default, Debug)]
pub(crate) struct Oracle {
    fault: Option<String>,
    truth: BTreeMap<u64, Place>,
    orders: BTreeMap<Wire, VecDeque<(u64, Order)>>,
    delivered: BTreeMap<Wire, u64>,
    /// The chat server's connection that the server listens to.
    control: Option<(ConnId, Wire)>,
    legs: BTreeMap<LegId, Leg>,
    /// Whose SSRC, as its client read it in Ready.
    users: BTreeMap<u32, u64>,
    nonces: HashSet<(u32, u32, [u8; 4])>,
    keys: HashSet<Vec<u8>>,
    strange: BTreeMap<SocketAddr, Strange>,
    members: BTreeSet<IpAddr>,
    /// Since when no chat server is connected.
    pub(crate) control_lost: Option<u64>,
    pub(crate) copies: u64,
    /// Of them, those made of what another relay handed over.
    pub(crate) carried: u64,
}

impl Oracle {
    /// Something that must hold does not. The first of these ends the run.
    pub(crate) fn fault(&mut self, what: String) {
        self.fault.get_or_insert(what);
    }

    pub(crate) fn take_fault(&mut self) -> Option<String> {
        self.fault.take()
    }

    // --- membership ---

    /// The chat server has written an order whose last byte is the wire's `end`th.
    pub(crate) fn ordered(&mut self, wire: Wire, end: u64, order: Order) {
        self.orders.entry(wire).or_default().push_back((end, order));
    }

    /// The chat server has identified on this connection.
    pub(crate) fn listens_to(&mut self, conn: ConnId, wire: Option<Wire>) {
        self.control = wire.map(|wire| (conn, wire));
    }

    /// So many more bytes of the chat server's have reached the server.
    pub(crate) fn arrived(&mut self, wire: Wire, bytes: usize, draining: bool) {
        let delivered = self.delivered.entry(wire).or_default();
        *delivered += bytes as u64;
        let delivered = *delivered;
        let orders = self.orders.entry(wire).or_default();
        let mut due = Vec::new();
        while orders.front().is_some_and(|(end, _)| *end <= delivered) {
            due.extend(orders.pop_front());
        }
        // What arrives behind the end of a connection is not listened to.
        due.retain(|_| self.control.is_some_and(|(_, live)| live == wire));
        for (_, order) in due {
            self.obey(order, draining);
        }
    }

    fn obey(&mut self, order: Order, draining: bool) {
        match order {
            Order::Place { user, channel, flags } => {
                let known = self.truth.get(&user).copied();
                let here = known.is_some_and(|place| place.channel == channel);
                if draining && !here {
                    return;
                }
                let flags = flags.or_else(|| known.map(|place| place.flags)).unwrap_or_default();
                self.truth.insert(user, Place { channel, flags, stated: true });
            }
            Order::Flags { user, flags } => {
                if let Some(place) = self.truth.get_mut(&user) {
                    place.flags = flags;
                    place.stated = true;
                }
            }
            Order::Remove { user } => drop(self.truth.remove(&user)),
            Order::Destroy { channel } => self.truth.retain(|_, place| place.channel != channel),
        }
    }

    /// The chat server identified: from now on it counts what it states.
    pub(crate) fn identified(&mut self) {
        self.truth.values_mut().for_each(|place| place.stated = false);
    }

    /// What the server tells its host.
    pub(crate) fn event(
        &mut self,
        now: u64,
        event: &Event,
        grace_us: u64,
        present: impl Fn(usize) -> bool,
    ) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "other news say nothing of membership")]
        match event {
            Event::ControlConnected { resumed, .. } => {
                self.control_lost = None;
                if !resumed {
                    self.identified();
                }
            }
            Event::ControlLost { conn, .. } => {
                self.control_lost = Some(now);
                self.control = self.control.filter(|(live, _)| live != conn);
            }
            Event::MemberGone { user, channel, reason, .. } => {
                let user = user.as_u64();
                self.gone(now, user, channel.as_u64(), *reason, grace_us, present);
            }
            _ => {}
        }
    }

    /// Nobody goes without a reason.
    fn gone(
        &mut self,
        now: u64,
        user: u64,
        channel: u64,
        reason: GoneReason,
        grace_us: u64,
        present: impl Fn(usize) -> bool,
    ) {
        let place =
            self.truth.get(&user).copied().filter(|place| channel_id(place.channel) == channel);
        let unjust = match reason {
            // What was ordered is carried out within the same turn, so it is no longer true.
            GoneReason::Removed | GoneReason::Moved | GoneReason::ChannelDestroyed => {
                place.is_some()
            }
            GoneReason::NotRestated => place.is_some_and(|place| place.stated),
            GoneReason::Lost | GoneReason::NeverConnected => voice_of(user).is_some_and(present),
            // Calls end over 30 s, each at a time of its own.
            GoneReason::GraceEnded => self.control_lost.is_none_or(|since| now < since + grace_us),
            _ => true,
        };
        if unjust {
            self.fault(format!("user {user} is gone from {channel} as {}", reason.name()));
        }
        if place.is_some() {
            self.truth.remove(&user);
        }
    }

    // --- keys and nonces ---

    pub(crate) fn ready(&mut self, ssrc: u32, user: u64) {
        self.users.insert(ssrc, user);
    }

    /// A session description was read: no key is ever used twice (I4).
    pub(crate) fn keyed(&mut self, key: &[u8]) {
        if !self.keys.insert(key.to_vec()) {
            self.fault("a key was given twice".to_owned());
        }
    }

    /// A client sealed a packet under the `keys`th key of its session.
    pub(crate) fn sealed(&mut self, ssrc: u32, keys: u32, nonce: [u8; 4]) {
        self.use_nonce(ssrc, keys, nonce, "a client");
    }

    fn use_nonce(&mut self, ssrc: u32, keys: u32, nonce: [u8; 4], who: &str) {
        // A client whose own counter wraps repeats itself; that is not the server's doing.
        if !self.nonces.insert((ssrc, keys, nonce)) {
            self.fault(format!("{who} used the nonce {nonce:?} of {ssrc} a second time (I4)"));
        }
    }

    pub(crate) fn command(&mut self, command: &RelayCommand) {
        match command {
            RelayCommand::Open { leg, ssrc, .. } => {
                self.legs.insert(*leg, Leg { ssrc: ssrc.0, keys: 0 });
            }
            RelayCommand::SetKey { leg, .. } => {
                if let Some(leg) = self.legs.get_mut(leg) {
                    leg.keys += 1;
                }
            }
            RelayCommand::Close { leg } => drop(self.legs.remove(leg)),
            RelayCommand::SetPermissions { .. }
            | RelayCommand::SetBitrate { .. }
            | RelayCommand::Share { .. } => {}
        }
    }

    // --- media ---

    /// A gateway connection came from this address.
    pub(crate) fn member_address(&mut self, address: IpAddr) {
        self.members.insert(address);
    }

    /// A member's key sealed something that is sent from this address.
    pub(crate) fn vouched(&mut self, address: SocketAddr) {
        self.strange.entry(address).or_default().vouched = true;
    }

    pub(crate) fn received(&mut self, from: SocketAddr, bytes: usize) {
        if !self.members.contains(&from.ip()) {
            self.strange.entry(from).or_default().received += bytes as u64;
        }
    }

    /// A relay takes a datagram of `sender`, if that is RTP.
    pub(crate) fn accepted(&self, sender: Option<u32>) -> Accepted {
        let user = sender.and_then(|sender| self.users.get(&sender).copied());
        Accepted { user, place: user.and_then(|user| self.truth.get(&user).copied()) }
    }

    /// A relay sends something because of that. What another relay handed over may be a moment
    /// older than what its speaker may do now.
    pub(crate) fn sent(&mut self, from: Accepted, leg: LegId, to: SocketAddr, bytes: &[u8]) {
        self.sent_bytes(to, bytes.len());
        if bytes.get(1).is_none_or(|kind| kind & 0x7F != 120 || bytes[0] >> 6 != 2) {
            return; // an answer to whoever asked: discovery, ping, report
        }
        self.copies += 1;
        let Some(Leg { ssrc, keys }) = self.legs.get(&leg) else {
            return self.fault(format!("a packet went to {to}, whose leg was closed"));
        };
        let (ssrc, keys) = (*ssrc, *keys);
        if let Some(nonce) = bytes.last_chunk() {
            self.use_nonce(ssrc, keys, *nonce, "the server");
        }
        let receiver = self.users.get(&ssrc).copied();
        self.may_hear(from, receiver);
    }

    /// I2, against what the chat server's orders say at this instant.
    fn may_hear(&mut self, from: Accepted, receiver: Option<u64>) {
        let Accepted { user: speaker, place } = from;
        let to = receiver.and_then(|user| self.truth.get(&user));
        let wrong = match (place, to) {
            (Some(_), Some(_)) if speaker == receiver => Some("its own sender"),
            (Some(from), Some(to)) if from.channel != to.channel => Some("another channel"),
            (Some(from), Some(_)) if from.flags & (MUTE | SUPPRESS) != 0 => {
                Some("others while muted")
            }
            (Some(_), Some(to)) if to.flags & DEAF != 0 => Some("somebody deafened"),
            (Some(_), Some(_)) => None,
            (None, _) => Some("others while in no channel"),
            (_, None) => Some("somebody who is in no channel"),
        };
        if let Some(whom) = wrong {
            self.fault(format!("a packet of {speaker:?} went to {whom}: {receiver:?} (I2)"));
        }
    }

    /// I5: nothing is amplified.
    fn sent_bytes(&mut self, to: SocketAddr, bytes: usize) {
        if self.members.contains(&to.ip()) {
            return;
        }
        let strange = self.strange.entry(to).or_default();
        strange.sent += bytes as u64;
        let factor = if strange.vouched { 3 } else { 1 };
        if strange.sent > factor * strange.received {
            let Strange { received, sent, .. } = *strange;
            self.fault(format!("{sent} bytes went to {to}, {received} came from there (I5)"));
        }
    }

    /// The process is gone, and with it everything it held.
    pub(crate) fn restarted(&mut self, now: u64) {
        self.truth.clear();
        self.control = None;
        self.legs.clear();
        self.users.clear();
        self.nonces.clear();
        self.control_lost = Some(now.saturating_sub(SECOND));
    }
}
