#!/usr/bin/env bash
# Counts the instructions of the hot path, which no other load on the machine changes, and compares
# them with benches/instructions.txt.
#
#   benches/instructions.sh            status 1 when something costs 5 % more or less than it says
#   benches/instructions.sh --update   writes it anew
#
# What is counted is what the compiler made of the code under valgrind's processor, so another version
# of the compiler or of valgrind may count differently: then the comparison is told and not judged.
set -euo pipefail
cd "$(dirname "$0")/.."

baseline=benches/instructions.txt
percent=5

. scripts/need.sh
need valgrind:valgrind
tools="$(rustc --version), $(valgrind --version), $(uname -m)"

cargo build --locked --release -p lvsp-benches --bin hot_path
program=${CARGO_TARGET_DIR:-target}/release/hot_path

# Instructions of a case that does its thing so many times.
total() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1 |
        sed -n 's/^.*Collected : \([0-9]*\).*$/\1/p'
}

# Of one round: the rest of the program is the same in both runs.
count() { echo $((($(total "$1" 1200) - $(total "$1" 200)) / 1000)); }

counts=$({ "$program" 2>/dev/null || true; } | while read -r name; do echo "$name $(count "$name")"; done)
if [ "${1-}" = --update ]; then
    printf '# %s\n%s\n' "$tools" "$counts" >"$baseline"
    cat "$baseline"
    exit 0
fi

status=0
while read -r name now; do
    before=$(awk -v name="$name" '$1 == name { print $2 }' "$baseline")
    [ -n "$before" ] || { echo "$name: not in $baseline; benches/instructions.sh --update" && status=1 && continue; }
    echo "$name: $now instructions, $before in $baseline ($(((now - before) * 100 / before)) %)"
    difference=$((now > before ? now - before : before - now))
    [ $((100 * difference)) -le $((percent * before)) ] || status=1
done <<<"$counts"
if [ "# $tools" != "$(head -n 1 "$baseline")" ]; then
    echo "not judged: counted with $tools, and the baseline with$(head -n 1 "$baseline" | tail -c +2)"
elif [ $status = 1 ]; then
    echo "more than $percent % off: mend it, or say why in the commit that runs benches/instructions.sh --update"
    exit 1
fi
