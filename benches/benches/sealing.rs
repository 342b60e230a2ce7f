//! What it takes to seal and to open one packet in each mode, with its key schedule kept.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use lvsp_core::crypto::cipher::{Cipher, MediaKey};
use lvsp_core::crypto::mode::Mode;

/// 20 ms of Opus at 64 kbit/s.
const PAYLOAD: [u8; 160] = [0x5A; 160];
const HEADER: [u8; 12] = [0x80, 0x78, 0, 1, 0, 0, 0, 1, 0, 0, 0, 8];

fn sealing(criterion: &mut Criterion) {
    for mode in Mode::ALL {
        let Some(cipher) = Cipher::new(mode, &MediaKey::new([0x33; 32])) else { continue };
        let mut group = criterion.benchmark_group(mode.name());
        group.throughput(Throughput::Elements(1));
        let mut suffix = [0; 24];
        let mut counter = 0u32;
        let mut packet = [0; 512];
        let mut seal = |packet: &mut [u8]| {
            counter = counter.wrapping_add(1);
            suffix[..4].copy_from_slice(&counter.to_le_bytes());
            let suffix = &suffix[..mode.suffix_len()];
            cipher.seal_into(&HEADER, [&PAYLOAD, &[]], suffix, packet).unwrap_or(0)
        };
        group.bench_function("seal", |bencher| bencher.iter(|| seal(black_box(&mut packet))));
        let length = seal(&mut packet);
        let sealed = packet[..length].to_vec();
        group.bench_function("open", |bencher| {
            bencher.iter_batched_ref(
                || sealed.clone(),
                |packet| cipher.open(packet, HEADER.len()).is_ok(),
                BatchSize::SmallInput,
            );
        });
        assert!(cipher.open(&mut sealed.clone(), HEADER.len()).is_ok(), "what is opened is whole");
        group.finish();
    }
}

criterion_group!(benches, sealing);
criterion_main!(benches);
