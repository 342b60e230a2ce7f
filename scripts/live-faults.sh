#!/bin/sh
# Breaks a running server in every way of docs/reliability.md ("Live faults"), with 100 voice
# clients in calls, and prints a line for each. The exit status says whether all that ran held.
#
#   scripts/live-faults.sh [options of `live faults`]
#
# As root it makes two network namespaces with a link between them, server here and clients there,
# and removes them again; without root, the faults that need them are told as not run. It wants
# iproute2, nftables and util-linux (Debian's names).
#
# SERVER=FILE and LIVE=FILE test those programs instead of building the ones of this folder.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
[ -z "${LIVE:-}" ] || LIVE=$(realpath "$LIVE")
cd "$(dirname "$0")/.."

if [ -z "${SERVER:-}" ]; then
    cargo build --release --locked -p lvsp-mio --target-dir target
    SERVER=$PWD/target/release/lvsp-mio
fi
if [ -z "${LIVE:-}" ]; then
    cargo build --release --locked -p lvsp-tests --bin live --target-dir target
    LIVE=$PWD/target/release/live
fi

# Names of interfaces have 15 letters at most.
server=lvsp-live-$$-s
clients=lvsp-live-$$-c
server_link=lvs$$
client_link=lvc$$

remove() {
    for netns in "$server" "$clients"; do
        [ -e "/run/netns/$netns" ] || continue
        # Whoever is left in there was started from here.
        for pid in $(ip netns pids "$netns"); do kill -9 "$pid" 2>/dev/null || true; done
        ip netns del "$netns"
    done
}

make() {
    ip netns add "$server"
    ip netns add "$clients"
    ip link add "$server_link" netns "$server" type veth peer name "$client_link" netns "$clients"
    ip -n "$server" addr add 10.83.0.1/24 dev "$server_link"
    ip -n "$clients" addr add 10.83.0.2/24 dev "$client_link"
    for netns in "$server" "$clients"; do ip -n "$netns" link set lo up; done
    ip -n "$server" link set "$server_link" up
    ip -n "$clients" link set "$client_link" up
}

if [ "$(id -u)" != 0 ]; then
    echo "live-faults: not root, so without network namespaces" >&2
    exec "$LIVE" --server "$SERVER" faults "$@"
fi
for tool in ip nsenter; do
    command -v "$tool" >/dev/null || {
        echo "live-faults: $tool is missing, so without network namespaces" >&2
        exec "$LIVE" --server "$SERVER" faults "$@"
    }
done

trap remove EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make
nsenter --net="/run/netns/$clients" "$LIVE" --server "$SERVER" faults \
    --server-netns "$server" --server-ip 10.83.0.1 \
    --server-link "$server_link" --client-link "$client_link" "$@"
