#!/bin/sh
# Breaks a running server on real sockets, with voice clients in calls, and prints a line for each
# way. The exit status says whether everything that ran held. docs/reliability.md says what must
# hold, and what was measured.
#
#   scripts/live.sh                      all of it
#   scripts/live.sh faults [options]     processes, network, resources: 100 clients
#   scripts/live.sh restart [options]    SIGTERM, a gap, the next process: 200 clients
#   scripts/live.sh fleet [options]      three servers, of which one is killed: 60 clients
#   scripts/live.sh hostile [options]    a million garbage datagrams, ten thousand bad sockets
#   scripts/live.sh overload [options]   twice what the server can carry
#
# As root, `fleet` has a network namespace for each server, and `faults` has two with a link between
# them, server here and clients there; they are removed again. Without root, or without a tool
# (iproute2, nftables, util-linux as Debian calls them), it tells which faults did not run and why. `--help` shows the options.
#
# SERVER=FILE and LIVE=FILE run those programs instead of building the ones of this folder.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
[ -z "${LIVE:-}" ] || LIVE=$(realpath "$LIVE")
cd "$(dirname "$0")/.."

# Names of interfaces have 15 letters at most.
server=lvsp-live-$$-s
clients=lvsp-live-$$-c
server_link=lvs$$
client_link=lvc$$

# The target folder is named so that CARGO_TARGET_DIR cannot move the programs elsewhere.
build() {
    if [ -z "${SERVER:-}" ]; then
        cargo build --release --locked -p lvsp-mio --target-dir target
        SERVER=target/release/lvsp-mio
    fi
    if [ -z "${LIVE:-}" ]; then
        cargo build --release --locked -p lvsp-tests --bin live --target-dir target
        LIVE=target/release/live
    fi
}

make_namespaces() {
    ip netns add "$server"
    ip netns add "$clients"
    ip link add "$server_link" netns "$server" type veth peer name "$client_link" netns "$clients"
    ip -n "$server" addr add 10.83.0.1/24 dev "$server_link"
    ip -n "$clients" addr add 10.83.0.2/24 dev "$client_link"
    for netns in "$server" "$clients"; do ip -n "$netns" link set lo up; done
    ip -n "$server" link set "$server_link" up
    ip -n "$clients" link set "$client_link" up
}

remove_namespaces() {
    for netns in "$server" "$clients"; do
        [ -e "/run/netns/$netns" ] || continue
        # Whoever is left in there was started from here.
        for pid in $(ip netns pids "$netns"); do kill -9 "$pid" 2>/dev/null || true; done
        ip netns del "$netns"
    done
}

remove_fleet() {
    for netns in "${server}1" "${server}2" "${server}3" "$clients"; do
        [ -e "/run/netns/$netns" ] || continue
        for pid in $(ip netns pids "$netns"); do kill -9 "$pid" 2>/dev/null || true; done
        ip netns del "$netns"
    done
}

# Why there can be no namespaces, if so.
no_namespaces() {
    [ "$(id -u)" = 0 ] || echo "not root"
    command -v ip >/dev/null || echo "no ip here (Debian: iproute2)"
    command -v nsenter >/dev/null || echo "no nsenter here (Debian: util-linux)"
}

faults() {
    why=$(no_namespaces)
    if [ -n "$why" ]; then
        echo "live: $why; so on loopback, without network namespaces" >&2
        "$LIVE" --server "$SERVER" faults "$@"
        return
    fi
    trap remove_namespaces EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    make_namespaces
    nsenter --net="/run/netns/$clients" "$LIVE" --server "$SERVER" faults \
        --server-netns "$server" --server-ip 10.83.0.1 \
        --server-link "$server_link" --client-link "$client_link" "$@"
}

restart() { "$LIVE" --server "$SERVER" restart "$@"; }

fleet() {
    if [ -n "$(no_namespaces)" ]; then
        "$LIVE" --server "$SERVER" fleet "$@"
        return
    fi
    trap remove_fleet EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    ip netns add "$clients"
    ip -n "$clients" link set lo up
    members=
    for n in 1 2 3; do
        ip netns add "$server$n"
        ip link add "$server_link" netns "$server$n" type veth peer name "$client_link-$n" netns "$clients"
        ip -n "$server$n" addr add 10.84.$n.1/24 dev "$server_link"
        ip -n "$clients" addr add 10.84.$n.2/24 dev "$client_link-$n"
        ip -n "$server$n" link set lo up
        ip -n "$server$n" link set "$server_link" up
        ip -n "$clients" link set "$client_link-$n" up
        members="$members --member $server$n=10.84.$n.1"
    done
    # Unquoted on purpose: names and addresses have no spaces.
    # shellcheck disable=SC2086
    nsenter --net="/run/netns/$clients" "$LIVE" --server "$SERVER" fleet $members "$@"
}

hostile() { "$LIVE" --server "$SERVER" hostile "$@"; }

overload() { "$LIVE" --server "$SERVER" overload "$@"; }

what=${1:-all}
[ $# = 0 ] || shift
case $what in
all | faults | restart | fleet | hostile | overload) ;;
*)
    echo "live: $what is neither faults, restart, fleet, hostile nor overload" >&2
    exit 2
    ;;
esac

# Ten thousand sockets here, and as many there.
ulimit -n "$(ulimit -Hn)"
build
case $what in
all)
    # Each verdict is worth seeing, so the next runs after a failed one as well.
    status=0
    for each in faults restart fleet hostile overload; do
        printf '== %s\n' "$each"
        "$each" || status=1
    done
    exit $status
    ;;
*) "$what" "$@" ;;
esac
