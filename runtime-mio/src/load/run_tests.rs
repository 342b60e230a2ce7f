//! The arithmetic of a talk, with a swarm that loses what it is told to.

use std::collections::VecDeque;

use super::*;

/// A perfect server in memory, but for every `loses`-th copy in talks of more than `carries`.
struct Echo {
    shape: Shape,
    talkers: usize,
    carries: usize,
    loses: usize,
    copies: usize,
    waiting: VecDeque<(usize, Vec<u8>)>,
    left: bool,
}

impl Echo {
    fn new(shape: Shape, carries: usize, loses: usize) -> Self {
        Self { shape, talkers: 0, carries, loses, copies: 0, waiting: VecDeque::new(), left: false }
    }
}

impl Swarm for Echo {
    fn mode(&self) -> String {
        "none".to_owned()
    }

    fn join(&mut self, joined: &mut dyn FnMut(usize)) -> Result<()> {
        joined(self.shape.members);
        Ok(())
    }

    fn announce(&mut self, speakers: usize) -> Result<()> {
        self.talkers = speakers;
        Ok(())
    }

    fn stop_reading(&mut self) -> Result<()> {
        self.loses = 1;
        Ok(())
    }

    fn speak(&mut self, speaker: usize, frame: &[u8]) -> bool {
        let channel = self.shape.channel(speaker);
        for listener in (0..self.shape.members).filter(|member| *member != speaker) {
            if self.shape.channel(listener) != channel {
                continue;
            }
            self.copies += 1;
            if self.talkers <= self.carries || !self.copies.is_multiple_of(self.loses) {
                self.waiting.push_back((listener, frame.to_vec()));
            }
        }
        true
    }

    fn turn(
        &mut self,
        until: Timestamp,
        heard: &mut dyn FnMut(usize, Timestamp, &[u8]),
    ) -> Result<()> {
        if let Some((listener, frame)) = self.waiting.pop_front() {
            heard(listener, clock::now(), &frame);
        } else {
            std::thread::sleep(until.since(clock::now()).min(Duration::from_millis(1)));
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        self.left = true;
        Ok(())
    }
}

fn plan(members: usize, speakers: usize, channels: usize) -> Plan {
    Plan {
        shape: Shape { members, speakers, channels },
        sizes: Sizes::Opus,
        dtx: false,
        warm_up: Duration::from_millis(40),
        time: Duration::from_millis(200),
        receive: true,
        link: None,
        server: None,
        saturate: false,
    }
}

fn play(plan: &Plan, echo: &mut Echo) -> Report {
    let report = run(echo, plan, &Progress::new()).unwrap();
    assert!(echo.left, "the server is left as it was");
    report
}

#[test]
fn without_loss_everything_expected_arrives() {
    let plan = plan(7, 3, 2);
    let step = play(&plan, &mut Echo::new(plan.shape, 9, 1)).step;
    // Ten frames of each; two speak to three others, one to two.
    assert_eq!((step.sent, step.expected, step.arrived), (30, 80, Some(80)));
    assert_eq!((step.lost_share, step.repeated, step.foreign), (Some(0.0), 0, 0));
    assert!(step.latency_us.is_some());
}

#[test]
fn what_is_lost_is_a_share_of_what_was_expected() {
    let plan = plan(5, 1, 1);
    let step = play(&plan, &mut Echo::new(plan.shape, 0, 4)).step;
    // One of the four copies of each frame.
    assert_eq!((step.sent, step.expected, step.arrived), (10, 40, Some(30)));
    assert_eq!(step.lost_share, Some(0.25));
}

#[test]
fn who_does_not_read_counts_what_was_expected() {
    let plan = Plan { receive: false, ..plan(5, 1, 1) };
    let step = play(&plan, &mut Echo::new(plan.shape, 0, 1)).step;
    assert_eq!((step.expected, step.arrived, step.lost_share), (40, None, None));
    assert!((step.forwarded_per_s * step.seconds - 40.0).abs() < 1e-6);
    assert_eq!(step.latency_us, None);
}

#[test]
fn speakers_are_added_until_something_is_lost_at_every_try() {
    let plan = Plan { saturate: true, ..plan(6, 2, 1) };
    let report = play(&plan, &mut Echo::new(plan.shape, 4, 2));
    let speakers: Vec<_> = report.steps.iter().map(|step| step.speakers).collect();
    assert_eq!(speakers, [2, 3, 4, 5, 5, 5]);
    assert_eq!((report.step.speakers, report.saturated), (4, Some(true)));
    let report = play(&plan, &mut Echo::new(plan.shape, 9, 2));
    assert_eq!((report.step.speakers, report.saturated), (6, Some(false)));
}

#[test]
fn a_shape_that_cannot_be_is_refused_before_anybody_joins() {
    let plan = plan(2, 3, 1);
    let mut echo = Echo::new(plan.shape, 9, 1);
    assert!(run(&mut echo, &plan, &Progress::new()).is_err());
    assert!(!echo.left);
}
