"""Installed over another time service, upgraded, removed, purged."""

import email.utils
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.package.conftest import CHANGELOG, DEB, DEPENDENCIES, NEXT_DEB, VERSION, put_out
from tests.package.machine import Still

With = Callable[[str], Still]
OURS = {"pints.service", "pints-restore.service", "pints-wait.service"}
RIVALS = {"systemd-timesyncd", "chrony", "ntpsec", "fake-hwclock"}
SAVED = "/var/lib/pints/time"


def daemons(machine: Still) -> set[str]:
    """Packages that keep the time, of those that are installed."""
    return {name for name in RIVALS | {"pints"} if machine.installed(name)}


def rivals_enabled(machine: Still) -> set[str]:
    return {unit for unit in machine.enabled() if unit.split(".")[0] in RIVALS | {"chronyd"}}


# --- over another -----------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["systemd-timesyncd", "chrony", "ntpsec"])
def test_installed_over_another(machine: Still, other: str) -> None:
    if not machine.installed(other):
        machine.apt("install", other)
    assert daemons(machine) == {other}
    assert rivals_enabled(machine)
    machine.told()

    machine.apt("install", DEB)
    assert daemons(machine) == {"pints"}
    assert machine.enabled() >= OURS
    assert not rivals_enabled(machine)
    told = machine.told()
    stops = [n for n, words in enumerate(told) if words.startswith("stop")]
    starts = [n for n, words in enumerate(told) if words.split()[0] in ("start", "restart")]
    assert [told[n].split()[-1] for n in starts] == ["pints.service"]
    assert stops, told
    assert max(stops) < starts[0], "never two at once"


def test_fake_hwclock_goes_and_its_time_stays(machine: Still) -> None:
    machine.run("mkdir -p /var/lib/systemd/timesync; touch /var/lib/systemd/timesync/clock")
    machine.apt("install", "fake-hwclock")
    kept = machine.run("cat /etc/fake-hwclock.data")
    machine.apt("install", DEB)
    assert daemons(machine) == {"pints"}
    assert machine.run("cat /etc/fake-hwclock.data") == kept
    machine.run("test -e /var/lib/systemd/timesync/clock")


def test_one_run_of_apt_takes_one_and_brings_the_other(machine: Still) -> None:
    """apt removes first, whatever a package says; all that it has fetched is there by then."""
    plan = machine.apt("--simulate", "install", DEB)
    assert "Remv systemd-timesyncd" in plan
    assert "Conf pints" in plan
    machine.apt("install", DEB)
    log = machine.dpkg_log()
    assert log.index(("remove", "systemd-timesyncd")) < log.index(("installed", "pints"))


def test_between_the_two_there_is_nothing_else(machine_with: With) -> None:
    """With what it needs installed before: the old one goes, the next thing is the new one."""
    machine = machine_with(DEPENDENCIES)
    machine.apt("install", DEB)
    log = machine.dpkg_log()
    gone = log.index(("remove", "systemd-timesyncd"))
    here = log.index(("installed", "pints"))
    assert {name for _, name in log[gone:here]} == {"systemd-timesyncd", "pints"}


def test_dpkg_alone_refuses_a_second_daemon(machine_with: With) -> None:
    machine = machine_with(DEPENDENCIES)
    machine.run(f"! dpkg --install {DEB} 2>/dev/null")
    assert daemons(machine) == {"systemd-timesyncd"}


def test_another_takes_over_from_it(machine_with: With) -> None:
    """Nobody is locked in, and the state is there for the way back."""
    machine = machine_with(DEB)
    machine.run(f"echo saved >{SAVED}")
    machine.told()
    machine.apt("install", "systemd-timesyncd")
    assert daemons(machine) == {"systemd-timesyncd"}
    assert not machine.enabled() & OURS
    told = machine.told()
    stop = next(n for n, words in enumerate(told) if words.startswith("stop"))
    start = next(n for n, words in enumerate(told) if "systemd-timesyncd.service" in words)
    assert "pints.service" in told[stop].split()
    assert stop < start
    assert machine.run(f"cat {SAVED}") == "saved\n"


# --- what is there then -----------------------------------------------------------------------


def test_it_works_as_it_is(machine_with: With) -> None:
    machine = machine_with(DEB)
    assert "/etc/pints/pints.toml: good" in machine.run("pints check-config")
    assert "witnesses  5, of which 3 must agree" in machine.run("pints check-config")
    machine.run("pints restore --dry-run")
    machine.run("/usr/bin/python3 -I -S /usr/lib/python3/dist-packages/pints/restore.py --dry-run")
    assert machine.run("pints --version").split() == ["pints", VERSION]
    mode = machine.run("stat -c '%U:%G %a' /var/lib/pints /run/pints /run/pints/sources.d")
    assert mode.splitlines() == ["pints:pints 700", "pints:pints 755", "pints:pints 755"]
    assert machine.run("getent passwd pints").strip().endswith(":/usr/sbin/nologin")
    # What a unit runs is there.
    for line in machine.run("grep -hE '^Exec' /usr/lib/systemd/system/pints*").splitlines():
        for word in line.partition("=")[2].split():
            if word.startswith("/usr"):
                machine.run(f"test -e {word}")


