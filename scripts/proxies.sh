#!/bin/sh
# Runs the proxies of deploy/ in front of a server, with voice clients that talk through them, and
# checks that the server knew the clients by their own addresses: it serves media to no other
# (media.foreign_udp = "strict"), so clients whose media comes from another address must not get in. And
# doctor, beside the running server, has to say that the proxy names its clients.
#
#   scripts/proxies.sh [nginx-http] [nginx-stream] [caddy]
#
# Needs root, and installs by apt-get what is missing of iproute2, util-linux, openssl, nginx,
# libnginx-mod-stream and caddy; status 77 where that cannot be done. Everything happens in two network
# namespaces with a link between them, which are removed again.
# SERVER=FILE runs that program instead of building one.
set -eu

[ -z "${SERVER:-}" ] || SERVER=$(realpath "$SERVER")
cd "$(dirname "$0")/.."
modules=/usr/lib/nginx/modules

. scripts/need.sh
need_root
need ip:iproute2 ss:iproute2 nsenter:util-linux openssl:openssl nginx:nginx caddy:caddy \
    "$modules/ngx_stream_module.so:libnginx-mod-stream"
if [ -z "${SERVER:-}" ]; then
    cargo build --locked -p lvsp-mio --target-dir target
    SERVER=$PWD/target/debug/lvsp-mio
fi

work=$(mktemp -d)
servers=lvsp-prx-$$-s
clients=lvsp-prx-$$-c
started=
# Addresses that are no private ones: of those nothing is concluded.
here=198.51.100.1

