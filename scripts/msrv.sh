#!/bin/sh
# Checks that everything that users build compiles with the oldest Rust that Cargo.toml promises.
# Tests and examples may need a newer one. rustup fetches that toolchain where it is missing; status 77
# where it cannot.
set -eu
cd "$(dirname "$0")/.."
. scripts/need.sh

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
if ! cargo "+$version" --version >/dev/null 2>&1 &&
    ! rustup toolchain install "$version" --profile minimal --no-self-update >/dev/null 2>&1; then
    cannot "Rust $version is not installed, and rustup cannot fetch it"
fi
echo "msrv: Rust $version"
cargo "+$version" check --locked -p lvsp-core -p lvsp-mio -p lvsp-tokio --target-dir target/msrv
