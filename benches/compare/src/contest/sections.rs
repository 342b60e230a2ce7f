//! Which loads there are, and what their figures are held against.

use anyhow::{Context, Result, ensure};
use lvsp_core::crypto::mode::Mode;
use lvsp_mio::load::{Report, Shape};

use super::arena::{Arena, Case, Listening};
use super::contestants::Who;
use super::figures::{Goal, Pair, Results};
use super::{Section, say};
use crate::handshake::Handshake;

const GCM: Mode = Mode::Aes256GcmRtpSize;
const XCHACHA: Mode = Mode::XChaCha20Poly1305RtpSize;
/// A smoke run is of so much smaller loads.
const SMOKE: usize = 10;
/// A group call, a crowded channel, a stage.
const CALLS: [(usize, usize); 3] = [(50, 10), (100, 10), (200, 20)];
/// Speakers that a climb to saturation begins with at the latest.
const CLIMB_FROM: usize = 20;
/// And in a smoke run, which has twenty members: one step is left above it.
const SMOKE_CLIMB_FROM: usize = 19;
/// Of what carried no loss in the round before, in percent: where the next climb begins.
const CLIMB_BACK_PERCENT: usize = 75;
/// What has to arrive for no loss: a few are lost when the machine has other work for longer than
/// sockets have room.
const LOSS_FREE: f64 = 0.999;
const HANDSHAKES: u32 = 200;
/// Memory of an idle member, in KiB.
const MEMBER_KIB: f64 = 20.0;

/// Figures of a round: one report for each case.
type Round = Vec<Report>;

/// Runs the rounds of a section and adds its lines.
pub(super) fn run(section: Section, arena: &mut Arena, results: &mut Results) -> Result<()> {
    match section {
        Section::Cpu => cpu(arena, results),
        Section::Saturation => saturation(arena, results),
        Section::Latency => latency(arena, results),
        Section::Modes => modes(arena, results),
        Section::Scale => scale(arena, results),
        Section::Joins => joins(arena, results),
        Section::Threads => threads(arena, results),
        Section::Tokio => tokio(arena, results),
        Section::SystemCalls => system_calls(arena, results),
        Section::Stage => stage(arena, results),
    }
}

/// P1, P2.
fn cpu(arena: &mut Arena, results: &mut Results) -> Result<()> {
    for (members, speakers) in CALLS {
        let case = |who| case(arena, who, (members, speakers, 1), Listening::Dropped);
        let mut cases = vec![case(Who::OURS), case(Who::Forwarder)];
        if arena.stable.has_mumble() {
            cases.push(case(Who::Mumble));
        }
        let rounds = rounds(arena, results, "cpu", &cases)?;
        let goal = if members == 200 { Goal::AtMost(1.15) } else { Goal::None };
        let what = format!("({members},{speakers}) ns/packet against the bare forwarder");
        results.add(("P1", goal), what, &pairs(&rounds, (0, 1), cpu_of)?);
        if cases.len() > 2 {
            let goal = if members == 50 { Goal::None } else { Goal::AtLeast(1.8) };
            let what = format!("({members},{speakers}) packets/CPU s against mumble-server");
            results.add(("P2", goal), what, &pairs(&rounds, (0, 2), per_cpu_second)?);
        }
    }
    Ok(())
}

/// P3.
fn saturation(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let mut who = vec![Who::OURS, Who::Forwarder];
    if arena.stable.has_mumble() {
        who.push(Who::Mumble);
    }
    let climbs = climbs(arena, results, "saturation", &who, 1)?;
    let what = "packets/s without loss against the bare forwarder".to_owned();
    results.add(("P3", Goal::None), what, &pairs(&climbs, (0, 1), forwarded)?);
    let what = "ns/packet then, against the bare forwarder".to_owned();
    results.add(("P1", Goal::None), what, &pairs(&climbs, (0, 1), cpu_of)?);
    if who.len() > 2 {
        let what = "packets/CPU s then, against mumble-server".to_owned();
        results.add(("P2", Goal::None), what, &pairs(&climbs, (0, 2), per_cpu_second)?);
        let what = "packets/s without loss against mumble-server".to_owned();
        results.add(("P3", Goal::AtLeast(2.0)), what, &pairs(&climbs, (0, 2), forwarded)?);
    }
    Ok(())
}

