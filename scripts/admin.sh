#!/bin/sh
# Holds the admin plane against the tools that read it, while members talk: promtool takes the figures,
# and tshark and capinfos a flight recorder's file. Installs what is missing (Debian); status 77 where it
# cannot.
#
# SERVER=FILE tests that program instead of building the one of this folder.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
cd "$(dirname "$0")/.."

say() { echo "admin: $*"; }

fail() {
    say "$*" >&2
    exit 1
}

. scripts/need.sh
need promtool:prometheus tshark:tshark curl:curl jq:jq
if [ -z "${SERVER:-}" ]; then
    cargo build --locked -p lvsp-mio
    SERVER=$PWD/target/debug/lvsp-mio
fi

work=$(mktemp -d)
server=
load=
finish() {
    [ -z "$load" ] || kill "$load" 2>/dev/null || true
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

LVSP_CONTROL__SECRET=$("$SERVER" gen-secret)
export LVSP_CONTROL__SECRET
LVSP_TLS__OFF=true LVSP_DRAIN__SECONDS=0 LVSP_CONTROL__LISTEN=127.0.0.1:0 \
    LVSP_GATEWAY__LISTEN=127.0.0.1:0 LVSP_MEDIA__LISTEN=127.0.0.1:0 LVSP_ADMIN__LISTEN=127.0.0.1:0 \
    "$SERVER" serve >"$work/said" 2>"$work/log" &
server=$!
address() { sed -n "s/^ready: .*$1 \([0-9.:]*\).*/\1/p" "$work/said"; }
for _ in $(seq 100); do
    [ -z "$(address admin)" ] || break
    sleep 0.1
done
admin=http://$(address admin)
media=$(address media)
port=${media##*:}
[ "$admin" != http:// ] || fail "the server did not start: $(cat "$work/said" "$work/log")"

"$SERVER" load --plain --control "$(address control)" --members 6 --speakers 3 --seconds 30 \
    >"$work/load" 2>&1 &
load=$!
speaker=
for _ in $(seq 150); do
    speaker=$(curl -s "$admin/v1/members" | jq -r '[.members[] | select(.speaking)][0].id // empty')
    [ -z "$speaker" ] || break
    sleep 0.1
done
[ -n "$speaker" ] || fail "nobody speaks: $(cat "$work/load")"

curl -s "$admin/metrics" >"$work/metrics"
promtool check metrics <"$work/metrics" || fail "promtool refuses the figures"
say "promtool takes $(grep -c '^# TYPE' "$work/metrics") families"

curl -s "$admin/v1/members/$speaker/capture?seconds=2" >"$work/member.pcapng"
capinfos -t "$work/member.pcapng" | grep -q pcapng || fail "capinfos does not know the file"
tshark -r "$work/member.pcapng" -d "udp.port==$port,rtp" -T fields -e rtp.version -e rtp.p_type \
    -e ip.checksum.status -o ip.check_checksum:TRUE >"$work/packets" 2>"$work/tshark" ||
    fail "tshark refuses the file: $(cat "$work/tshark")"
all=$(wc -l <"$work/packets")
# Version 2, the payload type of Opus, and a good checksum in the made-up header; or the address
# discovery that came before, which is no RTP.
good=$(grep -c -e "$(printf '^2\t120\t1$')" -e "$(printf '^0\t\t1$')" "$work/packets" || true)
[ "$all" -gt 50 ] || fail "only $all packets in two seconds"
[ "$good" = "$all" ] || fail "tshark finds $good of $all packets to be as they are: $(sort "$work/packets" | uniq -c)"
say "tshark takes $all packets of a flight recorder"
