#!/bin/sh
# Checks what is handed out for Prometheus and Grafana with Prometheus's own tool: that the alert rules
# are valid, that each alert fires on what it is there for and on nothing else (tests/monitoring), and
# that every query of the Grafana dashboard is one. That the metrics exist is for cargo test.
#
# It installs Debian's prometheus for promtool where that is missing; status 77 where it cannot.
set -eu

cd "$(dirname "$0")/.."

. scripts/need.sh
need promtool:prometheus python3:python3

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

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

promtool check rules deploy/prometheus/alerts.yml
promtool test rules tests/monitoring/alerts_test.yml
queries >"$scratch/queries.yml"
promtool check rules "$scratch/queries.yml"
