#!/bin/bash
# Install what building, testing and showing onec_fdw needs on Debian 12, and only what is missing.
# Uses apt-get as root, or through sudo.  PG_CONFIG may name another version of the server.
set -u

if major=$("${PG_CONFIG:-pg_config}" --version 2>/dev/null); then
    major=$(sed -E 's/[^0-9]*([0-9]+).*/\1/' <<<"$major")
else
    major=15
fi
packages=(gcc make libc6-dev pkg-config "postgresql-$major" "postgresql-server-dev-$major"
          "postgresql-$major-cron" libcurl4-openssl-dev libjson-c-dev libexpat1-dev zlib1g-dev
          perl libipc-run-perl python3 curl)
# fuzzing and the other compiler's warnings
[ -n "${TEST_FULL:-}" ] && packages+=(clang libclang-rt-dev)

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)
    [ "$status" = installed ] && continue
    # A server built from source brings its own tools; pkgconf may stand for pkg-config.
    case $package in
        postgresql-*) [ "$major" != 15 ] && "${PG_CONFIG:-pg_config}" --pgxs >/dev/null 2>&1 && continue ;;
        pkg-config) command -v pkg-config >/dev/null && continue ;;
    esac
    missing+=("$package")
done
[ ${#missing[@]} = 0 ] && exit 0

echo "installing: ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "these packages are missing, and there is no sudo: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
fi
command -v apt-get >/dev/null || { echo "no apt-get here; install the like of: ${missing[*]}" >&2; exit 1; }

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o Dpkg::Use-Pty=0 "$@" </dev/null
}
# Lists may be old or absent, and a mirror may fail once: two more tries, each with fresh lists.
for try in 1 2 3; do
    apt update >/dev/null || echo "apt-get update failed (try $try)" >&2
    apt install --no-install-recommends "${missing[@]}" 2>&1 | grep --line-buffered -E '^(Setting up|E:|W:|Err)'
    [ "${PIPESTATUS[0]}" = 0 ] && exit 0
    sleep $((try * 3))
done
echo "could not install: ${missing[*]}" >&2
exit 1
