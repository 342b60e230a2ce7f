#!/usr/bin/env bash
# Plants small faults, one after the other, and says whether the simulator or the tests find them.
#
#   scripts/planted.sh              all of tests/planted
#   scripts/planted.sh NAME...      these
#   scripts/planted.sh --rotate N   N of them, others every day
#
# Each is a patch whose first line says what it breaks. It is applied to a copy of the tree; 2,000
# seeds and, if they find nothing, the tests run there. What is not found is a missing check, and a
# patch that no longer applies or builds has to be made anew: both end with status 1.
set -euo pipefail
cd "$(dirname "$0")/.."

root=$PWD
copy=$root/target/planted
# Its own, or cargo would take what is built there for what is built here.
export CARGO_TARGET_DIR=$root/target/planted-build
# What was built of other people's crates serves here as well, by hard links that take no space.
if [ ! -d "$CARGO_TARGET_DIR" ] && [ -d "$root/target/debug/deps" ]; then
    built=$root/target/debug
    mkdir -p "$CARGO_TARGET_DIR/debug/deps"
    cp -a "$built/.fingerprint" "$built/build" "$CARGO_TARGET_DIR/debug/"
    find "$built/deps" -type f \( -name '*.rlib' -o -name '*.rmeta' -o -name '*.so' -o -name '*.d' \) \
        ! -name '*lvsp*' -exec ln -t "$CARGO_TARGET_DIR/debug/deps" {} +
fi
# The copy is no part of this repository.
export GIT_CEILING_DIRECTORIES=$root/target

names=()
case ${1-} in
--rotate)
    all=(tests/planted/*.patch)
    day=$(($(date +%s) / 86400))
    first=$((day * $2))
    for i in $(seq "$2"); do
        names+=("$(basename "${all[$(((first + i) % ${#all[@]}))]}" .patch)")
    done
    ;;
"") for patch in tests/planted/*.patch; do names+=("$(basename "$patch" .patch)"); done ;;
*) names=("$@") ;;
esac

# Fresh times, so that nothing built from an earlier patch passes for this tree.
rm -rf "$copy" && mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -c | tar -x -m -C "$copy"

# Says by what a fault is found; status 1 when by nothing, 2 when it cannot be planted.
hunt() {
    local log=$copy/hunt.log
    cargo build --locked --quiet -p lvsp-tests --bin simulate >"$log" 2>&1 || return 2
    if ! "$CARGO_TARGET_DIR/debug/simulate" --seeds 2000 --enough 1 --no-shrink >"$log" 2>&1; then
        sed -n 's,^ */// At [0-9.]* s: \(.*\)$,\1,p; s,^ *fn \(seed_[0-9]*\).*,  \1,p' "$log" | head -n 2 | tac | paste -sd:
        return 0
    fi
    cargo test --locked --quiet -p lvsp-core -p lvsp-tests --lib --test it --test allocations --no-run >"$log" 2>&1 || return 2
    local status=0
    timeout 600 cargo test --locked -p lvsp-core -p lvsp-tests --lib --test it --test allocations >"$log" 2>&1 || status=$?
    if [ "$status" = 124 ]; then
        echo "  tests that do not end"
        return 0
    fi
    if [ "$status" != 0 ]; then
        sed -n 's,^test \(.*\) \.\.\. FAILED$,  \1,p' "$log" | head -n 1
        return 0
    fi
    return 1
}

missed=0
cd "$copy"
for name in "${names[@]}"; do
    patch=$root/tests/planted/$name.patch
    if ! git apply "$patch"; then
        echo "$name: no longer applies"
        exit 1
    fi
    status=0
    by=$(hunt) || status=$?
    case $status in
    0) echo "found      $name by $by" ;;
    1) echo "NOT FOUND  $name: $(head -n 1 "$patch")" && missed=1 ;;
    *) cat hunt.log && echo "$name: no longer builds" && exit 1 ;;
    esac
    # What a property test found here says nothing of the next patch.
    find . -name proptest-regressions -prune -exec rm -r {} +
    git apply --reverse "$patch"
done
exit "$missed"
