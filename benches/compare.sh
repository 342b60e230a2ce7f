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

. scripts/need.sh
need_root
mumble() { command -v mumble-server || command -v murmurd; }
mumble >/dev/null || add_packages mumble-server
need ip:iproute2 nft:nftables ethtool:ethtool perf:linux-perf

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

options=()
while [ $# -gt 0 ]; do
    case $1 in
    --quick) options+=(--rounds 3 --seconds 2) ;;
    --smoke) options+=(--smoke --rounds 1 --seconds 0.3) ;;
    *) options+=("$1") ;;
    esac
    shift
done

build
# Before the machine's other work, clients and servers alike.
renice -n -15 $$ >/dev/null || true
trap 'remove_namespaces "$servers" "$clients"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make_namespace "$servers"
make_namespace "$clients"
link_namespaces "$servers" "$server_link" 10.84.0.1/24 "$clients" "$client_link" 10.84.0.2/24
# The link does not split datagrams that belong together, as most network cards do not: so each one
# is counted where it arrives, and costs what it would cost there.
ip netns exec "$servers" ethtool -K "$server_link" tx-udp-segmentation off
# Thousands of clients come and go: their ports are wanted again before the minute that they rest is over.
ip netns exec "$clients" sh -c 'echo "1024 65535" >/proc/sys/net/ipv4/ip_local_port_range
    echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse'
# Not by ip netns exec, which hides the tracepoints that system calls are counted at.
nsenter --net="/run/netns/$clients" "$COMPARE" run --server "$SERVER" --mumble "$(mumble)" \
    --netns "$servers" --server-ip 10.84.0.1 --client-ip 10.84.0.2 --link "$client_link" \
    "${options[@]}"
