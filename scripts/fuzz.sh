#!/bin/sh
# Replays the committed corpus of the fuzz targets, then fuzzes each of them for a while.
#
#   scripts/fuzz.sh [seconds] [target...]     10 seconds and every target, unless told otherwise
#
# Fuzzing needs a nightly toolchain and a C++ compiler; cargo-fuzz is installed if it is missing.
# Without them the corpus is replayed, which says so, and that is all. New inputs go to
# fuzz/target/corpus; fuzz/README.md says how to keep the useful ones. The exit status is the verdict.
set -eu

cd "$(dirname "$0")/.."
seconds=${1:-10}
[ $# = 0 ] || shift
grown=fuzz/target/corpus

. scripts/need.sh

fail() {
    echo "fuzz: $*" >&2
    exit 1
}

all() {
    for program in fuzz/fuzz_targets/*.rs; do
        basename "$program" .rs
    done
}

# The largest input that is of use to a target, and its dictionary.
options() {
    case $1 in
    gw_json) echo "-max_len=66000 -dict=fuzz/dictionaries/gateway.dict" ;;
    lvsp_json) echo "-max_len=66000 -dict=fuzz/dictionaries/lvsp.dict" ;;
    ws_upgrade) echo "-max_len=20000 -dict=fuzz/dictionaries/http.dict" ;;
    proxy_client) echo "-max_len=2048 -dict=fuzz/dictionaries/proxy.dict" ;;
    dave_ops) echo "-max_len=4096 -dict=fuzz/dictionaries/gateway.dict" ;;
    rtp_header | rtcp) echo "-max_len=1500 -dict=fuzz/dictionaries/media.dict" ;;
    udp_datagram) echo "-max_len=4096 -dict=fuzz/dictionaries/media.dict" ;;
    resume_diff) echo "-max_len=1402" ;;
    replay_window) echo "-max_len=1024" ;;
    core_ops) echo "-max_len=420 -timeout=300" ;;
    *) echo "-max_len=4096" ;;
    esac
}

can_fuzz() {
    if ! cargo +nightly --version >/dev/null 2>&1; then
        echo "fuzz: no nightly toolchain (rustup toolchain install nightly): only the corpus was replayed"
    elif ! has c++ && ! has g++ && ! has clang++; then
        echo "fuzz: no C++ compiler (apt-get install g++): only the corpus was replayed"
    elif ! cargo fuzz --version >/dev/null 2>&1 && ! cargo install --locked cargo-fuzz; then
        fail "cargo-fuzz cannot be installed"
    else
        return 0
    fi
    return 1
}

case $seconds in
*[!0-9]* | '') fail "\"$seconds\" is no number of seconds" ;;
esac
targets=${*:-$(all)}
for target in $targets; do
    [ -f "fuzz/fuzz_targets/$target.rs" ] || fail "no target $target; there are: $(all | tr '\n' ' ')"
done

cargo test --locked --manifest-path fuzz/Cargo.toml
can_fuzz || exit 0
cargo +nightly fuzz build
status=0
for target in $targets; do
    mkdir -p "$grown/$target"
    echo "fuzz: $target for $seconds s"
    # Unquoted on purpose: one word is one option.
    # shellcheck disable=SC2046
    cargo +nightly fuzz run "$target" "$grown/$target" "fuzz/corpus/$target" -- \
        "-max_total_time=$seconds" -print_final_stats=1 -print_funcs=0 -verbosity=0 $(options "$target") || status=1
done
exit $status
