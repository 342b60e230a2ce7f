//! What befalls what passes the relay: decided from a seed, without sockets or a clock.
//!
//! The same seed and the same questions give the same answers. What the sockets bring in which
//! order is not ours to decide, so two runs are alike, and not equal.

use std::time::Duration;

use lvsp_core::entropy::SeededEntropy;

/// How bad it is. The default is calm.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Weather {
    pub(crate) datagrams: Datagrams,
    pub(crate) streams: Streams,
}

/// What befalls datagrams. Shares are in thousandths.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Datagrams {
    /// Lost.
    pub(crate) loss: u32,
    /// Sent twice; only on the way to the server, whose business it is to notice.
    pub(crate) repeat: u32,
    /// One bit flipped.
    pub(crate) corrupt: u32,
    /// Delayed by up to so much, each by itself: so later ones overtake.
    pub(crate) delay: Duration,
}

/// What befalls TCP connections. Shares are in thousandths of pieces.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Streams {
    /// Bytes are passed on in pieces of up to so many; all at once for 0.
    pub(crate) piece: u32,
    /// A piece waits for [`Self::stall_time`].
    pub(crate) stall: u32,
    /// How long a stall is.
    pub(crate) stall_time: Duration,
    /// The connection is reset instead.
    pub(crate) reset: u32,
}

/// Which way something goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// To the server.
    Up,
    /// To a client.
    Down,
}

/// A copy of a datagram that is passed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Passage {
    pub(crate) after: Duration,
    /// The bit that is flipped.
    pub(crate) flip: Option<usize>,
}

/// What happens to the next bytes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// So many are passed on after this time.
    Pass(usize, Duration),
    /// The connection ends here.
    Reset,
}

/// Decides.
pub(crate) struct Fates(SeededEntropy);

impl Fates {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }

    /// The copies of a datagram that are passed on, if any.
    pub(crate) fn datagram(
        &mut self,
        weather: &Datagrams,
        way: Way,
        length: usize,
    ) -> [Option<Passage>; 2] {
        if self.happens(weather.loss) {
            return [None; 2];
        }
        let again = way == Way::Up && self.happens(weather.repeat);
        let first = self.passage(weather, length);
        [Some(first), again.then(|| self.passage(weather, length))]
    }

    fn passage(&mut self, weather: &Datagrams, length: usize) -> Passage {
        let most = u64::try_from(weather.delay.as_micros()).unwrap_or(u64::MAX);
        let after = Duration::from_micros(self.up_to(most));
        let bits = (length as u64 * 8).max(1);
        let flip = self.happens(weather.corrupt).then(|| self.up_to(bits - 1));
        Passage { after, flip: flip.and_then(|bit| usize::try_from(bit).ok()) }
    }

    /// What happens to the first of `waiting` bytes, which are at least one.
    pub(crate) fn piece(&mut self, weather: &Streams, waiting: usize) -> Piece {
        if self.happens(weather.reset) {
            return Piece::Reset;
        }
        let wait = if self.happens(weather.stall) { weather.stall_time } else { Duration::ZERO };
        let most = match weather.piece {
            0 => waiting,
            most => 1 + usize::try_from(self.up_to(u64::from(most - 1))).unwrap_or(0),
        };
        Piece::Pass(most.min(waiting), wait)
    }

    fn happens(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.0.next_u64() % 1_000 < u64::from(thousandths)
    }

    /// 0 to `most`, both included.
    fn up_to(&mut self, most: u64) -> u64 {
        if most == 0 { 0 } else { self.0.next_u64() % most.saturating_add(1) }
    }
}

/// Flips a bit.
pub(crate) fn flip(bytes: &mut [u8], bit: usize) {
    if let Some(byte) = bytes.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORM: Datagrams =
        Datagrams { loss: 100, repeat: 50, corrupt: 20, delay: Duration::from_millis(80) };

    fn fates(weather: &Datagrams, way: Way) -> Vec<[Option<Passage>; 2]> {
        let mut fates = Fates::new(7);
        (0..10_000).map(|_| fates.datagram(weather, way, 100)).collect()
    }

    #[test]
    fn in_calm_weather_everything_passes_at_once() {
        let calm = Passage { after: Duration::ZERO, flip: None };
        assert!(
            fates(&Datagrams::default(), Way::Up).iter().all(|fate| *fate == [Some(calm), None])
        );
        let mut fates = Fates::new(7);
        assert_eq!(fates.piece(&Streams::default(), 900), Piece::Pass(900, Duration::ZERO));
    }

    #[test]
    fn the_same_seed_gives_the_same_fates() {
        assert_eq!(fates(&STORM, Way::Up), fates(&STORM, Way::Up));
    }

    #[test]
    fn each_thing_befalls_the_share_that_it_should() {
        let all = fates(&STORM, Way::Up);
        let near = |count: usize, wanted: usize| count.abs_diff(wanted) < wanted / 4;
        let lost = all.iter().filter(|fate| fate[0].is_none()).count();
        let twice = all.iter().filter(|fate| fate[1].is_some()).count();
        let flips: Vec<_> = all.iter().filter_map(|fate| fate[0]?.flip).collect();
        assert!(near(lost, 1_000) && near(twice, 450) && near(flips.len(), 180), "{lost} {twice}");
        assert!(flips.iter().all(|bit| *bit < 800));
        let delays: Vec<_> = all.iter().filter_map(|fate| Some(fate[0]?.after)).collect();
        assert!(delays.iter().all(|delay| *delay <= STORM.delay));
        assert!(delays.iter().any(|delay| *delay > STORM.delay * 9 / 10));
    }

    #[test]
    fn nothing_is_repeated_on_the_way_to_a_client() {
        assert!(fates(&STORM, Way::Down).iter().all(|fate| fate[1].is_none()));
    }

    #[test]
    fn pieces_have_at_least_a_byte_and_no_more_than_there_is() {
        let weather =
            Streams { piece: 64, stall: 100, stall_time: Duration::from_millis(500), reset: 10 };
        let mut fates = Fates::new(3);
        let pieces: Vec<_> = (0..10_000).map(|_| fates.piece(&weather, 40)).collect();
        let resets = pieces.iter().filter(|piece| **piece == Piece::Reset).count();
        assert!((50..200).contains(&resets), "{resets}");
        let lengths: Vec<_> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Pass(length, _) => Some(*length),
                Piece::Reset => None,
            })
            .collect();
        assert_eq!((lengths.iter().min(), lengths.iter().max()), (Some(&1), Some(&40)));
        assert!(pieces.contains(&Piece::Pass(40, weather.stall_time)));
    }

    #[test]
    fn a_flipped_bit_is_one_bit() {
        let mut bytes = [0; 4];
        flip(&mut bytes, 17);
        assert_eq!(bytes, [0, 0, 2, 0]);
        flip(&mut bytes, 99);
        assert_eq!(bytes, [0, 0, 2, 0]);
    }
}
