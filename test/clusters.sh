# Read by test/run, test/demo and test/bench/run: a private copy of the installed server with the extension in
# it, throw-away clusters, and the demo 1C.  Nothing of the system's PostgreSQL is changed.
#
# Variables that a caller may use afterwards:
#   PGTREE          root of the private copy          PGBIN      its programs
#   ONEC_PORT, ONEC_CONTROL_PORT                      of the demo 1C started last

PG_CONFIG=${PG_CONFIG:-pg_config}
export PG_CONFIG

# PostgreSQL refuses to run as root, and a tree below /root is closed to everyone else: run "$2…" in a copy of this
# tree, below the directory $1, as the user that the server's package made.
run_in_copy() {
    local home=$1 source=$PWD
    shift
    mkdir -p "$home/tree"
    # Without objects: a build that goes on in the tree at this moment has half-written ones.
    tar --exclude=./.git --exclude=./.demo --exclude='*.o' --exclude='*.so' -cf - . |
        tar -xf - -C "$home/tree" || return 1
    # Sample files beside the tree serve some tests, which skip without them.
    [ -d ../shared ] && cp -rL ../shared "$home/shared" 2>/dev/null
    if [ "$(id -u)" != 0 ]; then
        (cd "$home/tree" && "$@")
        return
    fi
    id postgres >/dev/null 2>&1 || useradd --system --create-home postgres || return 1
    chown -R postgres "$home"
    (cd "$home/tree" && exec runuser -u postgres -- env HOME="$home" USER=postgres LOGNAME=postgres \
        ONEC_SOURCE="$source" "$@")
}

# Must this run go to a copy?
needs_copy() {
    [ "$(id -u)" = 0 ] || [ ! -w . ]
}

# Build the extension and install it into a private copy of the server below $1.
build_and_install() {
    local dir
    # By its whole name: the copy's own pg_config, first in PATH afterwards, tells the copy's directories.
    PG_CONFIG=$(command -v "$PG_CONFIG") || { echo "there is no pg_config"; return 1; }
    PGTREE=$1
    make -s -j"$(nproc)" all 2>&1 || return 1
    for dir in $("$PG_CONFIG" --pkglibdir --sharedir); do
        mkdir -p "$PGTREE$dir"
        cp -rs "$dir/." "$PGTREE$dir/" 2>/dev/null
    done
    # Programs find their files by their own real path, so they are copied.
    dir=$("$PG_CONFIG" --bindir)
    PGBIN=$PGTREE$dir
    mkdir -p "$PGBIN"
    rm -rf "${PGBIN:?}"/*
    cp -rL "$dir/." "$PGBIN/" || return 1
    rm -f "$PGTREE$("$PG_CONFIG" --sharedir)"/extension/onec_fdw* \
        "$PGTREE$("$PG_CONFIG" --pkglibdir)"/onec_fdw*
    make -s install DESTDIR="$PGTREE" 2>&1 || return 1
    export PGTREE PGBIN PATH="$PGBIN:$PATH"
}

have_cron() {
    [ -e "$PGTREE$("$PG_CONFIG" --pkglibdir)/pg_cron.so" ]
}

# A new cluster: directory $1, database $2 (pg_cron's own).  Listens on a socket in $1 only.
start_cluster() {
    local dir=$1 database=$2
    mkdir -p "$dir"
    "$PGBIN/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync \
        >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log"; return 1; }
    cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
port = 5432
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
fsync = off
max_wal_size = 2GB
log_line_prefix = '%m [%p] %a '
CONF
    echo "CREATE DATABASE $database" |
        "$PGBIN/postgres" --single -D "$dir/data" postgres >/dev/null 2>"$dir/single.log" || return 1
    if have_cron; then
        cat >>"$dir/data/postgresql.conf" <<CONF
shared_preload_libraries = 'pg_cron'
cron.database_name = '$database'
cron.host = '$dir'
CONF
    fi
    "$PGBIN/pg_ctl" -D "$dir/data" -l "$dir/log" -w -s start || { tail -20 "$dir/log"; return 1; }
    export PGHOST=$dir PGPORT=5432 PGUSER=postgres PGDATABASE=$database
}

stop_cluster() {
    [ -f "$1/data/postmaster.pid" ] && "$PGBIN/pg_ctl" -D "$1/data" -m immediate -s stop
}

free_ports() {
    python3 - "$1" <<'PYTHON'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
print(*[s.getsockname()[1] for s in held])
PYTHON
}

# Start the demo 1C: its log goes to $1, its process id to $1.pid, the rest are its own options.
start_onec() {
    local log=$1 try
    shift
    read -r ONEC_PORT ONEC_CONTROL_PORT < <(free_ports 2)
    export ONEC_PORT ONEC_CONTROL_PORT
    # The detached process must not hold the descriptors of a caller that waits for end of file.
    setsid python3 test/onec --port "$ONEC_PORT" --control-port "$ONEC_CONTROL_PORT" "$@" \
        >"$log" 2>&1 </dev/null &
    echo $! >"$log.pid"
    # no job of the caller's, who may wait for all of them
    disown
    for try in $(seq 600); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$ONEC_PORT" && exec 4<>"/dev/tcp/127.0.0.1/$ONEC_CONTROL_PORT") 2>/dev/null
        then
            return 0
        fi
        kill -0 "$(cat "$log.pid")" 2>/dev/null || break
        sleep 0.1
    done
    echo "the demo 1C did not start:"
    tail -20 "$log"
    return 1
}

stop_onec() {
    [ -f "$1.pid" ] && kill "$(cat "$1.pid")" 2>/dev/null
    rm -f "$1.pid"
}
