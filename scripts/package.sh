#!/bin/sh
# Builds the Debian package into target/debian, and tries it as an operator would: lintian reads it, and
# in a new root of Debian's apt installs it, its server starts with its own configuration file, is found
# well, carries voice clients who talk, stops, and is removed without leaving anything behind.
#
#   scripts/package.sh [--build-only]
#
# Trying it needs root and a mirror of Debian's, and installs by apt-get what is missing of debootstrap,
# lintian, openssl, util-linux and iproute2; status 77 where that cannot be done. Installs cargo-deb if
# need be.
set -eu
cd "$(dirname "$0")/.."
suite=bookworm

cargo deb --version 2>/dev/null | grep -qx 3.8.0 || cargo install --debug --locked --quiet cargo-deb@3.8.0

# --- build ---

cargo build --release --locked -p lvsp-mio --target-dir target
staged=target/package
rm -rf "$staged"
mkdir -p "$staged/units" "$staged/man" "$staged/doc" "$staged/examples"
for unit in deploy/*.service deploy/*.socket; do
    sed 's|/usr/local/bin/|/usr/bin/|' "$unit" >"$staged/units/$(basename "$unit")"
done
program=target/release/lvsp-mio
cp docs/*.md README.md "$staged/doc/"
gzip -9n "$staged"/doc/*.md
cp deploy/Caddyfile deploy/*.conf deploy/lvsp*.toml "$staged/examples/"
cp -r deploy/grafana/* deploy/prometheus/* "$staged/examples/"
find "$staged/examples" -mindepth 2 -type f -exec mv -t "$staged/examples" {} +
find "$staged/examples" -mindepth 1 -type d -delete
"$program" man --out "$staged/man" >/dev/null
gzip -9n "$staged"/man/*
rm -rf target/debian
(cd runtime-mio && cargo deb --locked --no-build --quiet)
package=$(echo target/debian/lvsp-mio_*.deb)
echo "package: $package, $(($(stat -c %s "$package") / 1024)) KiB"
[ "${1:-}" != --build-only ] || exit 0

# --- try ---

. scripts/need.sh
need_root
need debootstrap:debootstrap lintian:lintian openssl:openssl unshare:util-linux ip:iproute2

# No changelog of Debian's: this is the maker's own package, and its changes are in CHANGELOG.md.
lintian --fail-on error,warning \
    --suppress-tags no-changelog,initial-upload-closes-no-bugs "$package"
echo "package: lintian finds nothing"

root=$(mktemp -d)
clean() {
    for pid in /proc/[0-9]*; do
        # Whoever runs from that root was started from here.
        [ "$(readlink "$pid/root" 2>/dev/null)" != "$root" ] || kill -9 "${pid#/proc/}" 2>/dev/null || true
    done
    if mountpoint -q "$root/proc"; then umount "$root/proc"; fi
    rm -rf "$root"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# shellcheck disable=SC2016 # these are apt's own
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' | sed -n "s/ $suite\$//p" | head -n 1)
if ! debootstrap --variant=minbase "$suite" "$root" ${mirror:+"$mirror"} \
    >"$root.log" 2>&1; then
    tail -n 5 "$root.log" >&2
    rm -f "$root.log"
    cannot "no root of $suite can be made, so the package was built and not tried"
fi
rm -f "$root.log"
in_root() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }
files() { (cd "$root" && find . -xdev ! -type d -o -empty | grep -vE '^\./(proc|var/(log|cache)|var/lib/(dpkg|apt))/' | sort); }

# Where systemd, which is not in this root, has its links.
links=etc/systemd/system
mkdir -p "$root/$links/multi-user.target.wants" "$root/$links/sockets.target.wants"
files >target/package/before
cp "$package" "$root/tmp/lvsp-mio.deb"
in_root apt-get install -qq -y --no-install-recommends /tmp/lvsp-mio.deb >/dev/null
rm "$root/tmp/lvsp-mio.deb"
echo "package: installed"

in_root lvsp-mio gen-secret >"$root/etc/lvsp/control-secret"
scripts/test-certificate.sh "$root/etc/lvsp" IP:127.0.0.1
# As the operator fills in the file that was installed.
sed -i -e 's/voice\.example\.org:443/127.0.0.1:8443/' -e 's/203\.0\.113\.7/127.0.0.1/' \
    "$root/etc/lvsp/lvsp.toml"
cat >"$root/tmp/try" <<'INSIDE'
set -eu
export LVSP_CONFIG_FILE=/etc/lvsp/lvsp.toml LVSP_CONTROL__SECRET_FILE=/etc/lvsp/control-secret
export LVSP_TLS__CERTIFICATE=/etc/lvsp/chain.pem LVSP_TLS__KEY=/etc/lvsp/key.pem
export LVSP_ADMIN__LISTEN=127.0.0.1:9900 LVSP_DRAIN__SECONDS=0
lvsp-mio check-config
lvsp-mio serve >/tmp/ready 2>/tmp/server.log &
server=$!
for _ in $(seq 100); do
    grep -qs '^ready:' /tmp/ready && break
    sleep 0.1
done
lvsp-mio healthcheck || { cat /tmp/server.log; exit 1; }
lvsp-mio load --ca /etc/lvsp/ca.pem --members 6 --speakers 2 --seconds 1 --warm-up 0.2 >/tmp/load 2>&1 ||
    { cat /tmp/load; exit 1; }
kill -TERM $server
wait $server
rm /tmp/ready /tmp/server.log /tmp/load /tmp/try
INSIDE
mount -t proc proc "$root/proc"
# A network of its own, so that nobody else has its ports.
unshare --net sh -c "ip link set lo up && exec chroot '$root' sh /tmp/try"
umount "$root/proc"
echo "package: its server was found well, carried six voice clients and stopped"

# What `systemctl enable` makes.
for wanted in multi-user.target.wants/lvsp-mio.service sockets.target.wants/lvsp-mio-gateway.socket; do
    ln -s "/usr/lib/systemd/system/$(basename $wanted)" "$root/$links/$wanted"
done
rm "$root"/etc/lvsp/control-secret "$root"/etc/lvsp/*.pem
in_root apt-get purge -qq -y lvsp-mio >/dev/null
in_root apt-get autoremove -qq -y --purge >/dev/null
files >target/package/after
if ! diff target/package/before target/package/after; then
    echo "package: it leaves files behind" >&2
    exit 1
fi
echo "package: removed without a trace"
