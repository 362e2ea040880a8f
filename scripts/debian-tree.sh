#!/bin/sh
# Run a command in a throw-away Debian 13, whatever this machine runs.
#
#     scripts/debian-tree.sh build COMMAND...     with all that builds, checks and tests the package
#     scripts/debian-tree.sh device COMMAND...    with what a small device has: systemd, timesyncd,
#                                                 Python; the time daemons that the tests put on it
#                                                 lie in apt's cache, so none needs the network
#     scripts/debian-tree.sh device-12 COMMAND... the same of Debian 12
#
# The tree is made once, in .peers/debian-13, from the mirror that this machine's apt uses.  A
# command sees it through an overlay whose changes live in memory and end with it, the project
# read-only at /src, where it starts, and the folder $OUT, if set, at /out.  All mounts are in a
# namespace of the command's own: nothing is ever mounted where `rm` or anybody else could see it.
# The command keeps this script's process id, so that nsenter(1) can join it.
#
# Root is the simple way.  Anybody else needs user namespaces and /etc/subuid (package uidmap).
set -eu

name=$1
shift
cd "$(dirname "$0")/.."
src=$PWD
trees=$src/.peers/debian-13

release=trixie
[ "$name" != device-12 ] || release=bookworm
case $name in
build)
    include=build-essential,debhelper,dh-python,pybuild-plugin-pyproject,python3-all
    include=$include,python3-hatchling,python3-cryptography,python3-openssl,python3-service-identity
    include=$include,python3-pytest,python3-pytest-xdist,python3-hypothesis,systemd,lintian,mandoc
    include=$include,bash-completion,python3-gpiozero,python3-nmea2,python3-serial
    cache=
    ;;
device | device-12)
    include=systemd-sysv,systemd-timesyncd,udev,dbus,kmod,iproute2,python3,python3-venv
    cache='systemd-timesyncd chrony ntpsec fake-hwclock'
    cache="$cache python3-cryptography python3-openssl python3-service-identity"
    [ "$name" = device ] || cache=
    ;;
*)
    echo "debian-tree: no tree '$name': build, device or device-12" >&2
    exit 2
    ;;
esac

if [ "$(id -u)" -eq 0 ]; then
    enter='unshare --mount'
else
    enter='unshare --mount --map-root-user --map-auto'
fi

need_mmdebstrap() {
    command -v mmdebstrap >/dev/null && return
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "debian-tree: mmdebstrap is missing: sudo apt-get install mmdebstrap uidmap" >&2
        exit 1
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends mmdebstrap
}

# Each one once: who comes meanwhile waits; what this very script made already is there.
make_tree() {
    mkdir -p "$trees"
    exec 9>"$trees/$name.lock"
    flock 9
    stamp="$include $cache"
    if [ "$(cat "$trees/$name.stamp" 2>/dev/null)" != "$stamp" ]; then
        need_mmdebstrap
        address=$(scripts/mirror.sh)
        if [ -z "$address" ]; then
            echo "debian-tree: apt has no mirror of this machine's release" >&2
            exit 1
        fi
        echo "Making a Debian 13 in .peers/debian-13/$name (once; a minute or two)"
        $enter rm -rf "$trees/$name" "$trees/$name.stamp"
        # The folder that is not cleaned is apt's, with the lists and the packages of `cache`.
        mmdebstrap --quiet --variant=minbase --include="$include" --skip=cleanup/apt \
            --aptopt='Apt::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
            --customize-hook="chroot \"\$1\" sh -c '
                apt-get clean
                for each in $cache; do apt-get -qy install --reinstall --download-only \$each; done'" \
            "$release" "$trees/$name" "$address" >"$trees/$name.log" 2>&1 || {
            cat "$trees/$name.log" >&2
            exit 1
        }
        echo "$stamp" >"$trees/$name.stamp"
    fi
    exec 9>&-
}

make_tree >&2
mkdir -p "$trees/mnt"
export src name trees
# shellcheck disable=SC2016 # expanded by the inner shell
exec $enter sh -euc '
    mount -t tmpfs tmpfs "$trees/mnt"
    cd "$trees/mnt"
    mkdir changes work root
    mount -t overlay -o "lowerdir=$trees/$name,upperdir=changes,workdir=work" overlay root
    mount --rbind /proc root/proc
    mount --rbind /sys root/sys
    mount --rbind /dev root/dev
    mount -t tmpfs tmpfs root/run
    mkdir root/src root/run/lock
    mount --bind "$src" root/src
    mount -o remount,bind,ro root/src
    if [ -n "${OUT:-}" ]; then
        mkdir root/out
        mount --bind "$OUT" root/out
    fi
    if [ -n "${PINTS_REAL_DATA:-}" ]; then
        mkdir -p "root$PINTS_REAL_DATA"
        mount --bind "$PINTS_REAL_DATA" "root$PINTS_REAL_DATA"
    fi
    unset src name trees OUT
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8
    exec chroot root sh -c "cd /src && exec \"\$@\"" sh "$@"
' sh "$@"
