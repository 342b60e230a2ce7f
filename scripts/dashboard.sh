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

. scripts/need.sh
need chromium:chromium node:nodejs npm:npm
need_node
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
