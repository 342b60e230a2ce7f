#!/bin/sh
# Checks what is handed out for Prometheus with Prometheus's own tool: that the alert rules are valid,
# that each alert fires on what it is there for and on nothing else (tests/monitoring), that every query
# of the Grafana dashboard is one, and that a running server's /metrics is well-formed.
#
# It installs Debian's prometheus for promtool where that is missing; status 2 where it cannot.
# SERVER=FILE uses that program instead of building the one of this folder.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null 2>&1; }

cannot() {
    echo "monitoring: cannot be shown here: $*" >&2
    exit 2
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_missing() {
    packages=
    for program in promtool:prometheus curl:curl python3:python3; do
        has "${program%%:*}" || packages="$packages ${program##*:}"
    done
    [ -n "$packages" ] || return 0
    has apt-get || cannot "no apt-get; install what Debian calls:$packages"
    [ "$(id -u)" = 0 ] || has sudo || cannot "neither root nor sudo; as root: apt-get install$packages"
    as_root apt-get update -q || cannot "apt-get update fails"
    # Unquoted on purpose: one word is one package.
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages ||
        cannot "apt-get does not install$packages"
}

# The dashboard's queries as recording rules, which promtool can read. Grafana's variables become
# values that fit where they stand.
queries() {
    python3 - deploy/grafana/lvsp.json <<'PYTHON'
import json, sys

panels = json.load(open(sys.argv[1]))["panels"]
queries = [target["expr"] for panel in panels for target in panel.get("targets", [])]
for variable, value in {"$__rate_interval": "1m", "$job": ".*", "$instance": ".*"}.items():
    queries = [query.replace(variable, value) for query in queries]
rules = [{"record": f"query:{at}", "expr": query} for at, query in enumerate(queries)]
json.dump({"groups": [{"name": "grafana", "rules": rules}]}, sys.stdout)
PYTHON
}

stop() {
    [ -z "${pid:-}" ] || kill "$pid" 2>/dev/null || true
    rm -rf "$scratch"
}

# Waits until the server says where its admin plane is, and prints that.
admin_address() {
    for _ in $(seq 100); do
        address=$(sed -n 's/^ready: .*, admin \([0-9.:]*\)$/\1/p' "$scratch/stdout")
        [ -z "$address" ] || break
        sleep 0.1
    done
    [ -n "$address" ] || { echo "monitoring: the server does not start" >&2; cat "$scratch/stderr" >&2; exit 1; }
    echo "$address"
}

install_missing
scratch=$(mktemp -d)
trap stop EXIT
trap 'exit 130' INT TERM

promtool check rules deploy/prometheus/alerts.yml
promtool test rules tests/monitoring/alerts_test.yml
queries >"$scratch/queries.yml"
promtool check rules "$scratch/queries.yml"

if [ -z "${SERVER:-}" ]; then
    cargo build --locked -p lvsp-mio --bin lvsp-mio --target-dir target
    SERVER=target/debug/lvsp-mio
fi
any=127.0.0.1:0
LVSP_ADMIN__LISTEN=$any LVSP_CONTROL__LISTEN=$any LVSP_GATEWAY__LISTEN=$any LVSP_MEDIA__LISTEN=$any \
    "$SERVER" serve >"$scratch/stdout" 2>"$scratch/stderr" &
pid=$!
address=$(admin_address)
curl --silent --show-error --fail "http://$address/metrics" >"$scratch/metrics"
promtool check metrics <"$scratch/metrics"
echo "monitoring: $(grep -c '^# TYPE' "$scratch/metrics") metrics are well-formed"
