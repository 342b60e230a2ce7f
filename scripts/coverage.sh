#!/usr/bin/env bash
# Which lines of the core the tests reach: a table of its files, then the lines that are not reached,
# and status 1 below 95 %. Installs cargo-llvm-cov and rustup's llvm-tools if need be.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo-llvm-cov >/dev/null || cargo install --locked --quiet cargo-llvm-cov
toolchain=$(rustup show active-toolchain | cut -d' ' -f1)
if ! rustup component add --toolchain "$toolchain" llvm-tools 2>/dev/null; then
    # The nightly toolchain, which fuzzing needs, may have them.
    toolchain=nightly
fi

cargo "+$toolchain" llvm-cov --locked --no-report -p lvsp-core -p lvsp-tests \
    --lib --test it --test sim --test allocations
others='(^|/)(tests|benches|runtime-[a-z]*|fuzz)/|/(\.cargo|rustc)/|[_/]tests(/[a-z_]*)?\.rs$'
cargo "+$toolchain" llvm-cov report --ignore-filename-regex "$others" --show-missing-lines \
    --fail-under-lines 95
