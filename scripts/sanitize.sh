#!/usr/bin/env bash
# Looks at what is unsafe while it runs: the system calls of lvsp-mio, whose memory the compiler cannot
# vouch for.
#
#   scripts/sanitize.sh      the tests of that folder and the demonstration, a whole server with its voice
#                            clients, under AddressSanitizer; the tests again under valgrind's memcheck
#
# AddressSanitizer knows the bounds of what lies on the stack and what was given back; memcheck knows
# what was never written. Both look at what a system call reads and writes. The sanitizer's runtime
# comes with the stable toolchain, the switch for it does not: hence RUSTC_BOOTSTRAP.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/need.sh
host=$(rustc -vV | sed -n 's/^host: //p')
[ -n "$(find "$(rustc --print sysroot)/lib/rustlib/$host" -name '*_rt.asan.a')" ] ||
    cannot "this toolchain has no AddressSanitizer for $host"
need valgrind:valgrind

# What the names of those tests begin with. A run that finds none of them does not pass.
folder=sys::tests::

run_tests() {
    local told
    told=$("$@" cargo test --locked -p lvsp-mio --lib "${options[@]}" "$folder") || {
        printf '%s\n' "$told"
        return 1
    }
    printf '%s\n' "$told" | grep 'test result: ok. [1-9]'
}

# A folder of its own, because with other flags everything is built anew, as fast as can be.
options=(--target "$host" --target-dir "${CARGO_TARGET_DIR:-target}/sanitized"
    --config 'profile.dev.package."*".opt-level = 0')
sanitized=(env RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address)
echo "AddressSanitizer: the system calls"
run_tests "${sanitized[@]}"
echo "AddressSanitizer: the demonstration"
"${sanitized[@]}" cargo run --locked -p lvsp-mio "${options[@]}" -- demo

options=()
runner=CARGO_TARGET_$(printf '%s' "$host" | tr 'a-z-' 'A-Z_')_RUNNER
echo "memcheck: the system calls"
run_tests env "$runner=valgrind --quiet --error-exitcode=9"
