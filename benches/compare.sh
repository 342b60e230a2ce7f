#!/usr/bin/env bash
# Holds lvsp-mio against mumble-server and a bare forwarder, and some of its modes against others, in
# one interleaved run; prints a line for each figure, and whether it meets its goal.
#
#   benches/compare.sh                   everything, nine rounds: about two hours
#   benches/compare.sh --quick           three short rounds
#   benches/compare.sh --smoke           a tenth of every load: does it work?
#   benches/compare.sh --only cpu --only latency --rounds 5 --json figures.json
#
# Only ratios within a round mean something: other work on the machine befalls everybody in it.
#
# As root. It makes two network namespaces with a link between them, server here and clients there,
# which are removed again, and installs what is missing with apt-get: mumble-server (without its
# service), iproute2, nftables, ethtool, linux-perf. Where that cannot be, it ends with status 77.
#
# SERVER=FILE and COMPARE=FILE run those programs instead of building the ones of this folder.
set -euo pipefail

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
[ -z "${COMPARE:-}" ] || COMPARE=$(realpath "$COMPARE")
cd "$(dirname "$0")/.."

cannot() {
    echo "compare: $*" >&2
    exit 77
}

[ "$(id -u)" = 0 ] || cannot "not root, so there can be no network namespaces"

# Programs of Debian's packages are not always in the path.
PATH=$PATH:/usr/sbin:/sbin
mumble() { command -v mumble-server || command -v murmurd; }

install() {
    local missing=()
    mumble >/dev/null || missing+=(mumble-server)
    command -v ip >/dev/null || missing+=(iproute2)
    command -v nft >/dev/null || missing+=(nftables)
    command -v ethtool >/dev/null || missing+=(ethtool)
    command -v perf >/dev/null || missing+=(linux-perf)
    [ ${#missing[@]} -gt 0 ] || return 0
    # Nothing is to be served by the package itself.
    local policy=/usr/sbin/policy-rc.d
    local made=
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=1; }
    export DEBIAN_FRONTEND=noninteractive
    { apt-get install -qq -y --no-install-recommends "${missing[@]}" ||
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}"; }; } \
        >/dev/null || { [ -z "$made" ] || rm "$policy"; cannot "cannot install ${missing[*]}"; }
    [ -z "$made" ] || rm "$policy"
}

# The target folder is named so that CARGO_TARGET_DIR cannot move the programs elsewhere.
build() {
    if [ -z "${SERVER:-}" ]; then
        cargo build --release --locked --quiet -p lvsp-mio --target-dir target
        SERVER=$PWD/target/release/lvsp-mio
    fi
    if [ -z "${COMPARE:-}" ]; then
        cargo build --release --locked --quiet -p lvsp-compare --target-dir target
        COMPARE=$PWD/target/release/lvsp-compare
    fi
}

# Names of interfaces have 15 letters at most.
servers=lvsp-compare-$$-s
clients=lvsp-compare-$$-c
server_link=lcs$$
client_link=lcc$$

# The link does not split datagrams that belong together, as most network cards do not: so each one
# is counted where it arrives, and costs what it would cost there.
make_namespaces() {
    ip netns add "$servers"
    ip netns add "$clients"
    ip link add "$server_link" netns "$servers" type veth peer name "$client_link" netns "$clients"
    ip netns exec "$servers" ethtool -K "$server_link" tx-udp-segmentation off
    ip -n "$servers" addr add 10.84.0.1/24 dev "$server_link"
    ip -n "$clients" addr add 10.84.0.2/24 dev "$client_link"
    for netns in "$servers" "$clients"; do ip -n "$netns" link set lo up; done
    ip -n "$servers" link set "$server_link" up
    ip -n "$clients" link set "$client_link" up
}

remove_namespaces() {
    for netns in "$servers" "$clients"; do
        [ -e "/run/netns/$netns" ] || continue
        # Whoever is left in there was started from here.
        for pid in $(ip netns pids "$netns"); do kill -9 "$pid" 2>/dev/null || true; done
        ip netns del "$netns"
    done
}

options=()
while [ $# -gt 0 ]; do
    case $1 in
    --quick) options+=(--rounds 3 --seconds 2) ;;
    --smoke) options+=(--smoke --rounds 1 --seconds 0.3) ;;
    *) options+=("$1") ;;
    esac
    shift
done

install
build
# Before the machine's other work, clients and servers alike.
renice -n -15 $$ >/dev/null || true
trap remove_namespaces EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make_namespaces
# Not by ip netns exec, which hides the tracepoints that system calls are counted at.
nsenter --net="/run/netns/$clients" "$COMPARE" run --server "$SERVER" --mumble "$(mumble)" \
    --netns "$servers" --server-ip 10.84.0.1 --client-ip 10.84.0.2 --link "$client_link" \
    "${options[@]}"
