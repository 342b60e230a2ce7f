//! How well one speaker's packets arrive: loss, lateness, jitter, and the report of it.
//!
//! Decided here: the figures, by RFC 3550 (6.4.1 and appendix A). Not here: which packets count
//! (`intake.rs`): those that authenticated and were not seen before.
//!
//! Between calls: never more packets are counted as received than were sent.

use std::time::Duration;

use crate::crypto::replay::Accepted;
use crate::time::Timestamp;
use crate::wire::rtcp::{ReportBlock, SenderReport};

/// RTP timestamps of Opus run at this rate, whatever its sampling rate.
const SAMPLES_PER_S: u64 = 48_000;
/// A step in transit time above a second is a pause or a restart of the sender's clock, not jitter.
const TRANSIT_STEP_MAX: u32 = 48_000;
/// At most one report to a sender in this time.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// What has arrived from one speaker.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reception {
    /// The run of sequence numbers under way; `None` before its first packet.
    run: Option<Run>,
    /// Packets that did not come in earlier runs.
    lost_before: u64,
    late: u64,
    /// In sixteenths of a sample.
    jitter: u32,
    /// Arrival minus RTP timestamp of the last packet, in samples modulo 2^32.
    transit: Option<u32>,
    heard: Option<Timestamp>,
    report: Reports,
}

/// A sequence without a restart.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u64,
    highest: u64,
    received: u64,
}

impl Run {
    const fn expected(&self) -> u64 {
        self.highest - self.first + 1
    }

    const fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }
}

/// Where reports to the sender stand.
#[derive(Clone, Copy, Debug, Default)]
struct Reports {
    sent_at: Option<Timestamp>,
    /// Expected and received when the last one was made.
    prior: (u64, u64),
}

impl Reception {
    /// Counts a packet that authenticated and was not seen before.
    #[inline]
    pub(super) fn note(&mut self, now: Timestamp, rtp_timestamp: u32, accepted: Accepted) {
        match accepted {
            Accepted::Newest(number) => match &mut self.run {
                Some(run) => {
                    run.highest = number;
                    run.received += 1;
                }
                None => self.run = Some(Run { first: number, highest: number, received: 1 }),
            },
            Accepted::Late(number) => {
                self.late += 1;
                if let Some(run) = &mut self.run {
                    run.first = run.first.min(number);
                    run.received += 1;
                }
            }
            Accepted::Restarted(number) => {
                self.restart();
                self.run = Some(Run { first: number, highest: number, received: 1 });
            }
            Accepted::Replayed | Accepted::TooOld => return,
        }
        self.heard = Some(now);
        self.note_transit(now, rtp_timestamp);
    }

    /// The next packet begins a new sequence, as after a new key.
    pub(super) fn restart(&mut self) {
        if let Some(run) = self.run.take() {
            self.lost_before += run.lost();
        }
        self.report.prior = (0, 0);
        self.transit = None;
    }

    fn note_transit(&mut self, now: Timestamp, rtp_timestamp: u32) {
        // Modulo 2^32 like the timestamp itself; only differences matter.
        let arrival = (now.as_micros() / 1_000 * SAMPLES_PER_S / 1_000) as u32;
        let transit = arrival.wrapping_sub(rtp_timestamp);
        if let Some(last) = self.transit.replace(transit) {
            let step = transit.wrapping_sub(last).cast_signed().unsigned_abs();
            if step < TRANSIT_STEP_MAX {
                self.jitter = self.jitter + step - ((self.jitter + 8) >> 4);
            }
        }
    }

    /// Packets that never came.
    pub(super) fn lost(&self) -> u64 {
        self.lost_before + self.run.map_or(0, |run| run.lost())
    }

    /// Packets that came behind a newer one.
    pub(super) const fn late(&self) -> u64 {
        self.late
    }

    pub(super) fn jitter(&self) -> Duration {
        Duration::from_micros(u64::from(self.jitter >> 4) * 1_000_000 / SAMPLES_PER_S)
    }

    pub(super) const fn heard(&self) -> Option<Timestamp> {
        self.heard
    }

