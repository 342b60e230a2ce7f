#!/bin/sh
# Breaks a running server on real sockets, with voice clients in calls, and prints a line for each
# way. The exit status says whether everything that ran held. docs/reliability.md says what must
# hold, and what was measured.
#
#   scripts/live.sh [--loopback]         all of it
#   scripts/live.sh faults [options]     processes, network, resources: 100 clients
#   scripts/live.sh restart [options]    SIGTERM, a gap, the next process: 200 clients
#   scripts/live.sh fleet [options]      three servers, of which one is killed: 60 clients
#   scripts/live.sh hostile [options]    a million garbage datagrams, ten thousand bad sockets
#   scripts/live.sh overload [options]   twice what the server can carry
#
# `fleet` has a network namespace for each server, and `faults` has two with a link between them, server
# here and clients there; they are removed again. That needs root, and installs by apt-get what is missing of
# iproute2, nftables and util-linux; status 77 where it cannot be done. With --loopback, before or after the
# word, both run on loopback without root: `faults` then tells which faults did not run and why, and the
# servers of `fleet` share one machine's network. An option --help after the word shows the others.
#
# SERVER=FILE and LIVE=FILE run those programs instead of building the ones of this folder.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
[ -z "${LIVE:-}" ] || LIVE=$(realpath "$LIVE")
cd "$(dirname "$0")/.."
. scripts/need.sh

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

# Whether there are to be network namespaces. Without them less is shown, so that has to be asked for.
with_namespaces() {
    [ -z "$loopback" ] || return 1
    [ "$(id -u)" = 0 ] || cannot "$1 needs root for its network namespaces; --loopback does without them"
    need ip:iproute2 nft:nftables nsenter:util-linux
}

faults() {
    if ! with_namespaces faults; then
        "$LIVE" --server "$SERVER" faults "$@"
        return
    fi
    trap 'remove_namespaces "$server" "$clients"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    make_namespace "$server"
    make_namespace "$clients"
    link_namespaces "$server" "$server_link" 10.83.0.1/24 "$clients" "$client_link" 10.83.0.2/24
    nsenter --net="/run/netns/$clients" "$LIVE" --server "$SERVER" faults \
        --server-netns "$server" --server-ip 10.83.0.1 \
        --server-link "$server_link" --client-link "$client_link" "$@"
}

restart() { "$LIVE" --server "$SERVER" restart "$@"; }

fleet() {
    if ! with_namespaces fleet; then
        "$LIVE" --server "$SERVER" fleet "$@"
        return
    fi
    trap 'remove_namespaces "${server}1" "${server}2" "${server}3" "$clients"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    make_namespace "$clients"
    members=
    for n in 1 2 3; do
        make_namespace "$server$n"
        link_namespaces "$server$n" "$server_link" "10.84.$n.1/24" "$clients" "$client_link-$n" "10.84.$n.2/24"
        members="$members --member $server$n=10.84.$n.1"
    done
    # Unquoted on purpose: names and addresses have no spaces.
    # shellcheck disable=SC2086
    nsenter --net="/run/netns/$clients" "$LIVE" --server "$SERVER" fleet $members "$@"
}

hostile() { "$LIVE" --server "$SERVER" hostile "$@"; }

overload() { "$LIVE" --server "$SERVER" overload "$@"; }

loopback=
for each in "$@"; do
    shift
    if [ "$each" = --loopback ]; then loopback=1; else set -- "$@" "$each"; fi
done
what=${1:-all}
[ $# = 0 ] || shift
case $what in
all | faults | restart | fleet | hostile | overload) ;;
*)
    echo "live: $what is neither faults, restart, fleet, hostile nor overload" >&2
    exit 2
    ;;
esac

# Ten thousand sockets here, and as many there. Every shell that is a Debian or BSD system's sh has -n.
# shellcheck disable=SC3045
ulimit -n "$(ulimit -Hn)"
build
case $what in
all)
    # Each verdict is worth seeing, so the next runs after a failed one as well.
    status=0
    for each in faults restart fleet hostile overload; do
        printf '== %s\n' "$each"
        code=0
        ("$each") || code=$?
        case $code in
        0) ;;
        77) [ $status != 0 ] || status=77 ;;
        *) status=1 ;;
        esac
    done
    exit $status
    ;;
*) "$what" "$@" ;;
esac
