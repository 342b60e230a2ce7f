# What the scripts here share. In a script, from the repository's folder: `. scripts/need.sh`. Then
#
#   cannot WORDS                      this machine lacks what it takes: says so, ends with status 77
#   has PROGRAM                       whether there is such a program
#   need_root                         ends with status 77 without root
#   need PROGRAM:PACKAGE...           installs the Debian packages whose programs are missing; a program
#                                     may be a path as well
#   add_packages PACKAGE...           installs Debian packages
#   need_node                         ends with status 77 if Node is too old for the scripts' packages
#   make_namespace NAME               a network namespace with nothing but loopback in it
#   link_namespaces NAME INTERFACE ADDRESS/BITS NAME INTERFACE ADDRESS/BITS
#                                     a link between two of them; interfaces have 15 letters at most
#   remove_namespaces NAME...         ends whoever is left in these, and removes them
#
# Packages are installed with apt-get by root, or with sudo; where that cannot be done, the status is 77.
# A caller that can do without the check takes 77 as "not shown"; every other status is a verdict.
# shellcheck shell=sh

# What a script is called in what it says.
me=$(basename "$0" .sh)
# Programs of Debian's packages are not always in the path.
PATH=$PATH:/usr/sbin:/sbin

cannot() {
    echo "$me: cannot be shown here: $*" >&2
    exit 77
}

has() { command -v "$1" >/dev/null 2>&1; }

need_root() { [ "$(id -u)" = 0 ] || cannot "it needs root"; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

add_packages() {
    has apt-get || cannot "no apt-get; install what Debian calls: $*"
    [ "$(id -u)" = 0 ] || has sudo || cannot "neither root nor sudo; as root: apt-get install $*"
    echo "$me: installing $*"
    # No service of these packages is to start: they are run from here.
    { as_root apt-get update -q &&
        as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -q -y \
            --no-install-recommends "$@"; } >/dev/null || cannot "apt-get does not install $*"
}

need() {
    packages=
    for pair in "$@"; do
        [ -e "${pair%%:*}" ] || has "${pair%%:*}" || packages="$packages ${pair##*:}"
    done
    # Unquoted on purpose: one word is one package.
    # shellcheck disable=SC2086
    [ -z "$packages" ] || add_packages $packages
}

need_node() {
    major=$(node -p 'process.versions.node.split(".")[0]')
    [ "$major" -ge 20 ] || cannot "Node $major is too old; install Node 20 or newer (Debian 13 has it)"
}

make_namespace() {
    ip netns add "$1" 2>/dev/null || cannot "no network namespace can be made here"
    ip -n "$1" link set lo up
}

link_namespaces() {
    ip link add "$2" netns "$1" type veth peer name "$5" netns "$4"
    ip -n "$1" addr add "$3" dev "$2"
    ip -n "$4" addr add "$6" dev "$5"
    ip -n "$1" link set "$2" up
    ip -n "$4" link set "$5" up
}

remove_namespaces() {
    for netns in "$@"; do
        [ -e "/run/netns/$netns" ] || continue
        # Whoever is left in there was started from here.
        for pid in $(ip netns pids "$netns"); do kill -9 "$pid" 2>/dev/null || true; done
        ip netns del "$netns"
    done
}
