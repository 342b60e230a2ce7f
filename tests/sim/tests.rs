//! The simulator's seeds, and what they have found.

use std::sync::Mutex;

use lvsp_sim::{Plan, hunt, run};

/// Seeds that every change has to survive. `scripts/simulate.sh` runs many more.
const SEEDS: u64 = 2_000;

/// Tests of plans that failed once, as the simulator prints them.
macro_rules! found {
    ($($(#[$doc:meta])* fn $name:ident() = $plan:literal;)*) => {
        $($(#[$doc])* #[test] fn $name() { holds($plan); })*
        const FOUND: &[&str] = &[$($plan),*];
    };
}

found! {
    /// A state dump was written faster than its reader's connection may hold, and that dropped it as
    /// a slow reader, every time it came back.
    fn a_dump_does_not_make_its_reader_a_slow_one() = "
        seed 623
        voices discord.py koe songbird koe discord.js hostile hostile
        server_lag_us 6115
        outbound_bytes 19763
        at 7967 attack 6 9
        at 8281 join 5 2
        at 8301 server-stall 2821
        at 8508 server-stall 80508
        at 13087 join 6 0
        at 13757 join 2 1
        at 16467 join 3 0
        at 18184 join 4 1
    ";

    /// Somebody left a large channel that was small a moment later and came back at once: the others
    /// were told of the return before the departure.
    fn a_return_is_not_told_before_the_departure() = "
        seed 918
        voices discord.py koe discord.py discord.js discord.js
        gather_above_members 3
        at 884 join 4 0
        at 966 join 3 0
        at 1008 join 1 0
        at 1148 join 5 0
        at 23395 control-stall 1 17770
        at 27517 join 3 0
        at 36772 join 5 1
    ";

    /// A user came back to a channel while that was deleted, and was taken there all the same: who
    /// wanted to be elsewhere by then did not ask again. Found by fuzzing.
    fn who_is_taken_to_another_channel_than_wanted_asks_again() = "
        seed 46602
        voices discord.js discord.py songbird discord.js discord.js
        at 0 join 0 0
        at 50 join 1 0
        at 100 join 2 0
        at 150 join 3 0
        at 200 join 4 0
        at 9980 leave 4
        at 9980 join 4 0
        at 9980 destroy 0
    ";

    /// The order to move a user was lost for good while its client was on the way to the channel
    /// before: being in voice at all was mistaken for being there.
    fn a_move_that_is_lost_for_good_is_asked_for_again() = "
        seed 1
        voices discord.js songbird
        revision 1
        forgetful 1
        tcp_delay_us 92634
        at 100 join 2 0
        at 900 join 1 0
        at 1180 control-crash 5121
        at 1180 join 1 2
    ";

    /// Flags were taken back while the control link was down, and nobody said so afterwards.
    fn flags_that_are_lost_for_good_are_stated_again() = "
        seed 4509
        voices songbird discord.py
        revision 1
        forgetful 1
        at 449 join 1 0
        at 571 join 0 2
        at 987 flags 0 4
        at 1987 join 0 0
        at 38912 control-cut 19224
        at 39106 flags 0 0
    ";

    /// A client was lost while the order to place its user again was under way. The chat server took
    /// the user for gone, and did not take back the voice state that came of the order.
    fn a_voice_state_that_is_not_wanted_any_more_is_removed() = "
        seed 5409
        voices koe discord.py discord.py koe discord.js discord.py hostile
        resume_window_ms 1567
        at 8969 join 6 0
        at 13242 control-stall 1 7856
        at 20358 attack 6 599
        at 20933 control-stall 1 3336
        at 23477 leave 6
    ";

    /// A client lost its power, its user left meanwhile, and the order was lost for good: the voice
    /// state stays until the client's silence is noticed and it may not resume any more.
    fn who_left_unnoticed_is_gone_after_the_resume_window() = "
        seed 2128
        voices discord.js songbird
        revision 1
        forgetful 1
        at 101 join 0 0
        at 610 join 1 0
        at 8225 vanish 0 9139
        at 8710 leave 0
        at 8820 control-crash 13656
    ";

    /// A little-endian counter that wraps strews its nonces over the whole range: it must not be taken
    /// for a client that draws them, out of whose way the server could go.
    fn a_counter_that_wraps_is_no_client_that_draws() = "
        seed 78705
        voices koe koe
        counter_start 2
        at 71 join 1 0
        at 976 join 0 0
        at 2425 talk 0 46
        at 10915 talk 0 47
        at 17010 talk 0 46
        at 25193 talk 0 29
        at 32696 talk 0 25
        at 43953 talk 0 30
        at 49236 talk 0 49
        at 51794 talk 0 27
        at 53847 talk 0 50
        at 57163 talk 0 33
    ";

    /// What a chat server had missed was more than may wait on all connections together: it lost its
    /// connection each time that it resumed.
    fn a_chat_server_that_missed_much_can_resume_under_a_tight_limit() = "
        seed 105721
        voices discord.js koe discord.js discord.py discord.js hostile hostile
        outbound_total_bytes 67180
        at 428 join 2 0
        at 623 join 4 0
        at 652 join 0 0
        at 819 join 6 0
        at 859 join 1 0
        at 928 join 5 0
        at 1336 join 3 0
        at 2112 control-stall 2 18517
        at 3765 attack 6 170
        at 5697 attack 5 149
        at 6425 server-stall 97104
        at 8444 control-stall 2 14631
        at 22402 cut 3
        at 23600 cut 4
    ";

    /// A departure was written to a connection that had broken already, and a client without numbers
    /// was not told of it again when it resumed. Found by fuzzing.
    fn a_departure_that_was_not_read_is_told_again() = "
        seed 23031
        voices hostile songbird
        tcp_delay_us 46153
        at 0 join 0 0
        at 50 join 1 0
        at 1300 cut 1
        at 1300 leave 0
    ";

    /// The same of a move, while the control thread stood still.
    fn a_move_that_was_not_read_is_told_again() = "
        seed 1
        voices discord.js songbird
        at 0 join 0 0
        at 50 join 1 0
        at 7500 server-stall 1029
        at 7580 join 0 2
        at 8060 cut 1
    ";

    /// A client that selected its protocol again named a mode that was not its own.
    fn who_selects_its_protocol_again_goes_on() = "
        seed 249
        voices songbird discord.py
        at 0 join 0 0
        at 50 join 1 0
        at 5700 attack 1 564
    ";

    /// A client flooded the server, and was expected back before its Identify is taken again.
    fn who_floods_is_back_when_it_has_calmed_down() = "
        seed 1
        voices songbird
        tcp_delay_us 54042
        at 0 join 0 0
        at 44500 attack 0 3
        at 44500 control-crash 0
    ";

    /// A key was used up while everybody was asked to speak, and its session ended to be made anew.
    fn a_key_that_is_used_up_in_the_examination_puts_it_off() = "
        seed 17022
        voices songbird koe songbird
        key_soft_packets 1024
        at 723 join 2 0
        at 806 join 3 0
        at 1472 join 1 0
        at 3479 talk 0 43
        at 4066 talk 2 38
        at 6652 talk 3 48
        at 6666 talk 3 49
        at 7011 talk 2 51
        at 8940 talk 0 53
        at 9806 talk 2 54
        at 11015 talk 0 60
        at 11618 talk 2 40
        at 12521 talk 3 56
        at 12881 talk 2 51
        at 13733 talk 2 24
        at 13772 talk 2 44
        at 14503 talk 0 52
        at 16217 talk 0 56
        at 17454 talk 3 42
        at 20005 talk 3 4
        at 21054 talk 3 57
        at 21583 talk 2 60
        at 22194 talk 0 36
        at 22293 talk 0 56
        at 23522 talk 0 3
        at 24622 talk 0 45
    ";
}

/// Runs a plan in its text form.
#[track_caller]
fn holds(text: &str) {
    let plan: Plan = text.parse().unwrap_or_else(|bad| panic!("{bad}"));
    if let Err(failure) = run(&plan) {
        panic!("at {:.3} s: {}", failure.at as f64 / 1e6, failure.what);
    }
}

/// What was found once runs first. `SIM_SEED` runs one seed alone.
#[test]
fn every_seed_holds() {
    for plan in FOUND {
        holds(plan);
    }
    let seed = std::env::var("SIM_SEED").ok().map(|text| text.parse().expect("SIM_SEED: a number"));
    let seeds = seed.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let findings = Mutex::new(Vec::new());
    let summary = hunt::run_seeds(seeds.clone(), true, 3, |finding| {
        findings.lock().expect("no hunter panics").push(finding.to_string());
    });
    let findings = findings.into_inner().expect("no hunter panics");
    assert_eq!(summary.failed, 0, "{summary}\n{}", findings.join("\n\n"));
    assert_eq!(summary.seeds, seeds.end - seeds.start);
    if seed.is_none() {
        assert!(summary.copies > 100 * SEEDS, "they hardly talked: {summary}");
        assert!(summary.carried > 10 * SEEDS, "they were hardly apart: {summary}");
    }
}

#[test]
fn a_run_can_be_repeated_byte_for_byte() {
    for seed in 0..20 {
        let plan = Plan::from_seed(seed);
        assert_eq!(run(&plan), run(&plan), "seed {seed}");
    }
    let digests: Vec<_> =
        (0..20).map(|seed| run(&Plan::from_seed(seed)).map(|r| r.digest)).collect();
    let mut distinct = digests.clone();
    distinct.sort_by_key(|digest| digest.clone().ok());
    distinct.dedup();
    assert_eq!(distinct.len(), digests.len(), "other seeds give other runs");
}
