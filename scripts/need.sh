# For scripts that need programs of Debian's: `. scripts/need.sh`, then
#
#   need NAME program:package...
#
# installs what is missing, as root and by apt-get; ends with status 77 where that cannot be done. A
# program may be a path as well.
# shellcheck shell=sh

need() {
    name=$1
    shift
    [ "$(id -u)" = 0 ] || {
        echo "$name: it needs root" >&2
        exit 77
    }
    packages=
    for pair in "$@"; do
        [ -e "${pair%%:*}" ] || command -v "${pair%%:*}" >/dev/null 2>&1 ||
            packages="$packages ${pair##*:}"
    done
    [ -n "$packages" ] || return 0
    command -v apt-get >/dev/null || {
        echo "$name: no apt-get; install what Debian calls:$packages" >&2
        exit 77
    }
    echo "$name: installing$packages"
    # No service of these packages is to start: they are run from here. Unquoted on purpose: one word is
    # one package.
    # shellcheck disable=SC2086
    { apt-get update -q && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
        --no-install-recommends $packages; } >/dev/null || {
        echo "$name: apt-get does not install$packages" >&2
        exit 77
    }
}
