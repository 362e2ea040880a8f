#!/bin/sh
# Build the Debian package: dist/pints_VERSION_all.deb, one for every architecture.
#
#     scripts/deb.sh [FOLDER]         into another folder than dist
#
# Built on Debian 13 itself if all it needs is installed there, and else in a throw-away Debian 13
# (scripts/debian-tree.sh), which makes the same package to the octet.  DEB_VERSION=... builds the
# tree under another version: for tests of upgrades.
set -eu

cd "$(dirname "$0")/.."
mkdir -p "${1:-dist}"
out=$(cd "${1:-dist}" && pwd)

# shellcheck source=/dev/null
here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
if [ "$here" != trixie ] || ! dpkg-checkbuilddeps 2>/dev/null; then
    OUT=$out exec scripts/debian-tree.sh build scripts/deb.sh /out
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Where it is built is written into nothing, but the modes of files are.
umask 022
mkdir "$work/pints"
tar --exclude='./.?*' --exclude=./build --exclude=./dist --exclude=__pycache__ -cf - . |
    tar --no-same-owner --no-same-permissions -C "$work/pints" -xf -
cd "$work/pints"
if [ -n "${DEB_VERSION:-}" ]; then
    sed -i "1s/(.*)/($DEB_VERSION)/" debian/changelog
fi
# Taken from the changelog, whatever the caller has.
unset SOURCE_DATE_EPOCH
dpkg-buildpackage --build=binary --no-sign >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    exit 1
}
for deb in "$work"/*.deb; do
    cp "$deb" "$out/"
    sha256sum "$deb" | sed "s|  .*/|  |"
done
