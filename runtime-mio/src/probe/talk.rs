//! Two clients talk to each other for a while: how long frames take, and which do not arrive.
//!
//! Both have the same clock, so that the time from one client's socket to the other's is that of the
//! way to the server and back.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use lvsp_core::client::FRAME_INTERVAL;
use lvsp_core::time::Timestamp;

use super::explain::Failure;
use super::report::{Direction, round};
use super::stage::Stage;
use crate::clock;
use crate::load::Stamp;
use crate::progress::Progress;

/// As long as a frame of speech at 64 kbit/s.
const FRAME_BYTES: usize = 160;
/// Frames that are on their way at the end are waited for so long.
const LATE: Duration = Duration::from_secs(1);
/// A minute, in microseconds: nothing is measured that takes longer.
const LONGEST_US: u64 = 60_000_000;
/// Loss from which on voice is heard to suffer: one of so many.
const BAD_LOSS: u64 = 100;
/// Jitter from which on it is, beyond what the buffers of most clients even out.
const BAD_JITTER_MS: f64 = 30.0;

/// One client's frames at the other's.
struct Way {
    sent: u32,
    arrived: Vec<bool>,
    times: Histogram<u64>,
    /// Of the newest frame, in microseconds.
    last: Option<f64>,
    jitter: f64,
}

impl Way {
    fn new() -> Result<Self> {
        let times = Histogram::new_with_bounds(1, LONGEST_US, 3)?;
        Ok(Self { sent: 0, arrived: Vec::new(), times, last: None, jitter: 0.0 })
    }

    /// Takes a frame that arrived now.
    fn note(&mut self, now: Timestamp, stamp: &Stamp) {
        let Some(arrived) =
            usize::try_from(stamp.index).ok().and_then(|at| self.arrived.get_mut(at))
        else {
            return;
        };
        if std::mem::replace(arrived, true) {
            return;
        }
        let took = u64::try_from(now.since(stamp.sent).as_micros()).unwrap_or(LONGEST_US);
        self.times.saturating_record(took.max(1));
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a minute at most")]
        let took = took as f64;
        if let Some(last) = self.last.replace(took) {
            self.jitter += ((took - last).abs() - self.jitter) / 16.0;
        }
    }

    fn lost(&self) -> u64 {
        self.arrived.iter().filter(|arrived| !**arrived).count() as u64
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds of a minute at most")]
    fn told(&self, way: &'static str) -> Direction {
        let ms = |quantile| self.times.value_at_quantile(quantile) as f64 / 1_000.0;
        Direction {
            way,
            sent: u64::from(self.sent),
            lost: self.lost(),
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            jitter_ms: round(self.jitter / 1_000.0),
        }
    }
}

/// Lets both clients talk for `time`.
pub(super) fn talk(stage: &mut Stage, time: Duration, bar: &Progress) -> Result<Vec<Direction>> {
    let mut ways = [Way::new()?, Way::new()?];
    let begun = clock::now();
    let end = begun + time;
    let mut next = begun;
    bar.begin("talk", time.as_millis() as u64 / FRAME_INTERVAL.as_millis() as u64);
    while clock::now() < end + LATE {
        let now = clock::now();
        if now >= next && now < end {
            say(stage, &mut ways, next);
            next = next + FRAME_INTERVAL;
            bar.set(u64::from(ways[0].sent));
        } else if now >= end && ways.iter().all(|way| way.lost() == 0) {
            break;
        }
        stage.turn(if now < end { next } else { end + LATE })?;
        hear(stage, &mut ways);
    }
    bar.end();
    Ok(vec![ways[0].told("client 1 to 2"), ways[1].told("client 2 to 1")])
}

fn say(stage: &mut Stage, ways: &mut [Way; 2], due: Timestamp) {
    let mut frame = Vec::new();
    for (speaker, (caller, way)) in stage.callers.iter_mut().zip(ways).enumerate() {
        let stamp = Stamp { due, sent: clock::now(), speaker: speaker as u32, index: way.sent };
        stamp.write(FRAME_BYTES, &mut frame);
        caller.peer.role.send_frame(&frame);
        way.sent += 1;
        way.arrived.push(false);
        // At once, and not with the next turn: the stamp says that it leaves now.
        if let Err(error) = caller.udp.write(&mut caller.peer.role) {
            caller.unsendable = Some(error);
        }
    }
}

fn hear(stage: &mut Stage, ways: &mut [Way; 2]) {
    let now = clock::now();
    for caller in &mut stage.callers {
        for frame in caller.peer.news.frames.drain(..) {
            let Some(stamp) = Stamp::parse(&frame) else { continue };
            if let Some(way) = usize::try_from(stamp.speaker).ok().and_then(|at| ways.get_mut(at)) {
                way.note(now, &stamp);
            }
        }
    }
}

/// What talk suffers from, if anything.
pub(super) fn trouble(talk: &[Direction]) -> Option<Failure> {
    let lossy = talk.iter().find(|way| way.lost * BAD_LOSS > way.sent);
    if let Some(Direction { way, sent, lost, .. }) = lossy {
        return Some(Failure::new(
            format!(
                "{lost} of {sent} frames from {way} were lost: voices sound robotic or drop out"
            ),
            "run the probe on the server's own host: if nothing is lost there, the network between \
             is at fault (a full line, Wi-Fi); otherwise see `lvsp-mio doctor` for socket buffers \
             and the server's processor load",
        ));
    }
    talk.iter().find(|way| way.jitter_ms > BAD_JITTER_MS).map(|Direction { way, jitter_ms, .. }| {
        Failure::new(
            format!("frames from {way} vary by {jitter_ms:.0} ms: voices may stutter"),
            "run the probe on the server's own host: if it is steady there, the network between is \
             at fault (a full line, Wi-Fi); otherwise the host is overloaded",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn frames_count_once_and_those_that_do_not_come_are_lost() {
        let mut way = Way::new().unwrap();
        way.sent = 4;
        way.arrived = vec![false; 4];
        let stamp = |index| Stamp { due: at(0), sent: at(1_000), speaker: 0, index };
        for (index, now) in [(0, 3_000), (1, 5_000), (1, 9_000), (3, 5_000), (7, 5_000)] {
            way.note(at(now), &stamp(index));
        }
        let told = way.told("way");
        assert_eq!((told.sent, told.lost), (4, 1));
        assert!((told.p50_ms - 4.0).abs() < 0.1 && (told.p99_ms - 4.0).abs() < 0.1, "{told:?}");
        // One step of 2 ms, a sixteenth of which counts, and then one of none.
        assert!((told.jitter_ms - 0.117).abs() < 1e-6, "{told:?}");
    }

    #[test]
    fn loss_and_jitter_are_troubles_from_where_they_are_heard() {
        let direction = |lost, jitter_ms| Direction {
            way: "client 1 to 2",
            sent: 200,
            lost,
            p50_ms: 1.0,
            p99_ms: 2.0,
            jitter_ms,
        };
        assert_eq!(trouble(&[direction(2, 30.0)]), None);
        let lossy = trouble(&[direction(0, 0.0), direction(3, 50.0)]).unwrap();
        assert!(lossy.what.starts_with("3 of 200 frames"), "{lossy:?}");
        assert!(trouble(&[direction(2, 31.0)]).unwrap().what.contains("vary by 31 ms"));
    }
}
