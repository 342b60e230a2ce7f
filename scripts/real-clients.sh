#!/bin/sh
# Runs the servers against real client libraries: songbird, @discordjs/voice and discord.py.
# Installs what is missing (Debian), builds, runs the judges; the exit status is the verdict.
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
    # Debian packs the module that makes environments apart from Python itself.
    { has python3 && python3 -c 'import ensurepip, venv' 2>/dev/null; } || echo python3-venv
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
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$clients/discordpy/requirements.txt"
    if [ -z "${SERVER:-}" ]; then
        cargo build --release --locked -p lvsp-mio --target-dir target
        SERVER=target/release/lvsp-mio
    fi
}

pair() {
    node "$clients/pair.mjs" --server "$SERVER" --songbird "$songbird" "$@"
}

scenarios() {
    node "$clients/scenarios.mjs" --server "$SERVER" --songbird "$songbird" --python "$venv/bin/python" "$@"
}

# The same pairs against a server inside another application, which is told over HTTP who is where.
rooms() {
    cargo build --release --locked -p lvsp-tokio --example rooms --target-dir target
    node "$clients/pair.mjs" --rooms --server target/release/examples/rooms --songbird "$songbird" "$@"
}

case "${1:-all}" in
all | pair | scenarios | rooms) judge=${1:-all} ;;
*) fail "$1 is none of pair, scenarios and rooms" ;;
esac
[ $# = 0 ] || shift

install_missing
check_versions
build
case $judge in
all)
    # Each verdict is worth seeing, so the others run after a failed one as well.
    status=0
    pair || status=1
    scenarios || status=1
    rooms || status=1
    exit $status
    ;;
*) "$judge" "$@" ;;
esac
