#!/bin/sh
# Install pints on a machine that runs systemd, where the Debian package is not used.
#
#     sudo sh install.sh                   install, or upgrade what is installed
#     sudo sh install.sh --uninstall       remove it; state and configuration stay
#     sudo sh install.sh --purge           remove state and configuration as well
#
#     --dry-run            show every step and do none (needs no root)
#     --root DIR           install into the tree DIR, to become an image: nothing is started
#     --wheels DIR         take Python packages from this folder, not from the network
#     --debian-packages    take cryptography and what it needs from Debian's packages (13 or newer)
#
# Whatever interrupts this, running it again goes on from there, and --uninstall works: from the
# clone, or by the copy of this script in /opt/pints.
#
# Only what needs no Python is done here.  The steps are in installer/.
set -eu
umask 022

python=/usr/bin/python3
action=install root=${DESTDIR:-} wheels='' dry='' debian='' copied=''

die() { # PROBLEM [REMEDY]
    echo "install.sh: $1${2:+; $2}" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case $1 in
    --uninstall) [ "$action" = purge ] || action=uninstall ;;
    --purge) action=purge ;;
    --dry-run) dry=yes ;;
    --debian-packages) debian=yes ;;
    --root | --wheels)
        [ $# -gt 1 ] || die "$1 needs a folder"
        [ -d "$2" ] || die "$1: there is no folder $2"
        folder=$(CDPATH='' cd -- "$2" && pwd)
        [ "$1" = --root ] && root=$folder || wheels=$folder
        shift
        ;;
    -h | --help)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    *) die "unknown option '$1'" "sh install.sh --help" ;;
    esac
    shift
done
case $root in
'' | /*) root=${root%/} ;;
*) die "DESTDIR must be an absolute path, not $root" ;;
esac

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
needed=installer
[ $action != install ] ||
    needed="installer install.sh pyproject.toml hatch_build.py LICENSE pints drivers docs etc systemd debian"
for name in $needed; do
    [ -e "$here/$name" ] || die "$here is no clone of pints" "run the install.sh of a clone"
done
[ "$dry" ] && [ -z "$root" ] || [ "$(id -u)" -eq 0 ] || die "this needs root" "sudo sh install.sh"
if [ "$root" ]; then
    [ -e "$root/usr/lib/systemd/systemd" ] || [ -e "$root/lib/systemd/systemd" ] ||
        die "there is no systemd in $root" "is it the root of a system?"
else
    [ -d /run/systemd/system ] ||
        die "this machine does not run systemd" "for the tree of an image: --root DIR"
fi
[ -e "$root$python" ] || die "there is no $python" "sudo apt install python3 python3-venv"
${root:+chroot "$root"} $python -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$python is older than 3.11" "Debian 12 and Raspberry Pi OS of 2023 have it"

# Two at a time would remove each other's files.  The lock lasts as long as the steps do.
if [ -z "$dry" ]; then
    mkdir -p "$root/opt"
    exec 9<"$root/opt"
    flock -n 9 || die "another install.sh is at work" "wait for it"
fi

# Root works on a copy: a clone may be anybody's, and programs in a tree see nothing outside it.
if [ "$action$dry" = install ]; then
    source=/opt/pints/source copied=copied
    rm -rf "$root$source"
    mkdir -p "$root$source"
elif [ "$root" ]; then
    source=$(mktemp -d "$root/tmp/pints.XXXXXX") copied=copied
    source=${source#"$root"}
else
    source=$here
fi
if [ "$copied" ]; then
    trap 'rm -rf "$root$source"' EXIT
    # shellcheck disable=SC2086 # a list of names
    tar -C "$here" -c --exclude=__pycache__ $needed |
        tar -x -C "$root$source" --no-same-owner --no-same-permissions
    [ -z "$wheels" ] || [ "$dry" ] || cp -r "$wheels" "$root$source/wheels"
fi
exec ${root:+chroot "$root"} env -C "$source" $python -EsB -X utf8 -m installer $action \
    ${root:+tree} ${dry:+dry} ${debian:+debian} ${wheels:+wheels} $copied
