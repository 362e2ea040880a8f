#!/bin/sh
# Make the private virtual environment FOLDER with the interpreter PYTHON and install the
# project into it, editable, with everything its tests need.
#
#     scripts/venv.sh PYTHON FOLDER
#
# What the machine lacks for that is installed when root, else named in one line.
set -eu

python=$1
folder=$2

if ! command -v "$python" >/dev/null 2>&1; then
    echo "$python: not found; install it: sudo apt-get install python3" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$python is older than 3.11; name a newer one: make PYTHON=python3.13 ..." >&2
    exit 1
fi

# Debian splits ensurepip, which a new environment gets its pip from, off the interpreter.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    [ "$python" = python3 ] && package=python3-venv
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$package"
    else
        echo "The venv module is missing; install it: sudo apt-get install $package" >&2
        exit 1
    fi
fi

echo "Setting up $folder (once; some minutes on a small computer)"
"$python" -m venv --clear "$folder"
"$folder/bin/pip" install -qq --disable-pip-version-check --editable '.[test]'
