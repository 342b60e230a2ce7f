#!/bin/sh
# The server never calls home: in a network namespace that has nothing but loopback it starts, serves a
# chat server and voice clients who talk, and stops; and of all system calls by which a program can reach
# somebody, none names an address but the configured ones.
#
# Needs root, and installs by apt-get what is missing of iproute2, util-linux and strace; status 77 where that
# cannot be done.
# SERVER=FILE runs that program instead of building one.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
cd "$(dirname "$0")/.."

. scripts/need.sh
need_root
need ip:iproute2 nsenter:util-linux strace:strace
if [ -z "${SERVER:-}" ]; then
    cargo build --locked -p lvsp-mio --target-dir target
    SERVER=$PWD/target/debug/lvsp-mio
fi

work=$(mktemp -d)
netns=lvsp-off-$$
tracer=
clean() {
    remove_namespaces "$netns"
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_namespace "$netns"
if ip -n "$netns" route show table all | grep -qv ' dev lo '; then
    echo "offline: the namespace has a way out" >&2
    exit 1
fi
inside="nsenter --net=/run/netns/$netns"

# Five callers, with the server in the same process.
$inside "$SERVER" demo >"$work/demo" 2>&1 || { cat "$work/demo" >&2; exit 1; }

"$SERVER" gen-secret >"$work/secret"
cat >"$work/lvsp.toml" <<TOML
[control]
listen = "127.0.0.1:6000"
secret_file = "$work/secret"
[gateway]
listen = "127.0.0.1:8443"
# A name: whoever asked for it would be seen below.
endpoint = "localhost:8443"
trusted_proxies = ["127.0.0.77/32"]
[media]
listen = "127.0.0.1:50000"
[tls]
off = true
[drain]
seconds = 0
TOML
# By which a program can reach somebody; files and memory are not looked at. What a socket sends without
# naming an address goes where it was connected to, or to who connected.
calls=connect,sendto,sendmsg,sendmmsg,bind
$inside strace -f -qq -e trace=$calls -e signal=none -o "$work/trace" \
    "$SERVER" serve --config "$work/lvsp.toml" >"$work/ready" 2>"$work/server.log" &
tracer=$!
for _ in $(seq 100); do
    grep -qs '^ready:' "$work/ready" && break
    sleep 0.1
done
$inside "$SERVER" load --plain --secret-file "$work/secret" --members 6 --speakers 2 --seconds 2 \
    --json >"$work/report" 2>"$work/load.log" || {
    cat "$work/load.log" "$work/server.log" >&2
    exit 1
}
for pid in $(ip netns pids "$netns"); do
    [ "$(readlink "/proc/$pid/exe")" != "$(realpath "$SERVER")" ] || kill -TERM "$pid"
done
wait $tracer || { echo "offline: the server did not stop well" >&2; exit 1; }

grep -q 'sendmmsg\|sendmsg\|sendto' "$work/trace" || {
    echo "offline: nothing was seen to be sent, so nothing was looked at" >&2
    exit 1
}
# Every address that stands in one of these calls, other than loopback's; and every name service.
if grep -E 'sin_addr|sin6_addr|sun_path|AF_NETLINK' "$work/trace" |
    grep -vE 'inet_addr\("127\.0\.0\.1"\)' >"$work/others"; then
    echo "offline: the server reached for somebody who is not configured:" >&2
    head -n 20 "$work/others" >&2
    exit 1
fi
addresses=$(grep -oE 'htons\([0-9]+\), sin_addr=inet_addr\("[0-9.]+"\)' "$work/trace" | sort -u | wc -l)
echo "offline: held; in $(wc -l <"$work/trace") calls it sent to or bound $addresses addresses, all configured or its clients'"
