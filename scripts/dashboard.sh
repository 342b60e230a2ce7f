#!/bin/sh
# Looks at the dashboard of the admin plane in a real Chromium without a window: against a server with
# voice clients that talk, and against written answers. Elements and values are compared, not pixels;
# pictures for people are left in target/dashboard. The exit status is the verdict.
#
#   scripts/dashboard.sh                 everything
#   scripts/dashboard.sh --only WORDS    what has these words in its name
#
# It installs what is missing (Debian's chromium, nodejs, npm); status 77 where it cannot.
# SERVER=FILE and LIVE=FILE use those programs instead of building the ones of this folder.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
[ -z "${LIVE:-}" ] || LIVE=$(realpath "$LIVE")
cd "$(dirname "$0")/.."
tests=tests/dashboard

has() { command -v "$1" >/dev/null 2>&1; }

cannot() {
    echo "dashboard: cannot be shown here: $*" >&2
    exit 77
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_missing() {
    packages=
    for program in chromium:chromium node:nodejs npm:npm; do
        has "${program%%:*}" || packages="$packages ${program##*:}"
    done
    [ -n "$packages" ] || return 0
    has apt-get || cannot "no apt-get; install what Debian calls:$packages"
    [ "$(id -u)" = 0 ] || has sudo || cannot "neither root nor sudo; as root: apt-get install$packages"
    echo "dashboard: installing$packages"
    as_root apt-get update -q || cannot "apt-get update fails"
    # Unquoted on purpose: one word is one package.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages ||
        cannot "apt-get does not install$packages"
}

install_missing
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || cannot "Node $major is too old; install Node 20 or newer"
npm ci --prefix "$tests" --no-audit --no-fund --ignore-scripts
if [ -z "${SERVER:-}" ]; then
    cargo build --locked -p lvsp-mio --bin lvsp-mio --target-dir target
    SERVER=target/debug/lvsp-mio
fi
if [ -z "${LIVE:-}" ]; then
    cargo build --locked -p lvsp-tests --bin live --target-dir target
    LIVE=target/debug/live
fi
exec node "$tests/judge.mjs" --server "$SERVER" --live "$LIVE" --chromium "$(command -v chromium)" "$@"
