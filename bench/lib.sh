# bench/lib.sh: start nginx and Redis for a measurement, in a temporary
# directory.  Sourced by the scripts of bench/.
#
#   NGINX   nginx (/usr/sbin/nginx)
#   REDIS   Redis (/usr/bin/redis-server)
#   MODULE  the module (build/ngx_http_mcp_sse_module.so)
#   LOAD    the load generator (build/load)
#   FILES   descriptors and connections of a worker (16384)
#   CALL    directives of the location of calls ("return 502;")

# shellcheck shell=sh

unset CDPATH
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)

NGINX=${NGINX:-/usr/sbin/nginx}
REDIS=${REDIS:-/usr/bin/redis-server}
MODULE=${MODULE:-$root/build/ngx_http_mcp_sse_module.so}
LOAD=${LOAD:-$root/build/load}

pids=

fail() {
    echo "$0: $*" >&2
    exit 2
}

# stop the started processes, the last one first

finish() {
    for pid in $pids; do
        kill -TERM "$pid" 2> /dev/null || :
        wait "$pid" 2> /dev/null || :
    done

    rm -rf "$dir"
}

begin() {
    [ -x "$LOAD" ] || fail "$LOAD is missing: run \"make load\""
    [ -z "$MODULE" ] || [ -f "$MODULE" ] \
        || fail "$MODULE is missing: run \"make\""

    dir=$(mktemp -d)
    chmod 755 "$dir"

    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

listens() {
    grep -qi ":$(printf %04X "$1") [0-9A-F]*:0000 0A" /proc/net/tcp
}

# set "port" to a free port below the ephemeral ones

free_port() {
    for try in 1 2 3 4 5 6 7 8 9 10; do
        port=$(od -An -N2 -tu2 /dev/urandom)
        port=$((12000 + port % 19000))

        if ! listens "$port"; then
            return
        fi
    done

    fail "no free port after $try attempts"
}

await() {
    for _ in $(seq 100); do
        if "$@"; then
            return
        fi

        sleep 0.1
    done

    fail "timed out after 10 seconds: $*"
}

# start_nginx NAME WORKERS [LINES]: start an instance, with LINES added to
# http {}.  Sets "port" and "master".  The header X-Worker of a response names
# the instance and the worker.

start_nginx() {
    mkdir -p "$dir/$1"
    free_port

    cat > "$dir/$1/nginx.conf" << END
${MODULE:+load_module $MODULE;}
worker_processes $2;
worker_rlimit_nofile ${FILES:-16384};
daemon off;
pid $dir/$1/nginx.pid;
error_log $dir/$1/error.log warn;
events { worker_connections ${FILES:-16384}; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $dir/$1/body;
    proxy_temp_path $dir/$1/proxy;
    fastcgi_temp_path $dir/$1/fastcgi;
    uwsgi_temp_path $dir/$1/uwsgi;
    scgi_temp_path $dir/$1/scgi;
    ${3:-}
    server {
        listen 127.0.0.1:$port reuseport backlog=4096;
        add_header X-Worker $1/\$pid always;
        mcp_sse_site bench;
        mcp_sse_principal bench;
        mcp_sse_max_sessions 100000;
        mcp_sse_call /_mcp/call;
        location = /mcp/sse { mcp_sse_stream; }
        location = /mcp/messages { mcp_sse_message; }
        location = /_mcp/call {
            internal;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host erp.example.com;
            proxy_buffering off;
            ${CALL:-return 502;}
        }
    }
}
END

    "$NGINX" -p "$dir/$1" -c nginx.conf 2> "$dir/$1/stderr" &
    master=$!
    pids="$master $pids"
    nginx=$1

    await nginx_runs "$2"
}

# start_launcher WORKERS [LINES] [TLS]: start nginx with the configuration that
# the launcher prints, apart from limits, and a Frappe that knows every user;
# LINES are added to http {}.  Sets "port", "tls_port" if TLS is not empty, and
# "master".

start_launcher() {
    mkdir -p "$dir/launcher/modules"
    cp "$MODULE" "$dir/launcher/modules/"
    free_port
    frappe=$port
    free_port
    tls_port=$port

    while [ "$tls_port" -eq "$port" ]; do free_port; done

    if [ -n "${3:-}" ]; then
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench \
            -keyout "$dir/launcher/key.pem" -out "$dir/launcher/cert.pem" \
            2> "$dir/openssl" || fail "openssl: $(tail -n 1 "$dir/openssl")"
    fi

    FRAPPE_URL=http://127.0.0.1:$frappe FRAPPE_SITE=erp.example.com \
        PORT=$port WORKERS=$1 WORKER_CONNECTIONS=$FILES LOG_LEVEL=warning \
        MCP_SSE_ACCESS_LOG=/dev/null \
        "$root/util/mcp-sse-bridge" --print-config > "$dir/printed"

    awk -v lines="${2:-}" -v frappe="$frappe" -v tls="${3:+$tls_port}" \
        -v files="$FILES" '
    /^worker_rlimit_nofile/ { print "worker_rlimit_nofile " files ";"; next }
    /^ *listen / {
        sub(/;/, " reuseport backlog=4096;")
        print

        if (tls) {
            print "listen 127.0.0.1:" tls " ssl;"
            print "ssl_certificate cert.pem; ssl_certificate_key key.pem;"
        }

        next
    }
    { print }
    /^http \{/ {
        print "mcp_sse_max_sessions 1000000; mcp_sse_zone zone=mcp:64m;"
        print lines
        print "server { listen 127.0.0.1:" frappe "; location / {"
        print "default_type application/json;"
        print "return 200 \047{\"message\":\"alice@example.com\"}\047; } }"
    }' "$dir/printed" > "$dir/launcher/nginx.conf"

    "$NGINX" -p "$dir/launcher" -c nginx.conf \
        -g 'daemon off; pid nginx.pid;' 2> "$dir/launcher/stderr" &
    master=$!
    pids="$master $pids"
    nginx=launcher

    await nginx_runs "$1"
}

nginx_runs() {
    kill -0 "$master" 2> /dev/null \
        || fail "nginx does not start: $(tail -n 3 "$dir/$nginx/stderr")"

    [ "$(grep -ls "^PPid:[[:blank:]]*$master$" /proc/[0-9]*/status | wc -l)" \
        -ge "$1" ] && listens "$port"
}

# print the pids of the workers of the instance that was started last

workers() {
    grep -ls "^PPid:[[:blank:]]*$master$" /proc/[0-9]*/status \
        | sed 's|/proc/||; s|/status||'
}

# cpu PID: print its CPU time, user and system, in ticks of 10 ms

cpu() {
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}

user_cpu() {
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 }'
}

# pss PID ...: print the memory of the processes, in kB; what they share is
# counted once

pss() {
    for pid in "$@"; do
        sed -n 's/^Pss:[[:blank:]]*//p' "/proc/$pid/smaps_rollup"
    done | awk '{ sum += $1 } END { print sum + 0 }'
}

# idle NAME STREAMS HOLD_ARGUMENT ...: hold streams, and print what one of them
# costs; sets "each", in bytes

idle() {
    name=$1
    streams=$2
    shift 2

    # shellcheck disable=SC2046
    before=$(pss "$master" $(workers))
    start_hold -n "$streams" --host erp.example.com "$@"
    sleep 1
    # shellcheck disable=SC2046
    after=$(pss "$master" $(workers))
    each=$(((after - before) * 1024 / streams))

    echo "$name: $streams streams, $before kB without, $after kB with them:" \
        "$each bytes each"
}

# start_hold ARGUMENT ...: hold streams open by bench/hold, until the script
# ends.  Sets "seconds", in which all were opened.

start_hold() {
    rm -f "$dir/ask" "$dir/held"
    mkfifo "$dir/ask"

    "$root/bench/hold" "$@" < "$dir/ask" > "$dir/held" &
    hold=$!
    pids="$hold $pids"
    exec 9> "$dir/ask"

    until grep -q '^open' "$dir/held"; do
        kill -0 "$hold" 2> /dev/null || fail "streams do not open"
        sleep 0.1
    done

    # shellcheck disable=SC2034
    seconds=$(awk '/^open/ { print $3 }' "$dir/held")
}

# ask_hold: set "beats", the number of heartbeats that came until now

ask_hold() {
    lines=$(grep -c . "$dir/held")
    echo >&9

    while [ "$(grep -c . "$dir/held")" -eq "$lines" ]; do
        kill -0 "$hold" 2> /dev/null || fail "a stream has ended"
        sleep 0.1
    done

    # shellcheck disable=SC2034
    beats=$(awk 'END { print $2 }' "$dir/held")
}

# start Redis without persistence, on a unix socket, or on a port with TLS;
# set "redis", its pid, and "url"; with TLS also "certificate"

start_redis() {
    socket=$dir/redis${1:-}.sock
    # shellcheck disable=SC2034
    url=unix:$socket

    if [ "${1:-}" = tls ]; then
        free_port
        certificate=$dir/redis.pem
        url=rediss://127.0.0.1:$port

        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -days 2 -subj /CN=redis -addext subjectAltName=IP:127.0.0.1 \
            -keyout "$dir/redis.key" -out "$certificate" 2> "$dir/openssl" \
            || fail "openssl: $(tail -n 1 "$dir/openssl")"

        set -- --tls-port "$port" --tls-cert-file "$certificate" \
            --tls-key-file "$dir/redis.key" \
            --tls-ca-cert-file "$certificate" --tls-auth-clients no
    else
        set --
    fi

    "$REDIS" --port 0 --unixsocket "$socket" --unixsocketperm 777 "$@" \
        --save '' --appendonly no --dir "$dir" > "$dir/redis.log" 2>&1 &
    redis=$!
    pids="$redis $pids"

    await test -S "$socket"
}

# load ARGUMENT ...: run the load generator, print its table and keep the JSON
# for value(); returns its exit code

load() {
    code=0
    "$LOAD" "$@" > "$dir/out" || code=$?
    grep -v '^{' "$dir/out" || :
    return "$code"
}

# value KEY: print the value of KEY in the last run, "-" if there is none

value() {
    found=$(sed -n "s/^{.*\"$1\":\([-0-9.e]*\)[,}].*/\1/p" "$dir/out")
    echo "${found:--}"
}