/// P4.
fn latency(arena: &mut Arena, results: &mut Results) -> Result<()> {
    for (members, speakers) in CALLS {
        let case = |who| case(arena, who, (members, speakers, 1), Listening::Read);
        let mut cases = vec![case(Who::OURS), case(Who::Forwarder)];
        if arena.stable.has_mumble() {
            cases.push(case(Who::Mumble));
            // Each of the two sends to half of the members at the same time.
            let legs = u16::try_from(cases[0].shape.members.div_ceil(2))?;
            cases.push(case(Who::Spread { legs }));
        }
        let rounds = rounds(arena, results, "latency", &cases)?;
        let call = format!("({members},{speakers})");
        let what = format!("{call} p99 us against the bare forwarder");
        results.add(("P4", Goal::None), what, &pairs(&rounds, (0, 1), p99)?);
        let against = if cases.len() > 2 { 2 } else { 1 };
        if against == 2 {
            let goal = if members == 100 { Goal::AtMost(1.0 / 3.0) } else { Goal::None };
            let what = format!("{call} p99 us against mumble-server");
            results.add(("P4", goal), what, &pairs(&rounds, (0, 2), p99)?);
            let what = format!("{call} p99 us from when it was sent, against mumble-server");
            results.add(("P4", Goal::None), what, &pairs(&rounds, (0, 2), transit)?);
            let what = format!("{call} p99 us, spread over two threads, against mumble-server");
            results.add(("P4", Goal::None), what, &pairs(&rounds, (3, 2), p99)?);
        }
        // A ratio with nothing lost would be none, so what arrived is compared.
        let goal = if members == 200 { Goal::AtLeast(LOSS_FREE) } else { Goal::None };
        let what = format!("{call} % arrived against all; that: {}", cases[against].who.name());
        let arrived: Vec<_> = pairs(&rounds, (0, against), arrived)?;
        let whole: Vec<_> = arrived.iter().map(|(ours, _)| (*ours, 100.0)).collect();
        results.add(("P4", goal), what, &whole);
        let what = format!("{call} % arrived against the other's");
        results.add(("P4", Goal::None), what, &arrived);
    }
    Ok(())
}

/// P5.
fn modes(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let gcm = case(arena, Who::OURS, (200, 20, 1), Listening::Dropped);
    let cases = [Case { mode: XCHACHA, ..gcm }, gcm];
    let rounds = rounds(arena, results, "modes", &cases)?;
    let what = "(200,20) ns/packet, XChaCha20 against AES-256-GCM".to_owned();
    results.add(("P5", Goal::AtMost(1.35)), what, &pairs(&rounds, (0, 1), cpu_of)?);
    Ok(())
}

/// P11. What is forwarded in a second is the same, so that only the number of members or channels
/// differs; and only media threads count, since more members have more heartbeats. Nowhere so many
/// speak in one channel that their packets wait for each other, or everywhere: that saves more than
/// a thousand members could cost.
fn scale(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let flat = Goal::AtMost(1.10);
    let crowds = [(100, 10, 1), (250, 4, 1), (1_000, 1, 1)];
    let many = [(500, 200, 100), (1_500, 200, 300), (5_000, 200, 1_000)];
    for (name, shapes) in [("members in a channel", crowds), ("channels of five", many)] {
        let cases = shapes.map(|shape| case(arena, Who::OURS, shape, Listening::Dropped));
        let rounds = rounds(arena, results, "scale", &cases)?;
        let count = |(members, _, channels)| if channels == 1 { members } else { channels };
        for at in [1, 2] {
            let what = format!("media ns/packet, {} {name} against 100", count(shapes[at]));
            results.add(("P11", flat), what, &pairs(&rounds, (at, 0), media_cpu_of)?);
        }
    }
    Ok(())
}

