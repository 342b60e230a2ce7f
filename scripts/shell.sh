#!/bin/sh
# Reads every shell script of the repository with shellcheck, which it installs if need be; status 77
# where it cannot.
set -eu
cd "$(dirname "$0")/.."

. scripts/need.sh
need shellcheck:shellcheck
shellcheck --external-sources .ci/run scripts/*.sh benches/*.sh
echo "shell: shellcheck finds nothing"
