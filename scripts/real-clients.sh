#!/bin/sh
# Runs the server against real client libraries: songbird and @discordjs/voice, in every direction.
# Installs what is missing (Debian), builds, runs tests/clients/pair.mjs; its exit status is the verdict.
#
#   scripts/real-clients.sh [options of pair.mjs]
#
# SERVER=FILE tests that program instead of building the one of this folder.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
cd "$(dirname "$0")/.."
clients=tests/clients

has() { command -v "$1" >/dev/null 2>&1; }

fail() {
    echo "real-clients: $*" >&2
    exit 1
}

missing_packages() {
    has cc || echo build-essential
    has node || echo nodejs
    has npm || echo npm
    has openssl || echo openssl
    has pkg-config || echo pkg-config
    # songbird needs the Opus library even when it only passes packets through.
    { has pkg-config && pkg-config --exists opus; } || echo libopus-dev
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_missing() {
    packages=$(missing_packages | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    has apt-get || fail "no apt-get here; install what Debian calls: $packages"
    [ "$(id -u)" = 0 ] || has sudo || fail "neither root nor sudo; as root: apt-get install $packages"
    echo "real-clients: installing $packages"
    as_root apt-get update -q
    # Unquoted on purpose: one word is one package.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
}

check_versions() {
    has cargo || fail "no cargo here; install Rust with rustup (Debian's own may be too old)"
    major=$(node -p 'process.versions.node.split(".")[0]')
    [ "$major" -ge 20 ] || fail "Node $major is too old; install Node 20 or newer (Debian 13 has it)"
}

# The target folders are named so that CARGO_TARGET_DIR cannot move the programs elsewhere.
build() {
    npm ci --prefix "$clients/discordjs" --no-audit --no-fund
    cargo build --locked --manifest-path "$clients/songbird/Cargo.toml" --target-dir "$clients/songbird/target"
    if [ -z "${SERVER:-}" ]; then
        cargo build --release --locked -p lvsp-mio --target-dir target
        SERVER=target/release/lvsp-mio
    fi
}

install_missing
check_versions
build
exec node "$clients/pair.mjs" --server "$SERVER" \
    --songbird "$clients/songbird/target/debug/voice-harness-songbird" "$@"
