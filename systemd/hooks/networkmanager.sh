#!/bin/sh
# Hands the time servers that DHCP named to pints.  For NetworkManager-dispatcher(8):
# /usr/lib/NetworkManager/dispatcher.d/50-pints, with interface and event as arguments.
set -euf # -f: what the network says is no pattern for file names

case "${2:-}" in
up | dhcp4-change | dhcp6-change) servers="${DHCP4_NTP_SERVERS:-} ${DHCP6_DHCP6_NTP_SERVERS:-}" ;;
down) servers= ;;
*) exit 0 ;;
esac
[ -d /run/pints/sources.d ] || exit 0
# shellcheck disable=SC2086 # a list of words
exec /usr/bin/python3 -I -S /usr/lib/python3/dist-packages/pints/dhcp.py "$1" $servers
