#!/bin/sh
# Proves that the core is pure: builds it for WebAssembly, WebSocket included, where there is no
# operating system, and looks whether the linked module imports anything.
#
# It needs the standard library for wasm32-unknown-unknown, which rustup fetches where it is missing;
# status 77 where it cannot.
set -eu
cd "$(dirname "$0")/.."
. scripts/need.sh

target=wasm32-unknown-unknown
probe=tests/purity
out=$PWD/target/purity
# Random bytes come from a function that the probe defines, and that has none.
export RUSTFLAGS='--cfg getrandom_backend="custom"'

say() { echo "purity: $*"; }

has_std() { [ -d "$(rustc --print target-libdir --target $target 2>/dev/null)" ]; }

if has_std; then
    say "the standard library for $target is installed"
elif rustup target add $target >/dev/null 2>&1; then
    say "rustup fetched the standard library for $target"
else
    cannot "this toolchain has no standard library for $target, and rustup cannot fetch it; on a" \
        "machine with a network: rustup target add $target"
fi

say "building the core without its default features"
cargo build --locked --release -p lvsp-core --no-default-features --target $target --target-dir "$out"
say "linking the probe"
cargo build --locked --release --manifest-path $probe/Cargo.toml --target $target --target-dir "$out"
unset RUSTFLAGS
rustc --edition 2024 -o "$out/imports" $probe/imports.rs
"$out/imports" "$out/$target/release/lvsp_purity.wasm"
