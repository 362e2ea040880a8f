#!/bin/sh
# Fetch what emulated boards are made of into .peers/, without installing any.
#
#     .peers/qemu     QEMU 10 of Debian 13, which has I2C on the Pi, what changes device trees, and a
#                     Python that compiles the board's, for which an emulated processor would take
#                     a minute; to be started by the tree's own loader
#     .peers/board    an arm64 Debian 13: kernel, device trees, Python and what the tests need of
#                     it; nothing in it is configured
set -eu

cd "$(dirname "$0")/.."
mkdir -p .peers
top=$PWD/.peers
release=trixie

exec 9>"$top/boards.lock"
flock 9
stamp=$(cat scripts/boards.sh scripts/mirror.sh | cksum)
if [ "$(cat "$top/boards.stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi
command -v mmdebstrap >/dev/null || {
    echo "boards: mmdebstrap is missing: sudo apt-get install mmdebstrap" >&2
    exit 1
}
address=$(scripts/mirror.sh)
if [ -z "$address" ]; then
    echo "boards: apt has no mirror of this machine's release" >&2
    exit 1
fi

# tree FOLDER ARCHITECTURE PACKAGE,...: the packages and all that they need, unpacked.
tree() {
    rm -rf "${top:?}/$1"
    mmdebstrap --quiet --variant=extract --architectures="$2" --include="$3" \
        --aptopt='Apt::Install-Recommends "false"' "$release" "$top/$1" "$address" \
        >"$top/$1.log" 2>&1 || { cat "$top/$1.log" >&2; exit 1; }
}

echo "Fetching an emulator and a board for it into .peers/ (once; some minutes)"
rm -f "$top/boards.stamp"
tree qemu "$(dpkg --print-architecture)" qemu-system-arm,device-tree-compiler,python3
include=base-files,dash,linux-image-arm64,mount,python3,python3-cryptography,python3-hypothesis
tree board arm64 "$include,python3-libgpiod,python3-pytest,python3-serial,python3-smbus2"

loader=$(find "$top/qemu" -name 'ld-linux*.so.*' -type f | head -n 1)
PYTHONHOME=$top/qemu/usr "$loader" --library-path "$(dirname "$loader")" \
    "$top/qemu/usr/bin/python3.13" -m compileall -qq --invalidation-mode unchecked-hash \
    "$top/board/usr/lib/python3.13" "$top/board/usr/lib/python3/dist-packages"
echo "$stamp" >"$top/boards.stamp"
