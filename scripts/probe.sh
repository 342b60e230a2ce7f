#!/usr/bin/env bash
# Probes a server from another host, with firewalls in between: two network namespaces with a link
# between them, which are removed again. Each case says what the probe has to say. Needs root, and
# installs by apt-get what is missing of iproute2 and nftables; status 77 where that cannot be done.
#
# SERVER=FILE runs that program instead of building the one of this folder.
set -euo pipefail

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
cd "$(dirname "$0")/.."

. scripts/need.sh
need_root
need ip:iproute2 nft:nftables

if [ -z "${SERVER:-}" ]; then
    cargo build --locked -p lvsp-mio --target-dir target
    SERVER=$PWD/target/debug/lvsp-mio
fi

# Names of interfaces have 15 letters at most.
host=lvsp-probe-$$-s
other=lvsp-probe-$$-c
folder=$(mktemp -d)
pid=

leave() {
    if [ -n "$pid" ]; then
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    fi
    remove_namespaces "$host" "$other"
    rm -rf "$folder"
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

make_namespace "$host"
make_namespace "$other"
link_namespaces "$host" "lps$$" 198.18.0.1/24 "$other" "lpc$$" 198.18.0.2/24
ip netns exec "$host" nft add table inet probe
ip netns exec "$host" nft add chain inet probe input '{ type filter hook input priority 0; }'

cd "$folder"
"$SERVER" gen-secret > secret
"$SERVER" gen-cert --name voice.test >/dev/null
cat > lvsp.toml <<'END'
[control]
listen = "198.18.0.1:6000"
[[control.client]]
name = "probe"
secret_file = "secret"
[gateway]
listen = "0.0.0.0:443"
endpoint = "voice.test:443"
[media]
listen = "0.0.0.0:50000"
public_ip = "198.18.0.1"
[tls]
certificate = "chain.pem"
key = "key.pem"
END
ip netns exec "$host" "$SERVER" serve --config lvsp.toml > said 2> log &
pid=$!
for _ in $(seq 200); do
    ! grep -q ready: said || break
    sleep 0.05
done

failed=0

# What is changed in the firewall, the expected exit status, and words that must be said.
probe() {
    local what=$1 rule=$2 expected=$3 status=0 words
    shift 3
    # shellcheck disable=SC2086 # a rule is several words
    [ -z "$rule" ] || ip netns exec "$host" nft add rule inet probe input $rule
    ip netns exec "$other" "$SERVER" probe --control 198.18.0.1:6000 --name voice.test \
        --endpoint 198.18.0.1:443 --secret-file secret --ca ca.pem --seconds 0.5 > found || status=$?
    ip netns exec "$host" nft flush chain inet probe input
    [ "$status" = "$expected" ] || { echo "$what: status $status"; failed=1; }
    for words; do
        grep -qF -- "$words" found || { echo "$what: \"$words\" was not said"; failed=1; }
    done
    [ "$failed" = 0 ] || { cat found log; exit 1; }
    echo "$what: as it should be"
}

probe "everything open" "" 0 "every step was passed" "sees this host as 198.18.0.2:"
probe "UDP closed" "udp dport 50000 drop" 1 \
    "no discovery answer from 198.18.0.1:50000 over UDP" "open UDP port 50000"
probe "gateway closed" "tcp dport 443 drop" 1 \
    "198.18.0.1:443 does not answer" "open TCP port 443"
probe "gateway refused" "tcp dport 443 reject with tcp reset" 1 \
    "198.18.0.1:443 refuses connections"
probe "control closed" "tcp dport 6000 drop" 1 \
    "198.18.0.1:6000 does not answer" "open TCP port 6000"
probe "half of the voice lost" "udp dport 50000 meta length > 120 numgen random mod 2 == 0 drop" 1 \
    "frames from" "voices sound robotic"
