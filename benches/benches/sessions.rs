//! How many joins a second one core serves: placing over LVSP, upgrade, Identify, discovery, Select
//! Protocol, Session Description, and leaving; with and without TLS. The client's side is in it too,
//! which with TLS is about as much again.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{Criterion, criterion_group, criterion_main};
use lvsp_benches::Site;

fn sessions(criterion: &mut Criterion) {
    for (name, tls) in [("plain", false), ("tls", true)] {
        let mut site = Site::new(tls);
        criterion.bench_function(&format!("session/{name}"), |bencher| {
            bencher.iter(|| site.join_and_leave());
        });
    }
}

criterion_group!(benches, sessions);
criterion_main!(benches);
