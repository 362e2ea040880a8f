# shellcheck shell=sh
# Hands the time servers that DHCP named to pints.  Read by dhcpcd-run-hooks(8), in whose shell it
# runs, so nothing of it may stay there: /usr/lib/dhcpcd/dhcpcd-hooks/60-pints
# shellcheck disable=SC2154 # the variables are dhcpcd's
(
    set -f # what the network says is no pattern for file names
    case "$reason" in
    BOUND | RENEW | REBIND | REBOOT | INFORM) protocol=4 servers=${new_ntp_servers:-} ;;
    BOUND6 | RENEW6 | REBIND6 | REBOOT6 | INFORM6)
        protocol=6 servers="${new_dhcp6_sntp_servers:-} ${new_dhcp6_ntp_server_addr:-}"
        ;;
    EXPIRE | NAK | RELEASE | STOP) protocol=4 servers= ;;
    EXPIRE6 | RELEASE6 | STOP6) protocol=6 servers= ;;
    *) exit 0 ;;
    esac
    [ -d /run/pints/sources.d ] || exit 0
    # shellcheck disable=SC2086 # a list of words
    exec /usr/bin/python3 -I -S /usr/lib/python3/dist-packages/pints/dhcp.py \
        "$interface-$protocol" $servers
) || :