    /// What to answer a sender report with, if an answer is due and anything was heard.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        source: u32,
        sent: &SenderReport,
    ) -> Option<ReportBlock> {
        let run = self.run?;
        if self.report.sent_at.is_some_and(|at| now.since(at) < REPORT_INTERVAL) {
            return None;
        }
        self.report.sent_at = Some(now);
        let (expected, received) = (run.expected(), run.received);
        let (expected_prior, received_prior) =
            std::mem::replace(&mut self.report.prior, (expected, received));
        let expected_since = expected.saturating_sub(expected_prior);
        let lost_since = expected_since.saturating_sub(received.saturating_sub(received_prior));
        let fraction = (lost_since << 8).checked_div(expected_since).unwrap_or(0);
        Some(ReportBlock {
            source,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            // 24 bits, signed.
            cumulative_lost: u32::try_from(run.lost().min(0x7F_FFFF)).unwrap_or(0),
            highest_sequence: (run.highest & 0xFFFF_FFFF) as u32,
            jitter: self.jitter >> 4,
            last_report: sent.middle_ntp,
            // Answered at once.
            delay_since_last_report: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(packet: u64, delay_us: u64) -> Timestamp {
        Timestamp::from_micros(20_000 * packet + delay_us)
    }

    fn heard(numbers: &[(u64, u64)]) -> Reception {
        let mut reception = Reception::default();
        let mut highest = 0;
        for (number, delay_us) in numbers.iter().copied() {
            let accepted =
                if number > highest { Accepted::Newest(number) } else { Accepted::Late(number) };
            highest = highest.max(number);
            reception.note(at(number, delay_us), (number * 960) as u32, accepted);
        }
        reception
    }

    #[test]
    fn gaps_are_lost_until_they_are_filled_late() {
        let reception = heard(&[(10, 0), (11, 0), (14, 0)]);
        assert_eq!((reception.lost(), reception.late()), (2, 0));
        let reception = heard(&[(10, 0), (11, 0), (14, 0), (12, 40_000), (9, 100_000)]);
        assert_eq!((reception.lost(), reception.late()), (1, 2));
    }

    #[test]
    fn a_new_sequence_keeps_what_was_lost_in_the_old_one() {
        let mut reception = heard(&[(10, 0), (12, 0)]);
        reception.note(at(13, 0), 5, Accepted::Restarted(65_536 + 5));
        reception.note(at(14, 0), 960, Accepted::Newest(65_536 + 6));
        assert_eq!(reception.lost(), 1);
        assert_eq!(reception.heard(), Some(at(14, 0)));
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_an_uneven_one_has_its_mean_step() {
        let even: Vec<_> = (1..200).map(|n| (n, 7_000)).collect();
        assert_eq!(heard(&even).jitter(), Duration::ZERO);
        let uneven: Vec<_> = (1..200).map(|n| (n, (n % 2) * 10_000)).collect();
        let jitter = heard(&uneven).jitter();
        assert!((9_000..=10_000).contains(&jitter.as_micros()), "{jitter:?}");
    }

    #[test]
    fn a_pause_is_no_jitter() {
        let mut reception = heard(&[(1, 0), (2, 0)]);
        reception.note(at(500, 0), 3 * 960, Accepted::Newest(3));
        assert_eq!(reception.jitter(), Duration::ZERO);
    }

    #[test]
    fn a_report_covers_the_time_since_the_one_before() {
        let mut reception = heard(&[(1, 0), (2, 0), (4, 0), (5, 0)]);
        let sent = SenderReport { middle_ntp: 77 };
        let report = reception.report(at(5, 0), 8, &sent).expect("the first");
        // One of five.
        assert_eq!((report.fraction_lost, report.cumulative_lost), (51, 1));
        assert_eq!((report.source, report.highest_sequence, report.last_report), (8, 5, 77));
        assert_eq!(reception.report(at(6, 0), 8, &sent), None, "one in five seconds");
        reception.note(at(256, 0), 256 * 960, Accepted::Newest(6));
        let report = reception.report(at(256, 0), 8, &sent).expect("the second");
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 1));
    }

    #[test]
    fn nothing_is_reported_of_somebody_who_was_not_heard() {
        let sent = SenderReport { middle_ntp: 77 };
        assert_eq!(Reception::default().report(at(1, 0), 8, &sent), None);
    }
}