clean() {
    for pid in $started; do kill "$pid" 2>/dev/null || true; done
    for pid in $started; do wait "$pid" 2>/dev/null || true; done
    remove_namespaces "$servers" "$clients"
    rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Where the server and the proxies are. In the background without a function, which would be a shell
# with a process of its own.
in_servers="nsenter --net=/run/netns/$servers"

make_namespace "$servers"
make_namespace "$clients"
link_namespaces "$servers" "lvp$$" $here/24 "$clients" "lvq$$" 198.51.100.2/24
ip -n "$clients" addr add 198.51.100.3/24 dev "lvq$$"

scripts/test-certificate.sh "$work" IP:$here
"$SERVER" gen-secret >"$work/secret"
chmod 711 "$work"

# What the head of a file in deploy/ says belongs into lvsp.toml, with the names of this place.
advised() { sed -n '/^# In lvsp.toml:/,/^$/s/^#   //p' "$1"; }

here_and_now() { sed -e "s/voice\.example\.org/$here/" -e "s|/etc/lvsp|$work|"; }

# Waits until something listens there.
await() {
    for _ in $(seq 100); do
        $in_servers sh -c "ss -Hltn 'sport = :$1'" | grep -q . && return
        sleep 0.1
    done
    echo "proxies: nothing listens on port $1" >&2
    cat "$work"/*.log >&2
    return 1
}

serve() {
    advised "$1" | here_and_now >"$work/lvsp.toml"
    cat >>"$work/lvsp.toml" <<TOML
[control]
listen = "$2"
secret_file = "$work/secret"
[media]
listen = "$here:50000"
public_ip = "$here"
foreign_udp = "strict"
[drain]
seconds = 0
[admin]
listen = "127.0.0.1:9900"
TOML
    RUST_LOG=info $in_servers "$SERVER" serve --config "$work/lvsp.toml" \
        >"$work/ready" 2>"$work/server.log" &
    server=$!
    started="$started $server"
    await 8443
}

stop() {
    for pid in "$@"; do
        kill "$pid"
        wait "$pid" || true
    done
    started=
}

load() {
    nsenter --net="/run/netns/$clients" "$SERVER" load --control "$control" \
        --secret-file "$work/secret" --ca "$work/ca.pem" --members 4 --speakers 2 --channels 2 \
        --seconds 1 --warm-up 0.2 --from "$1" --json
}

# Clients talk, and those whose media comes from elsewhere do not get in.
judge() {
    if ! load 198.51.100.2 >"$work/report" 2>"$work/load.log"; then
        echo "$1: clients did not get through" >&2
        cat "$work/load.log" "$work"/*.log >&2
        return 1
    fi
    if load 198.51.100.3 >/dev/null 2>"$work/load.log"; then
        echo "$1: media from another address was served: the clients' address was not passed on" >&2
        return 1
    fi
    if grep -iE 'trusted|believed' "$work/server.log" >&2; then
        echo "$1: the server complains" >&2
        return 1
    fi
    # It is sure of that, because the server counted it; what else it finds of this place does not matter.
    $in_servers "$SERVER" doctor --config "$work/lvsp.toml" >"$work/doctor" 2>&1 || true
    if ! grep -q '^ok .*connections of proxies .* said by .* who their client is' "$work/doctor"; then
        echo "$1: doctor does not see that the proxy names its clients" >&2
        cat "$work/doctor" >&2
        return 1
    fi
    figure() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$work/report"; }
    expected=$(figure expected) arrived=$(figure arrived)
    # Nothing is lost on the way; some may be late when this machine is busy.
    if [ "${expected:-0}" = 0 ] || [ $((arrived * 2)) -lt "$expected" ]; then
        echo "$1: of $expected packets $arrived arrived" >&2
        return 1
    fi
    echo "$1: held; of $expected packets $arrived arrived"
}

nginx_with() {
    cat >"$work/nginx.conf" <<NGINX
load_module $modules/ngx_stream_module.so;
daemon off;
pid $work/nginx.pid;
worker_processes 1;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $work/t1;
    proxy_temp_path $work/t2;
    fastcgi_temp_path $work/t3;
    uwsgi_temp_path $work/t4;
    scgi_temp_path $work/t5;
    $1
}
stream {
    $2
    server {
        listen 6443 ssl;
        ssl_certificate $work/chain.pem;
        ssl_certificate_key $work/key.pem;
        proxy_pass 127.0.0.1:6000;
    }
}
NGINX
    $in_servers nginx -e "$work/nginx.log" -c "$work/nginx.conf" &
    proxy=$!
    started="$started $proxy"
    await 443
}

through_nginx_http() {
    here_and_now <deploy/nginx-http.conf >"$work/part.conf"
    serve deploy/nginx-http.conf 127.0.0.1:6000
    nginx_with "include $work/part.conf;" ""
    control=$here:6443
    judge nginx-http
    stop "$proxy" "$server"
}

through_nginx_stream() {
    here_and_now <deploy/nginx-stream.conf >"$work/part.conf"
    serve deploy/nginx-stream.conf $here:6000
    nginx_with "" "include $work/part.conf;"
    control=$here:6000
    judge nginx-stream
    stop "$proxy" "$server"
}

through_caddy() {
    serve deploy/Caddyfile 127.0.0.1:6000
    {
        printf '{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_sni %s\n}\n' $here
        sed "s|^voice.example.org {|https://$here {\n\ttls $work/chain.pem $work/key.pem|" \
            deploy/Caddyfile
        printf 'https://%s:6443 {\n\ttls %s %s\n\treverse_proxy 127.0.0.1:6000\n}\n' \
            $here "$work/chain.pem" "$work/key.pem"
    } >"$work/Caddyfile"
    HOME=$work XDG_DATA_HOME=$work XDG_CONFIG_HOME=$work \
        $in_servers caddy run --adapter caddyfile --config "$work/Caddyfile" >"$work/caddy.log" 2>&1 &
    proxy=$!
    started="$started $proxy"
    await 443
    control=$here:6443
    judge caddy
    stop "$proxy" "$server"
}

[ $# -gt 0 ] || set -- nginx-http nginx-stream caddy
for each in "$@"; do
    case $each in
    nginx-http) through_nginx_http ;;
    nginx-stream) through_nginx_stream ;;
    caddy) through_caddy ;;
    *)
        echo "proxies: $each is neither nginx-http, nginx-stream nor caddy" >&2
        exit 2
        ;;
    esac
done
