#!/bin/sh
# Fetch the real programs that the tests talk to into .peers/, without installing any.
#
#     .peers/bin/chronyd, chronyc           chrony of the release this machine runs
#     .peers/bin/chronyd-4.6, chronyc-4.6   chrony 4.6 of Debian 13 (AES-128-GCM-SIV)
#     .peers/bin/faketime OFFSET COMMAND    COMMAND with its clock moved: faketime -400d ...
#     .peers/bin/roughly                    a Roughtime server and client, of others' making
#     .peers/bin/linux.uml                  a kernel that runs as a process (User Mode Linux)
#     .peers/modules/VERSION                that kernel's modules
#     .peers/units/*.service                the units of Debian 13's own time services
#
# Needs no root.  Each release's programs live in a tree of their own together with every
# library they need, and are started by that tree's loader: what the machine has does not
# matter.  apt does the work with a private state, so the machine's own is neither read (but
# for the mirror's address) nor changed.
set -eu

cd "$(dirname "$0")/.."
mkdir -p .peers
top=$PWD/.peers

# One at a time; done already, by this very script on this very release, is done.
exec 9>"$top/lock"
flock 9
# shellcheck source=/dev/null
here=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
newer=trixie
stamp="$here $(cksum <scripts/peers.sh)"
if [ "$(cat "$top/stamp" 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

if [ -z "$here" ]; then
    echo "peers: /etc/os-release names no Debian release" >&2
    exit 1
fi
for tool in apt-get dpkg-deb; do
    command -v "$tool" >/dev/null || { echo "peers: this needs Debian's $tool" >&2; exit 1; }
done

cd "$top"
rm -rf stamp bin modules uml work roughtime "./$here" "$newer"
mkdir bin modules uml work
trap 'rm -rf "$top/work"' EXIT

mirror=$("$top/../scripts/mirror.sh")
if [ -z "$mirror" ]; then
    echo "peers: apt has no source for the release '$here' on this machine" >&2
    exit 1
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -e "$keyring" ]; then
    echo "peers: $keyring is missing; install it: sudo apt-get install debian-archive-keyring" >&2
    exit 1
fi

# private_apt SUITE ARGUMENT...: apt-get with a state of its own, as if nothing were installed,
# and without the hooks that the machine's configuration has for its real state.
private_apt() {
    state=$top/work/$1
    if [ ! -d "$state" ]; then
        mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/debs"
        : >"$state/status"
        echo "deb [signed-by=$keyring] $mirror $1 main" >"$state/sources.list"
        cat >"$state/apt.conf" <<EOF
#clear APT::Update;
#clear APT::Architectures;
APT::Architectures { "$(dpkg --print-architecture)"; };
APT::Sandbox::User "root";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
Dir::Etc::sourcelist "$state/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
EOF
    fi
    shift
    apt-get -q -c "$state/apt.conf" "$@"
}

# quietly COMMAND...: what it prints matters only when it fails.
quietly() {
    "$@" >"$top/work/log" 2>&1 || { cat "$top/work/log" >&2; exit 1; }
}

