#!/bin/sh
# Checks what is handed out for Prometheus and Grafana with Prometheus's own tool: that the alert rules
# are valid, that each alert fires on what it is there for and on nothing else (tests/monitoring), and
# that every query of the Grafana dashboard is one. That the metrics exist is for cargo test.
#
# It installs Debian's prometheus for promtool where that is missing; status 77 where it cannot.
set -eu

cd "$(dirname "$0")/.."

has() { command -v "$1" >/dev/null 2>&1; }

cannot() {
    echo "monitoring: cannot be shown here: $*" >&2
    exit 77
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

install_missing() {
    packages=
    for program in promtool:prometheus python3:python3; do
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

install_missing
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

promtool check rules deploy/prometheus/alerts.yml
promtool test rules tests/monitoring/alerts_test.yml
queries >"$scratch/queries.yml"
promtool check rules "$scratch/queries.yml"
