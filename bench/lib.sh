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

# start Redis without persistence; set "redis", its pid, and "socket"

start_redis() {
    socket=$dir/redis.sock

    "$REDIS" --port 0 --unixsocket "$socket" --unixsocketperm 777 \
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
