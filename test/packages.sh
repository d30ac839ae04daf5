#!/bin/bash
# Install what building, testing and showing onec_fdw needs on Debian, and only what is missing.  Uses apt-get as root, or
# through sudo.  PG_CONFIG may name another version of the server; without one it is that of the Debian release.
#
#   test/packages.sh           install, and say so in two lines; the exit status is 1 if something needed is missing then
#   test/packages.sh --list    what would be installed, one a line
#
# Tests skip what the packages of "also" would show: where they cannot be installed that is said, and is no failure.
set -u

as_root=()
can_install=yes
if ! command -v apt-get >/dev/null; then
    can_install=
elif [ "$(id -u)" != 0 ]; then
    # with somebody there to give a password, or without one
    as_root=(sudo)
    { [ -t 2 ] && command -v sudo >/dev/null; } || sudo -n true 2>/dev/null || can_install=
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT

apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0 "$@" </dev/null >>"$log" 2>&1; }

# The version that "postgresql" of this release stands for.
release_major() { apt-cache show postgresql 2>/dev/null | sed -nE 's/^Depends:.*postgresql-([0-9]+).*/\1/p' | head -1; }

if major=$("${PG_CONFIG:-pg_config}" --version 2>/dev/null); then
    major=$(sed -E 's/[^0-9]*([0-9]+).*/\1/' <<<"$major")
else
    major=$(release_major)
    [ -z "$major" ] && [ -n "$can_install" ] && apt update && major=$(release_major)
    major=${major:-15}
fi
needed=(gcc make libc6-dev pkg-config "postgresql-$major" "postgresql-server-dev-$major" libcurl4-openssl-dev libjson-c-dev
        libexpat1-dev zlib1g-dev perl libipc-run-perl python3 ca-certificates curl)
also=("postgresql-$major-cron" python3-psycopg zip unzip)
# fuzzing and the other compiler's warnings; a pooler, which is a service of its own
[ -n "${TEST_FULL:-}" ] && also+=(clang libclang-rt-dev pgbouncer)

# Those of the names given that are missing.
missing_of() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] && continue
        # A server built from source brings its own tools; pkgconf may stand for pkg-config.
        case $package in
            postgresql-*-cron) [ -e "$("${PG_CONFIG:-pg_config}" --pkglibdir 2>/dev/null)/pg_cron.so" ] && continue ;;
            postgresql-*) "${PG_CONFIG:-pg_config}" --pgxs >/dev/null 2>&1 &&
                [ -e "$("${PG_CONFIG:-pg_config}" --pgxs)" ] && [ -e "$("${PG_CONFIG:-pg_config}" --bindir)/initdb" ] && continue ;;
            pkg-config) command -v pkg-config >/dev/null && continue ;;
        esac
        echo "$package"
    done
}
mapfile -t missing < <(missing_of "${needed[@]}")
mapfile -t wanted < <(missing_of "${also[@]}")
if [ "${1:-}" = --list ]; then
    printf '%s\n' "${missing[@]}" "${wanted[@]}" | sed '/^$/d'
    exit 0
fi
[ ${#missing[@]} = 0 ] && [ ${#wanted[@]} = 0 ] && exit 0

without() { echo "without ${wanted[*]}: what needs them is skipped"; }
if [ -z "$can_install" ]; then
    [ ${#wanted[@]} != 0 ] && without
    [ ${#missing[@]} = 0 ] && exit 0
    echo "packages are missing, and here is nobody who may install them: ${missing[*]}" >&2
    exit 1
fi

named=("${missing[@]}" "${wanted[@]}")
echo "installing: ${named[*]}"
# Lists may be old or absent, and a mirror may fail once: two more tries, each with fresh lists.
for try in 1 2 3; do
    apt update || echo "apt-get update failed (try $try)" >&2
    # what this release does not have is done without
    mapfile -t found < <(for package in "${wanted[@]}"; do
        [ -n "$(apt-cache show "$package" 2>/dev/null)" ] && echo "$package"; done)
    if apt install --no-install-recommends "${missing[@]}" "${found[@]}"; then
        echo "installed: $(grep -c '^Setting up' "$log") packages"
        mapfile -t wanted < <(missing_of "${wanted[@]}")
        [ ${#wanted[@]} != 0 ] && without
        exit 0
    fi
    sleep $((try * 3))
done
tail -20 "$log" >&2
[ ${#missing[@]} = 0 ] && { without; exit 0; }
echo "could not install: ${missing[*]}" >&2
exit 1