def test_the_build_epoch_is_the_changelogs(machine_with: With) -> None:
    machine = machine_with(DEB)
    said = machine.run("cat /usr/lib/python3/dist-packages/pints/BUILD_EPOCH")
    dated = re.findall(r"^ -- .*>  (.*)$", CHANGELOG, re.M)[0]
    assert int(said) == email.utils.parsedate_to_datetime(dated).timestamp()


# --- upgrade ----------------------------------------------------------------------------------


def test_an_upgrade_keeps_all_and_restarts_the_daemon_alone(
    machine_with: With, next_package: Path
) -> None:
    machine = machine_with(DEB)
    put_out(next_package, machine.tree)
    machine.run(
        f"echo saved >{SAVED}; echo belief >/run/pints/belief\n"
        "echo '[state]' >/etc/pints/conf.d/mine.toml\n"
        "echo '# changed here' >>/etc/pints/pints.toml"
    )
    accounts, enabled = machine.accounts(), machine.enabled()
    machine.told()

    machine.apt("install", NEXT_DEB)
    told = machine.told()
    assert told == ["restart pints.service"], "time-sync.target stays reached, trust stays"
    assert machine.run(f"cat {SAVED} /run/pints/belief") == "saved\nbelief\n"
    assert "# changed here" in machine.run("cat /etc/pints/pints.toml")
    machine.run("test -e /etc/pints/conf.d/mine.toml")
    assert (machine.accounts(), machine.enabled()) == (accounts, enabled)


def test_an_upgrade_does_not_enable_what_was_disabled(
    machine_with: With, next_package: Path
) -> None:
    machine = machine_with(DEB)
    put_out(next_package, machine.tree)
    machine.run("systemctl disable pints.service")
    before = machine.enabled()
    assert not before & {"pints.service", "pints-wait.service"}, "they go together"
    machine.apt("install", NEXT_DEB)
    assert machine.enabled() == before


# --- remove and purge -------------------------------------------------------------------------


def test_removed_it_leaves_state_and_configuration(machine_with: With) -> None:
    machine = machine_with(DEB)
    machine.run(f"echo saved >{SAVED}")
    before = machine.run("cat /etc/pints/pints.toml")
    machine.told()
    machine.apt("remove", "pints")
    told = machine.told()
    assert set(told[0].split()[1:]) >= {"pints.service", "pints-wait.path", "pints-ke.service"}
    assert machine.run(f"cat {SAVED}") == "saved\n"
    assert machine.run("cat /etc/pints/pints.toml") == before
    assert not [
        path for path in machine.files() if path.startswith("/usr/lib/python3/dist-packages/pints")
    ]
    # And back again: enabled as before.
    machine.apt("install", DEB)
    assert machine.enabled() >= OURS
    assert machine.run(f"cat {SAVED}") == "saved\n"


def test_purged_it_leaves_nothing(machine_with: With, next_package: Path) -> None:
    machine = machine_with(DEPENDENCIES)
    put_out(next_package, machine.tree)
    # Groups of devices, which others use, too, stay when they have been made.
    machine.run("groupadd -f -r i2c; groupadd -f -r gpio")
    machine.apt("remove", "systemd-timesyncd")
    files, accounts, enabled = machine.files(), machine.accounts(), machine.enabled()

    machine.apt("install", DEB)
    machine.run(
        f"""
        mkdir -p /etc/systemd/system/pints.service.d /var/lib/pints/sessions
        ln -s /usr/share/pints/pints.service.d/serve.conf /etc/systemd/system/pints.service.d/
        echo '[state]' >/etc/pints/conf.d/mine.toml
        echo saved >{SAVED}; echo keys >/var/lib/pints/sessions/0.json
        pints check-config; pints --help
        """
    )
    machine.apt("install", NEXT_DEB)
    machine.apt("purge", "pints")
    assert machine.files() - files == set()
    assert files - machine.files() == set()
    assert machine.accounts() == accounts
    assert machine.enabled() == enabled


def test_purged_it_hands_back_what_is_the_machines(machine_with: With) -> None:
    """systemd's own saved clock, and drop-ins that are the administrator's own files."""
    machine = machine_with(DEB)
    machine.run(
        """
        mkdir -p /etc/systemd/system/pints.service.d /var/lib/systemd/timesync
        echo '[Service]' >/etc/systemd/system/pints.service.d/mine.conf
        ln -s /usr/share/pints/pints.service.d/rtc.conf /etc/systemd/system/pints.service.d/
        touch /var/lib/systemd/timesync/clock
        chown -R pints:pints /var/lib/systemd/timesync
        """
    )
    machine.apt("purge", "pints")
    assert machine.run("ls /etc/systemd/system/pints.service.d") == "mine.conf\n"
    owners = machine.run("stat -c %U:%G /var/lib/systemd/timesync /var/lib/systemd/timesync/clock")
    assert owners == "root:root\nroot:root\n"
