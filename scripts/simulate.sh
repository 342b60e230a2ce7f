#!/usr/bin/env bash
# Runs many seeds of the simulator: scripts/simulate.sh [SEEDS] [FROM]
#
# 100,000 by default, from the day's own number on, so that every day tries others. A seed that fails
# is printed as a test, for tests/sim/tests.rs. `SIM_SEED=N cargo test -p lvsp-tests --test sim` runs one.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${1:-100000}
day=$(($(date +%s) / 86400))
from=${2:-$((day * 1000000))}
exec cargo run --quiet --locked --profile simulate -p lvsp-tests --bin simulate -- --from "$from" --seeds "$seeds"
