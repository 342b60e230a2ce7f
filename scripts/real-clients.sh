#!/bin/sh
# Runs the servers against real client libraries: songbird, @discordjs/voice, discord.py and eris.
# Installs what is missing (Debian), builds, runs the judges; the exit status is the verdict, 77 where
# what is missing cannot be installed.
#
#   scripts/real-clients.sh                        all three of these:
#   scripts/real-clients.sh pair [options]         who hears whom (tests/clients/pair.mjs)
#   scripts/real-clients.sh scenarios [options]    what happens to calls (tests/clients/scenarios.mjs)
#   scripts/real-clients.sh rooms [options]        the pairs against the example of runtime-tokio
#
# SERVER=FILE tests that program instead of building the one of this folder.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
cd "$(dirname "$0")/.."
clients=tests/clients
songbird=$clients/songbird/target/debug/voice-harness-songbird
venv=$clients/discordpy/venv

. scripts/need.sh

fail() {
    echo "real-clients: $*" >&2
    exit 1
}

prepare() {
    has cargo || fail "no cargo here; install Rust with rustup (Debian's own may be too old)"
    need cc:build-essential node:nodejs npm:npm openssl:openssl pkg-config:pkg-config python3:python3
    # songbird needs the Opus library even when it only passes packets through.
    pkg-config --exists opus || add_packages libopus-dev
    # Debian packs the module that makes environments apart from Python itself.
    python3 -c 'import ensurepip, venv' 2>/dev/null || add_packages python3-venv
    need_node
}

# The target folders are named so that CARGO_TARGET_DIR cannot move the programs elsewhere.
build() {
    for library in discordjs eris; do
        npm ci --prefix "$clients/$library" --no-audit --no-fund
    done
    cargo build --locked --manifest-path "$clients/songbird/Cargo.toml" --target-dir "$clients/songbird/target"
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$clients/discordpy/requirements.txt"
    if [ -z "${SERVER:-}" ]; then
        cargo build --release --locked -p lvsp-mio --target-dir target
        SERVER=target/release/lvsp-mio
    fi
}

pair() {
    node "$clients/pair.mjs" --server "$SERVER" --songbird "$songbird" --python "$venv/bin/python" "$@"
}

scenarios() {
    node "$clients/scenarios.mjs" --server "$SERVER" --songbird "$songbird" --python "$venv/bin/python" "$@"
}

# The same pairs against a server inside another application, which is told over HTTP who is where.
rooms() {
    cargo build --release --locked -p lvsp-tokio --example rooms --target-dir target
    node "$clients/pair.mjs" --rooms --server target/release/examples/rooms --songbird "$songbird" \
        --python "$venv/bin/python" "$@"
}

case "${1:-all}" in
all | pair | scenarios | rooms) judge=${1:-all} ;;
*) fail "$1 is none of pair, scenarios and rooms" ;;
esac
[ $# = 0 ] || shift

prepare
build
case $judge in
all)
    # Each verdict is worth seeing, so the others run after a failed one as well.
    status=0
    for each in pair scenarios rooms; do "$each" || status=1; done
    exit $status
    ;;
*) "$judge" "$@" ;;
esac
