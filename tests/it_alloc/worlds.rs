//! Simulated worlds, whose servers hold no more than the memory ceiling of their limits says.

use allocation_counter::measure;
use lvsp_sim::{Plan, run_measured};

fn gauge(work: &mut dyn FnMut()) -> i64 {
    measure(work).bytes_current
}

#[test]
fn whatever_happens_the_core_holds_no_more_than_its_ceiling() {
    let mut most = 0;
    for seed in (0..2_000).step_by(100) {
        let report = run_measured(&Plan::from_seed(seed), gauge);
        let report = report.unwrap_or_else(|failure| panic!("seed {seed}: {}", failure.what));
        most = most.max(report.held_max);
    }
    println!("at most {most} bytes were held at once");
    assert!(most > 50_000, "it was really measured: {most}");
}
