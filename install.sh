#!/bin/sh
# Install pints on a machine that runs systemd, where the Debian package is not used.
#
#     sudo sh install.sh                   install, or upgrade what is installed
#     sudo sh install.sh --uninstall       take it back; state and configuration stay
#     sudo sh install.sh --purge           take these back, too
#
#     --dry-run            show every step and do none (needs no root)
#     --root DIR           install into the tree DIR, to become an image: nothing is started
#     --wheels DIR         take Python packages from this folder, not from the network
#     --debian-packages    take cryptography and its kin from Debian's packages (13 or newer)
#
# Everything lies in /opt/pints, but for what must lie elsewhere; /opt/pints/manifest names that.
#
#     a, b         one of them is the private virtual environment; an upgrade builds the other
#     current      link to the one in use; bin, lib and pyvenv.cfg lead through it
#     share        drop-ins of the service that a user may want
#     manifest     files and folders made outside, in that order; written before they are made
#     stopped      time services that were switched off, and what they were before
#
# Whatever interrupts this, running it again goes on from there, and --uninstall works.
set -eu
umask 022

opt=/opt/pints
python=/usr/bin/python3
# The real names come before their aliases, which are gone with them.
others="systemd-timesyncd chrony ntpsec ntpd-rs openntpd ntp chronyd ntpd"

action=install root=${DESTDIR:-} wheels='' dry='' debian=''
log='' handing_over='' said='' placed='
'

die() { # PROBLEM [WHAT MENDS IT]
    said=yes
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
    *) die "what is '$1'?" "sh install.sh --help" ;;
    esac
    shift
