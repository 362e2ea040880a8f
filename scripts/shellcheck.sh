#!/bin/sh
# Run shellcheck over every shell script of the tree.
#
# Where shellcheck is missing it is installed when root; otherwise it is left out with one
# line that says so, which is a failure in CI.
set -eu

if ! command -v shellcheck >/dev/null 2>&1; then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends shellcheck
    else
        echo "shellcheck left out; install it: sudo apt-get install shellcheck" >&2
        if [ "${CI:-}" = 1 ]; then exit 1; else exit 0; fi
    fi
fi

find . -path './.?*' -prune -o -type f -name '*.sh' -print | sort | xargs shellcheck .ci/run
