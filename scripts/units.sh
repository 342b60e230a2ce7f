#!/bin/sh
# Asks systemd's own tool whether it takes the units of deploy/ and how well it finds the service
# confined, and runs the server as the service is: without /proc beyond processes (ProcSubset=pid), and in
# a control group with a limit of memory (MemoryMax=). Both times check-config has to tell that the limits
# allow more memory than there is.
#
# Needs root, and installs by apt-get what is missing of systemd and util-linux; status 77 where that
# cannot be done, or no control group can be made. SERVER=FILE runs that program instead of building one.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
cd "$(dirname "$0")/.."

. scripts/need.sh
need units systemd-analyze:systemd unshare:util-linux
if [ -z "${SERVER:-}" ]; then
    cargo build --locked -p lvsp-mio --target-dir target
    SERVER=$PWD/target/debug/lvsp-mio
fi

work=$(mktemp -d)
group=
clean() {
    rm -rf "$work"
    [ -z "$group" ] || rmdir "$group"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Where the program is installed there is nothing here.
for unit in deploy/*.service deploy/*.socket; do
    sed "s|/usr/local/bin/lvsp-mio|$SERVER|" "$unit" >"$work/$(basename "$unit")"
done
cd "$work"
export SYSTEMD_LOG_LEVEL=warning
systemd-analyze verify --man=no ./*.service ./*.socket >verified 2>&1 || { cat verified >&2 && exit 1; }
! grep lvsp-mio verified >&2 || exit 1
echo "units: systemd takes them"
# In tenths, of 100.
systemd-analyze security --no-pager --offline=true --threshold=20 ./lvsp-mio.service >rated 2>&1 ||
    { cat rated >&2 && exit 1; }
sed -n 's/^.*Overall exposure level/units: exposure/p' rated

# More than this machine has, and more than the group has.
export LVSP_CONTROL__SECRET=0123456789abcdef0123456789abcdef LVSP_TLS__OFF=true
much="LVSP_LIMITS__VOICE_STATES=10000000 LVSP_LIMITS__OUTBOUND_TOTAL_BYTES=17179869184
    LVSP_LIMITS__REPLAY_TOTAL_BYTES=17179869184 LVSP_LIMITS__CREDENTIALS_TOTAL_BYTES=17179869184
    LVSP_LIMITS__INBOUND_TOTAL_BYTES=17179869184"
# shellcheck disable=SC2086,SC2016 # one word is one variable; the shell inside reads $0
env $much unshare --mount sh -c 'mount -t proc -o subset=pid proc /proc &&
    [ ! -e /proc/meminfo ] && exec "$0" check-config' "$SERVER" >said 2>&1 || { cat said >&2 && exit 1; }
grep -q 'warning: under these limits .* this machine has' said || { cat said >&2 && exit 1; }
echo "units: memory is known without /proc/meminfo"

# Of either version, as this machine has it.
own=$(sed -n 's/^0:://p' /proc/self/cgroup)
of_memory=$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)
if [ -n "$of_memory" ] && mkdir "/sys/fs/cgroup/memory$of_memory/lvsp-units-$$" 2>/dev/null; then
    group=/sys/fs/cgroup/memory$of_memory/lvsp-units-$$ limit=memory.limit_in_bytes
elif grep -qw memory "/sys/fs/cgroup$own/cgroup.subtree_control" 2>/dev/null &&
    mkdir "/sys/fs/cgroup$own/lvsp-units-$$" 2>/dev/null; then
    group=/sys/fs/cgroup$own/lvsp-units-$$ limit=memory.max
else
    echo "units: no control group can be made, so that MemoryMax= is read is not shown" >&2
    exit 77
fi
echo 268435456 >"$group/$limit"
# shellcheck disable=SC2016 # the shell inside reads $0 and $1
sh -c 'echo $$ >"$1/cgroup.procs" && exec "$0" check-config' "$SERVER" "$group" >said 2>&1 ||
    { cat said >&2 && exit 1; }
grep -q "warning: under these limits .*lvsp-units-$$ .*has 256.0 MiB" said || { cat said >&2 && exit 1; }
echo "units: the memory of the control group is known"