done
case $root in
'' | /*) root=${root%/} ;;
*) die "DESTDIR must be an absolute path, not $root" ;;
esac
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# --- saying and doing -------------------------------------------------------------------------

step() { echo "pints: $*"; }

# run COMMAND...: or, in a dry run, show it.
run() {
    if [ -z "$dry" ]; then
        "$@"
        return
    fi
    if [ "$1" = within ]; then
        shift
        set -- ${root:+chroot "$root"} "$@"
    fi
    echo "    $*"
}

# within COMMAND...: in the tree, where there is one.  (Without /proc there, systemctl warns.)
within() {
    if [ "$root" ]; then
        SYSTEMD_OFFLINE=1 SYSTEMD_LOG_LEVEL=err chroot "$root" "$@"
    else
        "$@"
    fi
}

# live COMMAND...: only where there is a running system to act on.
live() { if [ -z "$root" ]; then run "$@"; fi; }

# listed LINE FILE: whether the list has it.
listed() { grep -qxF -e "$1" "$root$opt/$2" 2>/dev/null; }

# record LINE: in the manifest, before it is made, so that it can always be taken back.
record() {
    if [ -z "$dry" ] && ! listed "$1" manifest; then
        echo "$1" >>"$root$opt/manifest"
    fi
}

folder() { # PATH: make it, and remember each part that was not there
    [ -d "$root$1" ] && return
    folder "$(dirname "$1")"
    record "folder $1"
    run mkdir "$root$1"
}

# What lies in our own folder needs no record: it goes as a whole.
ours() {
    case $1 in
    "$opt"/*) ;;
    *)
        if [ -e "$root$1" ] || [ -L "$root$1" ]; then
            listed "file $1" manifest || die "$root$1 is there already and not from here" \
                "move it away and run this again"
        fi
        folder "$(dirname "$1")"
        record "file $1"
        placed="$placed$1
"
        ;;
    esac
}

# put SOURCE PLACE [MODE]: one of our files, with the Debian package's paths made our own.
put() {
    ours "$2"
    if [ "$dry" ]; then
        echo "    put $1 at $root$2"
        return
    fi
    mkdir -p "$(dirname "$root$2")"
    sed -e "s|/usr/lib/python3/dist-packages|$opt/lib/python3/site-packages|g" \
        -e "s|/usr/bin/pints|$opt/bin/pints|g" \
        -e "s|/usr/share/pints|$opt/share|g" \
        -e "s|/usr/share/doc/pints|$opt/share/doc|g" "$1" >"$root$2.new"
    chmod "${3:-644}" "$root$2.new"
    mv -f "$root$2.new" "$root$2"
}

# link TARGET PLACE: old link or new, at every instant.
link() {
    run ln -sfn "$1" "$root$2.new"
    run mv -fT "$root$2.new" "$root$2"
}

finish() {
    status=$?
    [ -z "$log" ] || rm -f "$log"
    if [ "$handing_over" ]; then
        handing_over=''
        bring_back || :
    fi
    if [ $status -ne 0 ] && [ -z "$said" ]; then
        echo "install.sh: stopped half-way; run it again, or: sudo sh install.sh --uninstall" >&2
    fi
    exit $status
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- what the machine must have ---------------------------------------------------------------

look_around() {
    grep -q '^name = "pints-time"' "$here/pyproject.toml" 2>/dev/null ||
        die "$here is no clone of pints" "run this where it lies in one"
    [ "$dry" ] || [ "$(id -u)" -eq 0 ] || die "this needs root" "sudo sh install.sh"
    if [ "$root" ]; then
        [ -e "$root/usr/lib/systemd/systemd" ] || [ -e "$root/lib/systemd/systemd" ] ||
            die "there is no systemd in $root" "is it the root of a system?"
        [ "$(id -u)" -eq 0 ] || die "looking into $root needs root" "sudo sh install.sh"
    else
        [ -d /run/systemd/system ] ||
            die "this machine does not run systemd" "for the tree of an image: --root DIR"
    fi
    mkdir_opt
    # Two at a time would take each other's files away.
    exec 9<"$root/opt"
    flock -n 9 || die "another install.sh is at work" "wait for it"
}

mkdir_opt() {
    [ -d "$root/opt" ] || run mkdir -p "$root/opt"
    [ -d "$root/opt" ] || die "there is no folder $root/opt" "make it"
}

look_for_python() {
    if [ -e "$root/usr/lib/systemd/system/pints.service" ]; then
        die "pints is installed as a Debian package" "upgrade that, or: sudo apt remove pints"
    fi
    [ -e "$root$python" ] || die "there is no $python" "sudo apt install python3 python3-venv"
    within $python -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$python is older than 3.11" "Debian 12 and Raspberry Pi OS of 2023 have it"
    within $python -c 'import ensurepip, venv' 2>/dev/null ||
        die "Python's venv module is missing" "sudo apt install python3-venv"
    # There is no ready-made cryptography for the processor of a Pi 1 or Zero, but where the
    # Raspberry Pi's own package index is asked.
    if [ "$(within uname -m)" = armv6l ] && [ -z "$debian$wheels" ] &&
        ! grep -qs piwheels "$root/etc/pip.conf"; then
        debian=yes
    fi
    if [ "$debian" ]; then
        within $python -c 'import sys, OpenSSL, cryptography, service_identity
sys.exit(int(cryptography.__version__.split(".")[0]) < 43)' 2>/dev/null ||
            die "Debian's cryptography is missing here, or older than 43" \
                "on Debian 13: sudo apt install python3-openssl python3-service-identity"
    fi
}

# --- the private environment ------------------------------------------------------------------

# Build the environment that is not in use; `new` is its name.
build() {
    old=$(readlink "$root$opt/current" 2>/dev/null) || old=''
    new=a
    [ "$old" = a ] && new=b
    if [ -d "$root$opt/$new" ]; then
        step "removing what an interrupted run left"
    fi
    run rm -rf "$root$opt/$new" "$root$opt/source"
    [ -d "$root$opt" ] || run mkdir "$root$opt"

    step "building it in $opt/$new (some minutes on a small computer)"
    # A copy: pip runs as root, and the clone may be anybody's; a tree cannot look out, besides.
    if [ "$dry" ]; then
        echo "    copy $here to $root$opt/source"
    else
        mkdir -p "$root$opt/source/tmp"
        (cd "$here" && tar -c --exclude=__pycache__ --owner=0 --group=0 \
            pyproject.toml hatch_build.py LICENSE pints drivers) | tar -x -C "$root$opt/source"
        [ -z "$wheels" ] || cp -r "$wheels" "$root$opt/source/wheels"
        log=$(mktemp)
    fi
    # What is interrupted leaves nothing in /tmp.  (pip hands its variables on to the pip that it
    # starts for the build, not its options.)
    set -- env TMPDIR=$opt/source/tmp PIP_RETRIES=2
    run within "$@" $python -m venv ${debian:+--system-site-packages} "$opt/$new"
    # The units' way to the code, whichever Python it is.
    for lib in "$root$opt/$new"/lib/python3.*; do
        run ln -s "$(basename "$lib")" "$root$opt/$new/lib/python3"
    done
    set -- "$@" "$opt/$new/bin/python" -m pip install --no-input --disable-pip-version-check
    # Compiling cryptography takes a Pi hours, a compiler and more memory than it has.
    set -- "$@" --no-cache-dir --only-binary :all:
    [ -z "$wheels" ] || set -- "$@" --no-index --find-links "$opt/source/wheels"
    if [ "$dry" ]; then
        run within "$@" "$opt/source"
    else
        within "$@" "$opt/source" >"$log" 2>&1 || pip_failed
        within "$opt/$new/bin/pints" --version >"$log" 2>&1 ||
            die "the program does not start: $(tail -n 1 "$log")"
        if [ -e "$root/etc/pints/pints.toml" ]; then
            within "$opt/$new/bin/pints" check-config >"$log" 2>&1 ||
                die "$(head -n 1 "$log")" "mend it, and run this again"
        fi
    fi
    run rm -rf "$root$opt/source"
}

pip_failed() {
    why=$(sed -n 's/^ *ERROR: //p' "$log" | head -n 1)
    if grep -q -e 'certificate is not yet valid' -e 'certificate has expired' "$log"; then
        die "pip cannot reach its index: to this machine it is $(date -u '+%Y-%m-%d %H:%M') UTC" \
            "if that is wrong: sudo date -s 'YYYY-MM-DD HH:MM', and run this again"
    elif grep -q -e 'NewConnectionError' -e 'ConnectTimeout' -e 'ReadTimeout' \
        -e 'name resolution' -e 'Name or service not known' -e 'unreachable' \
        -e 'ProxyError' -e 'SSLError' "$log"; then
        die "pip cannot reach its index" "is there a network? without one: --wheels DIR"
    elif grep -q 'No space left' "$log"; then
        die "the card is full" "100 MB must be free in /opt"
    elif grep -q -e 'No matching distribution' -e 'Could not find a version' "$log"; then
        die "no ready-made package for this machine ($(within uname -m)): $why" \
            "with Debian 13 or newer: --debian-packages"
    fi
    die "pip failed: ${why:-$(tail -n 1 "$log")}"
}

# --- what lies outside ------------------------------------------------------------------------

files() {
    step "unit files, user, rules"
    cd "$here/systemd"
    for file in *.service *.path; do
        put "$file" "/etc/systemd/system/$file"
    done
    for file in pints.service.d/*.conf; do
        put "$file" "$opt/share/$file"
    done
    run mkdir -p "$root$opt/share/doc"
    run cp ../docs/*.md "$root$opt/share/doc" # as they are: they tell of both places
    for file in sysusers.d/* tmpfiles.d/*; do
        put "$file" "/etc/$file"
    done
    for file in udev/*; do
        put "$file" "/etc/udev/rules.d/${file#udev/}"
    done
    for file in ntp-units.d/*; do
        put "$file" "/etc/systemd/$file"
    done
    for file in preset/*; do
        put "$file" "/etc/systemd/system-preset/${file#preset/}"
    done
    # For the DHCP clients that are there.
    hook dhclient.sh /etc/dhcp/dhclient-exit-hooks.d/pints
    hook dhcpcd.sh /usr/lib/dhcpcd/dhcpcd-hooks/60-pints
    hook networkmanager.sh /etc/NetworkManager/dispatcher.d/50-pints 755
    if [ ! -e "$root/etc/pints/pints.toml" ]; then
        # No record of it: what an administrator may have changed is taken back by --purge only.
        run mkdir -p "$root/etc/pints/conf.d"
        run install -m 0644 "$here/etc/pints.toml" "$root/etc/pints/pints.toml"
    fi
    ours /usr/local/bin/pints
    link $opt/bin/pints /usr/local/bin/pints
    leftovers

    for name in i2c gpio dialout; do
        within getent group $name >/dev/null || record "group $name"
    done
    if within sh -c 'command -v systemd-sysusers' >/dev/null; then
        run within systemd-sysusers /etc/sysusers.d/pints.conf
    elif ! within id pints >/dev/null 2>&1; then # no groups: they are for devices
        run within useradd --system --user-group --no-create-home --home-dir /var/lib/pints \
            --shell /usr/sbin/nologin pints
    fi
    # systemd makes it at the start, unless the root is read-only: then the start would fail.
    run within install -d -m 700 -o pints -g pints /var/lib/pints
    live systemd-tmpfiles --create /etc/tmpfiles.d/pints.conf
    reload_udev
    live udevadm trigger --subsystem-match=rtc --subsystem-match=pps 2>/dev/null || :
}

hook() {
    if [ -d "$root$(dirname "$2")" ]; then put "hooks/$1" "$2" "${3:-644}"; fi
}

# What the version before had and this one has not.
leftovers() {
    [ -e "$root$opt/manifest" ] || return 0
    sed -n 's/^file //p' "$root$opt/manifest" | while read -r path; do
        case $placed in
        *"
$path
"*) ;;
        *) run rm -f "$root$path" ;;
        esac
    done
}

reload_udev() { # which is not there in a container
    live udevadm control --reload 2>/dev/null || :
}

units() { # those of the manifest
    sed -n 's|^file /etc/systemd/system/\([^/]*\)$|\1|p' "$root$opt/manifest" 2>/dev/null || :
}

switch() {
    link "$new" $opt/current
    link current/bin $opt/bin
    link current/lib $opt/lib
    link current/pyvenv.cfg $opt/pyvenv.cfg # or bin/python would not know its libraries
    live systemctl daemon-reload
}

# --- one time service at a time ---------------------------------------------------------------

# Put the others away, start pints.  If it does not start, they come back.
hand_over() {
    [ "$root" ] || handing_over=${dry:-yes}
    [ -z "$dry" ] || handing_over=''
    # Before the others are switched off: after a power cut here the units' Conflicts= decide.
    run within systemctl --quiet enable pints.service
    for name in $others; do
        put_away "$name.service"
    done
    [ "$root" ] || step "starting pints"
    if [ -z "$root" ] && ! { run systemctl restart pints.service && runs; }; then
        start_failed
    fi
    handing_over=''
}

# A unit that is skipped, as where nobody may set the clock, was started successfully, too.
runs() { run systemctl --quiet is-active pints.service; }

put_away() {
    unit=$1
    enabled=$(within systemctl is-enabled "$unit" 2>/dev/null) || :
    active=''
    if [ -z "$root" ]; then active=$(systemctl is-active "$unit" 2>/dev/null) || :; fi
    [ "$enabled" = enabled ] || enabled=-
    [ "$active" = active ] || active=-
    [ "$enabled$active" = -- ] && return
    step "switching off $unit (--uninstall switches it on again)"
    if [ -z "$dry" ] && ! grep -qs "^$unit " "$root$opt/stopped"; then
        echo "$unit $enabled $active" >>"$root$opt/stopped"
    fi
    [ "$enabled" = - ] || run within systemctl --quiet disable "$unit"
    live systemctl stop "$unit"
}

start_failed() {
    if [ "$old" ]; then
        step "it does not start: back to the version before"
        link "$old" $opt/current
        { systemctl restart pints.service && runs; } ||
            die "pints does not start, the version before neither" "journalctl -u pints"
        handing_over=''
        die "the new version does not start, the old one runs again" "journalctl -u pints"
    fi
    systemctl --quiet disable --now pints.service || :
    bring_back
    handing_over=''
    die "pints does not start" "why: journalctl -u pints; take it back: --uninstall"
}

# What was switched off is what it was before.
bring_back() {
    [ -e "$root$opt/stopped" ] || return 0
    while read -r unit enabled active; do
        step "switching on $unit again"
        [ "$enabled" != enabled ] || run within systemctl --quiet enable "$unit" || :
        [ "$active" != active ] || live systemctl start "$unit" || :
    done <"$root$opt/stopped"
    run rm -f "$root$opt/stopped"
}

# --- taking it back ---------------------------------------------------------------------------

take_back() {
    if [ ! -d "$root$opt" ]; then
        step "nothing is installed in $root$opt"
        return
    fi
    # shellcheck disable=SC2046 # a list of names
    set -- $(units)
    if [ $# -gt 0 ]; then
        step "stopping pints"
        live systemctl stop "$@"
        run within systemctl --quiet disable "$@"
    fi
    step "removing it"
    # Drop-ins that somebody linked in from here would lead nowhere.
    for file in "$root"/etc/systemd/system/pints*.service.d/*; do
        case $(readlink "$file") in "$opt"/*) run rm -f "$file" ;; esac
    done
    for file in "$root"/etc/systemd/system/pints*.service.d; do
        [ ! -d "$file" ] || run rmdir --ignore-fail-on-non-empty "$file"
    done
    # The last made first, so that a folder is empty when it is its turn.
    if [ -e "$root$opt/manifest" ]; then
        sed '1!G;h;$!d' "$root$opt/manifest" | while read -r kind path; do
            case $kind in
            file) run rm -f "$root$path" "$root$path.new" ;;
            group) ! within getent group "$path" >/dev/null || run within groupdel "$path" ;;
            folder) [ ! -d "$root$path" ] || run rmdir --ignore-fail-on-non-empty "$root$path" ;;
            esac
        done
    fi
    live systemctl daemon-reload
    reload_udev
    bring_back
    run rm -rf "$root$opt"
}

purge() {
    step "removing state, configuration and user"
    run rm -rf "$root/var/lib/pints" "$root/etc/pints"
    [ "$root" ] || run rm -rf /run/pints
    # The folder of systemd's saved clock is the machine's; the daemon had kept it fresh.
    if [ "$(within stat -c %U /var/lib/systemd/timesync 2>/dev/null)" = pints ]; then
        run within chown -R --no-dereference root:root /var/lib/systemd/timesync
    fi
    if within id pints >/dev/null 2>&1; then
        # It complains where somebody else is in the group, which goes next.
        run within userdel pints 2>/dev/null ||
            die "cannot remove user pints" "does a process of it run? ps -u pints"
    fi
    if within getent group pints >/dev/null; then
        run within groupdel pints
    fi
}

# --- from the top -----------------------------------------------------------------------------

look_around
case $action in
install)
    look_for_python
    build
    files
    switch
    hand_over
    if [ "$old" ]; then
        run rm -rf "$root${opt:?}/$old"
    fi
    if [ "$dry" ]; then
        step "nothing was done (--dry-run)"
    elif [ "$root" ]; then
        step "installed in $root; it starts when that boots"
    else
        step "$($opt/bin/pints --version) runs; ask it: sudo pints status"
    fi
    ;;
uninstall | purge)
    take_back
    if [ $action = purge ]; then
        purge
    elif [ -d "$root/var/lib/pints" ] || [ -d "$root/etc/pints" ]; then
        step "/etc/pints and /var/lib/pints are kept; without them: sudo sh install.sh --purge"
    fi
    [ -z "$dry" ] || step "nothing was done (--dry-run)"
    ;;
esac
