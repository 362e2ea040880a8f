#!/bin/sh
# Print the address of the Debian mirror that this machine's apt uses for its own release.
#
# apt's own state is neither read nor changed.  Prints nothing where there is no such mirror.
set -eu

# shellcheck source=/dev/null
here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
lists=$(mktemp -d)
trap 'rm -rf "$lists"' EXIT
apt-get -o Dir::State::lists="$lists" -o Dir::Cache="$lists" -o Debug::NoLocking=1 \
    update --print-uris | sed -n "s|^'\(.*\)/dists/$here/InRelease' .*|\1|p" | head -n 1