/// P6, P7.
fn joins(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let handshake = Handshake::new()?;
    let mut memory = Vec::new();
    let mut joins = Vec::new();
    for round in 0..arena.options.rounds {
        let case = case(arena, Who::OURS, (1_000, 0, 500), Listening::Dropped);
        let report = arena.play(case)?;
        results.keep("joins", round, case.who.name(), &report);
        let bare = handshake.server_time(HANDSHAKES)?.as_secs_f64() * 1e6;
        let join = report.joins.server_cpu_us_per_join.context("the server is on this machine")?;
        joins.push((join, bare));
        let kib = report.joins.server_rss_kib_per_member.context("as before")?;
        memory.push((kib, MEMBER_KIB));
        say(&format!("  joins, round {}: {join:.0} us, {kib:.1} KiB", round + 1))?;
    }
    let what = "KiB of memory of an idle member against 20".to_owned();
    results.add(("P6", Goal::AtMost(1.0)), what, &memory);
    let what = "us of CPU for a join against a bare TLS handshake".to_owned();
    results.add(("P7", Goal::AtMost(1.5)), what, &joins);
    Ok(())
}

/// P8.
fn threads(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let who = [Who::Mio { relays: 1 }, Who::Mio { relays: 2 }];
    let climbs = climbs(arena, results, "threads", &who, 2)?;
    let mut gains = Vec::new();
    for climb in &climbs {
        let bare = (arena.bare_senders(1)?, arena.bare_senders(2)?);
        gains.push((forwarded(&climb[1])? / forwarded(&climb[0])?, bare.1 / bare.0));
    }
    let what = "gain by a second thread against that of bare senders".to_owned();
    results.add(("P8", Goal::AtLeast(0.95)), what, &gains);
    Ok(())
}

/// P10.
fn tokio(arena: &mut Arena, results: &mut Results) -> Result<()> {
    for (members, speakers) in [(100, 10), (200, 20)] {
        let cases = [Who::Tokio, Who::OURS]
            .map(|who| case(arena, who, (members, speakers, 1), Listening::Dropped));
        let rounds = rounds(arena, results, "tokio", &cases)?;
        let goal = if members == 200 { Goal::AtMost(1.3) } else { Goal::None };
        let what = format!("({members},{speakers}) ns/packet, lvsp-tokio against lvsp-mio");
        results.add(("P10", goal), what, &pairs(&rounds, (0, 1), cpu_of)?);
    }
    Ok(())
}

/// P9.
fn system_calls(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let case = case(arena, Who::OURS, (100, 10, 1), Listening::Dropped);
    let mut calls = Vec::new();
    for round in 0..arena.options.rounds {
        let (report, made) = arena.play_counting(case)?;
        results.keep("system calls", round, case.who.name(), &report);
        // The frames of the warm-up, which are counted as well; joins are, too, and are few.
        let seconds = arena.options.seconds + arena.options.warm_up().as_secs_f64();
        let packets = report.step.forwarded_per_s * seconds;
        say(&format!("  system calls, round {}: {made} for {packets:.0} packets", round + 1))?;
        calls.push((made as f64, packets));
    }
    let what = "(100,10) system calls of media threads, a forwarded packet".to_owned();
    results.add(("P9", Goal::AtMost(1.0 / 16.0)), what, &calls);
    Ok(())
}

/// Five talk, and five thousand who are suppressed listen: more than one thread can serve.
fn stage(arena: &mut Arena, results: &mut Results) -> Result<()> {
    let who = Who::Mio { relays: 2 };
    let case = Case { stage: true, ..case(arena, who, (5_005, 5, 1), Listening::Dropped) };
    let rounds = rounds(arena, results, "stage", &[case])?;
    let whole = |report: &Report| Ok((arrived(report)?, 100.0));
    let shares = rounds.iter().map(|round| whole(&round[0])).collect::<Result<Vec<_>>>()?;
    let what = "stage of 5 and 5,000 on two threads, % arrived against all".to_owned();
    results.add(("", Goal::None), what, &shares);
    Ok(())
}

/// A case of these members, speakers and channels.
fn case(
    arena: &Arena,
    who: Who,
    (members, speakers, channels): (usize, usize, usize),
    listening: Listening,
) -> Case {
    let part = |count: usize| {
        if arena.options.smoke { count.div_ceil(SMOKE) } else { count }
    };
    let shape =
        Shape { members: part(members), speakers: part(speakers), channels: part(channels) };
    Case { who, shape, mode: GCM, listening, stage: false }
}

