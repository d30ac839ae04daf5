# Read by test/bench/run: one measurement at a time.

# Median of the seconds given, of which "none" marks a run that failed.
median() {
    case " $* " in *none*) echo none; return ;; esac
    printf '%s\n' "$@" | sort -n | awk '{ v[NR] = $1 } END { printf "%.3f\n", v[int((NR + 1) / 2)] }'
}

# What, its seconds, seconds of another: with their ratio; with a fourth argument the other's seconds too.
line() {
    awk -v what="$1" -v a="$2" -v b="$3" -v both="${4:-}" 'BEGIN {
        printf "%-44s %9s %s%8s\n", what, a, both ? sprintf("%9s ", b) : "", (a > 0 && b > 0) ? sprintf("%.2f", a / b) : "none" }'
}

wait_for_port() {
    until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
        kill -0 "$2" 2>/dev/null || return 1
        sleep 0.1
    done
}

# Seconds of statement $2 among the tables of server $1, in a session that has done $3 before, so that it is connected.
# The requests of the statement remain in $asked.
ask() {
    PGOPTIONS="-c search_path=$1,public" psql -X -q -v ON_ERROR_STOP=1 <<SQL 2>&1 | seconds
$3 \g /dev/null
\! : >"${asked:-/dev/null}"
\timing on
$2 \g /dev/null
SQL
}

seconds() {
    tee "$home/psql.log" | sed -nE 's/^Time: ([0-9.]+) ms.*/\1/p' | awk '{ print $1 / 1000 } END { if (NR == 0) print "none" }'
    grep -a ERROR "$home/psql.log" >&2
}

# A request for a page that no figure depends on.
connect="SELECT count(*) FROM sale WHERE period >= "

# Seconds of curl over the requests that remained, on one connection, keeping nothing.
fetch() {
    local start=$EPOCHREALTIME
    curl -s -g --fail $2 -K "$1" || echo "curl failed" >&2
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}

# The requests of $asked as a configuration of curl, for port $1.
for_curl() {
    grep '_RecordType?' "$asked" | sed -E "s#(.*)#url = \"http://127.0.0.1:$1\1\"\noutput = \"/dev/null\"#"
}

against_curl() {
    local server=$1 port=$2 what=$3 sql=$4 ours= curl= i
    for i in $(seq "$runs"); do
        ours+="$(ask "$server" "$sql" "$connect'$last_page'") "
        sleep 0.2
        for_curl "$port" >"$home/requests.curl"
        curl+="$(fetch "$home/requests.curl" "$([[ $server == *gzip ]] && echo --compressed)") "
    done
    line "$server: $what" "$(median $ours)" "$(median $curl)" both
}

# An empty table, and nothing left to write of what filled it before.
empty_table() {
    psql -X -q -c 'TRUNCATE loaded' -c CHECKPOINT
    sync
    sleep 1
}

# Seconds of a statement that fills the table "loaded".
load() {
    empty_table
    ask public "$1" "SELECT count(*) FROM nav.sale WHERE period >= '$last_page'"
    check_loaded "$1"
}

load_by_python() {
    local start
    empty_table
    grep '_RecordType?' "$home/addresses" >"$home/addresses.python"
    start=$EPOCHREALTIME
    $python test/bench/copy.py "$plain" <"$home/addresses.python" || echo none
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
    check_loaded copy.py
}

# Whether the tables of server $1 give the rows that were made: a figure for other rows is worth nothing.
check_read() {
    [ "$(psql -XAtc "SELECT count(*) = $rows AND count(DISTINCT period) = $rows AND round(sum(Сумма) * 100) = $kopecks FROM $1.sale")" = t ] ||
        { echo "$1 gives wrong rows" >&2; return 1; }
}

check_loaded() {
    [ "$(psql -XAtc "SELECT count(*) = $rows AND round(sum(Сумма) * 100) = $kopecks FROM loaded")" = t ] ||
        echo "wrong rows: $1" >&2
}

# By how many MB private memory of a backend grows while it runs statement $2 among the tables of server $1.
# Anonymous memory is taken: shared buffers that only one process has touched count as private in smaps_rollup.
grown() {
    local pid psql now idle= most=0
    PGOPTIONS="-c search_path=$1,public" psql -X -q -At -v ON_ERROR_STOP=1 <<SQL >"$home/grown.log" 2>&1 &
SELECT pg_backend_pid() \g '$home/grown.pid'
SELECT pg_sleep(0.5) \g /dev/null
$2 \g /dev/null
SQL
    psql=$!
    sleep 0.3
    pid=$(cat "$home/grown.pid")
    while now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null) && [ -n "$now" ]; do
        idle=${idle:-$now}
        most=$((now > most ? now : most))
        sleep 0.01
    done
    wait $psql || { cat "$home/grown.log" >&2; echo none; return; }
    awk -v a="$most" -v b="$idle" 'BEGIN { printf "%.1f\n", (a - b) / 1024 }'
}