# tree SUITE PACKAGE...: the packages and all the libraries they need, in .peers/SUITE.
tree() {
    suite=$1
    shift
    quietly private_apt "$suite" update
    # What apt would add to an empty machine, less all that is no library.
    libraries=$(private_apt "$suite" -s --no-install-recommends install "$@" |
        awk '$1 == "Inst" && $2 ~ /^lib/ { print $2 }')
    cd "$top/work/$suite/debs"
    # shellcheck disable=SC2046,SC2086 # lists of words
    quietly private_apt "$suite" download $(printf '%s\n' "$@" $libraries | sort -u)
    cd "$top"
    for deb in "work/$suite/debs"/*.deb; do
        dpkg-deb -x "$deb" "$suite"
    done
    rm -rf "./$suite/usr/share"
}

# wrapper NAME SUITE PROGRAM [ARGUMENTS]: .peers/bin/NAME, which starts the tree's PROGRAM.
wrapper() {
    name=$1 suite=$2 program=$3
    loader=$(find "$suite" -type f -name 'ld-linux*.so.*' | head -n 1)
    triplet=$(basename "$(dirname "$loader")")
    cat >"bin/$name" <<EOF
#!/bin/sh
top=\$(CDPATH='' cd -- "\$(dirname -- "\$0")/.." && pwd)
exec "\$top/$loader" \\
    --library-path "\$top/$suite/lib/$triplet:\$top/$suite/usr/lib/$triplet" \\
    "\$top/$suite/usr/$program" ${4:-} "\$@"
EOF
    chmod +x "bin/$name"
}

# A kernel starts itself again by its own path, so no loader may come before it: it makes do
# with this machine's C library.  scripts/uml.py starts it.  Where there is none (it is x86
# only), go without.
kernel() {
    state=$top/work/$here
    (cd "$state/debs" && private_apt "$here" download user-mode-linux) >"$top/work/log" 2>&1 || {
        echo "peers: no user-mode-linux for this machine: no make boot, no bench writes"
        return 0
    }
    dpkg-deb -x "$state/debs"/user-mode-linux_*.deb "$here"
    # What images and drivers may ask for: a hundred megabytes are too much to boot with.
    (cd "$here/usr/lib/uml/modules" && tar -cf - ./*/modules.* ./*/kernel/fs/overlayfs \
        ./*/kernel/drivers/i2c ./*/kernel/drivers/pps) | tar -C modules -xf -
    mv "$here/usr/bin/linux.uml" uml/linux
    rm -rf "./$here/usr/lib/uml" "./$here/usr/share"
    ln -s ../../scripts/uml.py bin/linux.uml
}

# It is on PyPI and wants Python 3.12: where nothing so new is to be found, go without.
roughtime() {
    for python in python3 "$HOME"/.pyenv/versions/3.1[2-9]*/bin/python3 python3.1[2-9]; do
        if "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
            "$python" -m venv roughtime &&
                roughtime/bin/pip install -qq --disable-pip-version-check 'roughly[cli]==0.3.0' &&
                ln -s ../roughtime/bin/roughly bin/roughly && return
        fi
    done
    echo "peers: no Roughtime server but the tests' own: another's wants Python 3.12 and PyPI"
}

# The newer release's units of chrony and systemd-timesyncd, to be measured beside ours.
units() {
    cd "$top/work/$newer/debs"
    quietly private_apt "$newer" download systemd-timesyncd
    cd "$top"
    rm -rf units
    mkdir units work/units
    dpkg-deb -x "work/$newer/debs"/systemd-timesyncd_*.deb work/units
    find "$newer" work/units -name chrony.service -type f -exec cp {} units/ \;
    find work/units -name systemd-timesyncd.service -type f -exec cp {} units/ \;
}

tree "$here" chrony libfaketime
kernel
roughtime
[ "$here" = "$newer" ] || tree "$newer" chrony
units

# chronyd stays the user that starts it, instead of becoming one the machine may lack.
# shellcheck disable=SC2016 # the wrapper expands it
stay='-u "$(id -un)"'
wrapper chronyd "$here" sbin/chronyd "$stay"
wrapper chronyc "$here" bin/chronyc
wrapper chronyd-4.6 "$newer" sbin/chronyd "$stay"
wrapper chronyc-4.6 "$newer" bin/chronyc

cat >bin/faketime <<EOF
#!/bin/sh
top=\$(CDPATH='' cd -- "\$(dirname -- "\$0")/.." && pwd)
export FAKETIME="\$1" FAKETIME_DONT_FAKE_MONOTONIC=1
export LD_PRELOAD="\$top/$(find "$here" -name libfaketimeMT.so.1)"
shift
exec "\$@"
EOF
chmod +x bin/faketime

for program in chronyd chronyd-4.6; do
    version=$("bin/$program" --version)
    case $version in
    *+NTS*) echo "peers: $program: $version" ;;
    *) echo "peers: $program has no NTS: $version" >&2; exit 1 ;;
    esac
done
echo "$stamp" >stamp