/// Plays every case once in each round, in turning order.
fn rounds(
    arena: &mut Arena,
    results: &mut Results,
    section: &'static str,
    cases: &[Case],
) -> Result<Vec<Round>> {
    let mut rounds = Vec::new();
    for round in 0..arena.options.rounds {
        let mut reports: Vec<Option<Report>> = vec![None; cases.len()];
        for step in 0..cases.len() {
            let at = (round + step) % cases.len();
            let report = play(arena, results, (section, round), cases[at])?;
            reports[at] = Some(report);
        }
        rounds.push(reports.into_iter().collect::<Option<Vec<_>>>().context("all were played")?);
    }
    Ok(rounds)
}

/// Has everybody climb to saturation in each round, each from near where it came last time.
fn climbs(
    arena: &mut Arena,
    results: &mut Results,
    section: &'static str,
    who: &[Who],
    channels: usize,
) -> Result<Vec<Round>> {
    // A smoke run has not the time to climb far.
    let first = if arena.options.smoke { SMOKE_CLIMB_FROM } else { CLIMB_FROM };
    let mut from = vec![first * channels; who.len()];
    let mut rounds = Vec::new();
    for round in 0..arena.options.rounds {
        let mut reports = Vec::new();
        for (who, from) in who.iter().zip(&mut from) {
            let case = case(arena, *who, (200 * channels, 0, channels), Listening::Saturated);
            let case = Case { shape: Shape { speakers: *from, ..case.shape }, ..case };
            let report = play(arena, results, (section, round), case)?;
            if !arena.options.smoke {
                *from = (report.step.speakers * CLIMB_BACK_PERCENT / 100).max(1);
            }
            reports.push(report);
        }
        rounds.push(reports);
    }
    Ok(rounds)
}

fn play(
    arena: &mut Arena,
    results: &mut Results,
    (section, round): (&'static str, usize),
    case: Case,
) -> Result<Report> {
    let report = arena.play(case)?;
    results.keep(section, round, case.who.name(), &report);
    let Shape { members, speakers, channels } = case.shape;
    let step = &report.step;
    // Figures of what is not heard as it was said would be worth nothing, however good.
    ensure!(
        step.foreign == 0 && step.repeated == 0 && step.lost_share.is_none_or(|lost| lost < 1.0),
        "{} does not forward what is said: {step:?}",
        case.who.name()
    );
    say(&format!(
        "  {section}, round {}: {:<21} ({members},{speakers},{channels}) {:>7.0}/s {:>6.0} ns \
         {:>6.2} % lost, p99 {} us",
        round + 1,
        case.who.name(),
        step.forwarded_per_s,
        step.server_cpu_ns_per_forwarded.unwrap_or(f64::NAN),
        step.lost_share.unwrap_or(f64::NAN) * 100.0,
        step.latency_us.map_or_else(|| "-".to_owned(), |latency| latency.p99.to_string()),
    ))?;
    Ok(report)
}

/// A figure of two cases, of each round.
fn pairs(
    rounds: &[Round],
    (this, that): (usize, usize),
    figure: fn(&Report) -> Result<f64>,
) -> Result<Vec<Pair>> {
    rounds.iter().map(|round| Ok((figure(&round[this])?, figure(&round[that])?))).collect()
}

fn cpu_of(report: &Report) -> Result<f64> {
    report.step.server_cpu_ns_per_forwarded.context("nothing was forwarded")
}

fn media_cpu_of(report: &Report) -> Result<f64> {
    report.step.server_media_cpu_ns_per_forwarded.context("the server has no media threads")
}

fn per_cpu_second(report: &Report) -> Result<f64> {
    Ok(1e9 / cpu_of(report)?)
}

fn forwarded(report: &Report) -> Result<f64> {
    Ok(report.step.forwarded_per_s)
}

fn p99(report: &Report) -> Result<f64> {
    Ok(report.step.latency_us.context("nothing arrived")?.p99 as f64)
}

/// Without the lateness of clients, which other work on the machine makes.
fn transit(report: &Report) -> Result<f64> {
    Ok(report.step.transit_us.context("nothing arrived")?.p99 as f64)
}

fn arrived(report: &Report) -> Result<f64> {
    Ok(100.0 * (1.0 - report.step.lost_share.context("everybody reads")?))
}
