#!/usr/bin/env bash
# Checks what the project is made of against deny.toml: licences, versions, sources, and known flaws
# where the advisory database can be reached. Installs cargo-deny if need be.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo-deny >/dev/null || cargo install --debug --locked --quiet cargo-deny
deny() { cargo deny --locked "$@"; }

for manifest in Cargo.toml fuzz/Cargo.toml; do
    deny --manifest-path "$manifest" --config deny.toml check bans licenses sources
done
if deny fetch db >/dev/null 2>&1; then
    deny check advisories
else
    echo "advisories: the database cannot be reached from here, so they were not checked"
fi
