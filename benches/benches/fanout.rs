//! How many copies a second one core makes: one speaker, 10 to 1,000 listeners, every mode.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lvsp_benches::Room;
use lvsp_core::crypto::mode::Mode;
use lvsp_core::media::TransmitBatch;

fn fanout(criterion: &mut Criterion) {
    for mode in Mode::ALL {
        let mut group = criterion.benchmark_group(format!("fanout/{}", mode.name()));
        for listeners in [10, 100, 1_000] {
            let room = std::cell::RefCell::new(Room::new(mode, listeners));
            let mut batch = TransmitBatch::new();
            group.throughput(Throughput::Elements(u64::from(listeners)));
            group.bench_function(BenchmarkId::from_parameter(listeners), |bencher| {
                bencher.iter_batched_ref(
                    || room.borrow_mut().packet(),
                    |packet| {
                        let mut room = room.borrow_mut();
                        let speaker = room.speaker;
                        let sent = room.handle(speaker, packet, &mut batch);
                        assert_eq!(sent, listeners as usize, "everybody gets a copy");
                    },
                    BatchSize::SmallInput,
                );
            });
        }
        group.finish();
    }
}

criterion_group!(benches, fanout);
criterion_main!(benches);
