# Read by test/other_versions, test/deb_install and test/newcomer: trees of Debian releases, made by debootstrap and entered with
# mounts and processes of their own, so that nothing of this machine is changed.  Needs root and Debian's debootstrap.
#
# Trees are kept below $ONEC_TREES (/var/cache/onec_fdw), and made once:
#   SUITE/bare        as debootstrap leaves it, bare      SUITE/packages    what was installed in it for tests, a layer above it
# Mirror and proxy are those of this machine's own apt configuration.

trees=${ONEC_TREES:-/var/cache/onec_fdw}
export PATH=$PATH:/usr/sbin:/sbin

# The address that this machine has its Debian from.
tree_mirror() {
    apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }'
}

# Make the tree of a suite if it is not there.
tree_make() {
    local suite=$1 dir=$trees/$1 mirror
    [ -d "$dir/bare" ] && return
    [ "$(id -u)" = 0 ] || { echo "a tree of $suite is made, and entered, by root only" >&2; return 1; }
    command -v debootstrap >/dev/null || apt-get -y -q install debootstrap >/dev/null 2>&1 ||
        { echo "debootstrap is missing, and cannot be installed" >&2; return 1; }
    mirror=$(tree_mirror)
    [ -n "$mirror" ] || { apt-get -q update >/dev/null; mirror=$(tree_mirror); }
    [ -n "$mirror" ] || { echo "apt here knows no Debian mirror" >&2; return 1; }
    eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
    echo "a tree of $suite goes to $dir"
    mkdir -p "$dir"
    rm -rf "$dir/bare.new"
    http_proxy=${http_proxy:-} debootstrap --variant=minbase "$suite" "$dir/bare.new" "$mirror" >"$dir/debootstrap.log" 2>&1 ||
        { tail -20 "$dir/debootstrap.log" >&2; return 1; }
    [ -z "${http_proxy:-}" ] ||
        echo "Acquire::http::Proxy \"$http_proxy\";" >"$dir/bare.new/etc/apt/apt.conf.d/10proxy"
    mv "$dir/bare.new" "$dir/bare"
}

# Run a command in a tree, as root: tree_run SUITE LAYER [--no-network] command…  This source stands at /srv/onec_fdw, which is
# where the command begins; /srv/out is $TREE_OUT, if that names a directory.  LAYER says what the command finds and what stays:
#   packages   what it installs stays for later runs       copy   those packages; nothing stays       bare   nothing; nothing stays
tree_run() {
    local suite=$1 layer=$2 scratch status net=()
    shift 2
    [ "${1:-}" = --no-network ] && { net=(--net); shift; }
    scratch=$(mktemp -d /tmp/onec_tree.XXXXXX) || return 1
    mkdir -p "$trees/$suite/packages"
    TREE_SUITE=$trees/$suite TREE_LAYER=$layer TREE_SCRATCH=$scratch TREE_SOURCE=$PWD \
        unshare --mount --pid --fork --kill-child --ipc "${net[@]}" \
        bash -c "$(declare -f tree_mount tree_inside); tree_mount && tree_inside \"\$@\"" tree "$@"
    status=$?
    rm -rf "$scratch"
    return $status
}

# Within mounts of our own: the tree comes together in $root.
tree_mount() {
    local lower=$TREE_SUITE/bare upper=$TREE_SCRATCH/upper work=$TREE_SCRATCH/work
    root=$TREE_SCRATCH/root
    case $TREE_LAYER in
        packages) upper=$TREE_SUITE/packages work=$TREE_SUITE/work ;;
        copy) lower=$TREE_SUITE/packages:$lower ;;
    esac
    mkdir -p "$root" "$upper" "$work"
    mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work" "$root" &&
        mount -t proc proc "$root/proc" &&
        mount -t tmpfs tmpfs "$root/dev/shm" &&
        mount -t devpts devpts "$root/dev/pts" &&
        mount -t tmpfs tmpfs "$root/srv" || return 1
    cp -L /etc/resolv.conf "$root/etc/"
    mkdir "$root/srv/onec_fdw" "$root/srv/out"
    tar -C "$TREE_SOURCE" --exclude=./.demo --exclude=./results --exclude='*.o' --exclude='*.so' -cf - . |
        tar -C "$root/srv/onec_fdw" --no-same-owner -xf - || return 1
    # Sample files beside the source serve some tests.
    if [ -d "$TREE_SOURCE/../shared" ]; then
        cp -rL "$TREE_SOURCE/../shared" "$root/srv/"
    fi
    if [ -n "${TREE_OUT:-}" ]; then
        mkdir -p "$TREE_OUT" && mount --bind "$TREE_OUT" "$root/srv/out"
    fi
}

# The command, with few variables but ours; without a network there is still a loopback device.
tree_inside() {
    local name kept=()
    for name in ${!TEST_*} ${!DEMO_*} http_proxy CC DEB_BUILD_OPTIONS; do
        [ -n "${!name:-}" ] && kept+=("$name=${!name}")
    done
    python3 - <<'PYTHON'
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sH14s", b"lo", 0x49, b""))      # SIOCSIFFLAGS: up and running
PYTHON
    chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        TERM="${TERM:-dumb}" DEBIAN_FRONTEND=noninteractive "${kept[@]}" bash -c 'cd /srv/onec_fdw && "$@"' tree "$@"
}
