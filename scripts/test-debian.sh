#!/bin/sh
# Run the tests on what Debian 13 has: its own Python, cryptography, pyOpenSSL and pytest.
#
#     scripts/debian-tree.sh build scripts/test-debian.sh [ARGUMENT FOR PYTEST]...
#
# As an ordinary user, on a tree that is read-only: nothing may depend on more.
set -eu

cd "$(dirname "$0")/.."
# The command of the units, which systemd-analyze looks for.
printf '#!/bin/sh\nPYTHONPATH=%s exec python3 -m pints "$@"\n' "$PWD" >/usr/bin/pints
chmod 755 /usr/bin/pints
export PYTHONPATH="$PWD:$PWD/drivers"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 1777 "$scratch"
export PYTHONPYCACHEPREFIX="$scratch/bytecode" HYPOTHESIS_STORAGE_DIRECTORY="$scratch/examples"
setpriv --reuid=nobody --regid=nogroup --clear-groups \
    python3 -m pytest -p no:cacheprovider -n auto --basetemp="$scratch/pytest" "$@"
