#!/bin/sh
# Run the tests on what Debian 13 has: its own Python, cryptography, pyOpenSSL and pytest.
#
#     scripts/debian-tree.sh build scripts/test-debian.sh           what depends on any of these
#     scripts/debian-tree.sh build scripts/test-debian.sh tests     all
#     scripts/debian-tree.sh build scripts/test-debian.sh ARGUMENT FOR PYTEST...
#
# As an ordinary user, on a tree that is read-only: nothing may depend on more.
set -eu

cd "$(dirname "$0")/.."

# Without arguments: all but the simulated worlds.  They are four fifths of all tests' time, and
# values and arithmetic, which `make test-all` has gone through.  Of them one honest boot of each kind, and
# the scenarios with real certificates and real signatures.
if [ $# -eq 0 ]; then
    set -- tests/test_*.py
    for folder in tests/[!_]*/; do
        case $folder in
        tests/boot/ | tests/kernel/ | tests/package/) ;; # have targets of their own
        tests/world/)
            set -- "$@" \
                tests/world/test_chains.py \
                tests/world/test_roughtime.py \
                tests/world/test_network.py::test_real_certificates_of_six_days \
                tests/world/test_honest.py::test_wakes_in_1970_and_nothing_is_saved \
                tests/world/test_honest.py::test_saved_time_however_old \
                tests/world/test_honest.py::test_warm_boot_takes_one_round_trip \
                tests/world/test_honest.py::test_cold_boot_takes_five_round_trips_at_most \
                tests/world/test_clocks.py::test_good_rtc_restores_at_once_and_proves_nothing \
                tests/world/test_clocks.py::test_gps_only \
                tests/world/test_pulses.py::test_pulses_keep_the_clock_to_a_microsecond
            ;;
        *) set -- "$@" "$folder" ;;
        esac
    done
fi

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
