"""The unit files: right by systemd's own word, exposed no more than promised, and ordered as
docs/boot.md says."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pints.config.tables import StateConfig
from pints_drivers.kernel_led import LEDS
from tests.conftest import absent
from tests.systemd.exposure import PEERS, exposure
from tests.systemd.units import (
    DRIVERS,
    DROP_INS,
    PACKAGES,
    SERVICES,
    SYSTEMD,
    UNITS,
    analyze,
    install,
    lines,
    settings,
    words,
)

ALL = sorted(path for path in SYSTEMD.rglob("*") if path.is_file())
HANDFUL = 5
"""At least so many units and drop-ins are found: a test over nothing proves nothing."""


@pytest.fixture(autouse=True)
def _systemd() -> None:
    if shutil.which("systemd-analyze") is None:
        absent("systemd-analyze is missing: apt-get install systemd")


@pytest.mark.parametrize("drop_ins", [(), DROP_INS])
def test_systemd_finds_no_fault(tmp_path: Path, drop_ins: tuple[str, ...]) -> None:
    folder = install(tmp_path / "units", *drop_ins)
    done = analyze(
        folder, "verify", "--man=no", "--recursive-errors=no", *(f"./{name}" for name in UNITS)
    )
    said = [line for line in done.stderr.splitlines() if "pints" in line]
    assert (done.returncode, said) == (0, [])


def test_systemd_would_have_found_a_fault(tmp_path: Path) -> None:
    folder = install(tmp_path / "units")
    unit = folder / "pints.service"
    unit.write_text(unit.read_text().replace("LockPersonality=", "LockPersonalty="))
    done = analyze(folder, "verify", "--man=no", "--recursive-errors=no", "./pints.service")
    assert "LockPersonalty" in done.stderr


MOST_TOGETHER = 6
LIMITS = {"pints.service": 2.1}
LESS = 1.4
"""Of every other unit: below 1.5."""


@pytest.mark.parametrize("name", SERVICES)
def test_exposure(tmp_path: Path, name: str) -> None:
    assert exposure(install(tmp_path / "units") / name) <= LIMITS.get(name, LESS)


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_adds_little_to_the_exposure(tmp_path: Path, name: str) -> None:
    without = exposure(install(tmp_path / "plain") / "pints.service")
    assert exposure(install(tmp_path / "more", name) / "pints.service") <= without + 0.2001


def test_exposure_is_less_than_that_of_debians_own(
    tmp_path: Path, peer: Callable[[str], Path]
) -> None:
    peer("chronyd")  # the units come with it
    theirs = {unit.name: exposure(unit) for unit in PEERS.glob("*.service")}
    assert set(theirs) == {"chrony.service", "systemd-timesyncd.service"}
    assert exposure(install(tmp_path / "units") / "pints.service") < min(theirs.values())


def test_nothing_waits_for_the_network_or_for_names() -> None:
    for path in ALL:
        for line in path.read_text().splitlines():
            if not line.startswith("#"):
                assert not re.search(r"network-online|nss-lookup|wait-online", line), path


@pytest.mark.parametrize("path", [*UNITS, *(f"pints.service.d/{name}.conf" for name in DROP_INS)])
def test_every_choice_says_why(path: str) -> None:
    """No setting stands without a comment above it or above the few that belong to it."""
    text = (SYSTEMD / path).read_text()
    assert text.startswith("# ")
    alone = MOST_TOGETHER
    for line in text.splitlines():
        if line.startswith("#"):
            alone = 0
        elif line.startswith(("[", "Description=", "Documentation=")) or not line:
            alone = MOST_TOGETHER
        else:
            alone += 1
            assert alone <= MOST_TOGETHER, line


def test_the_daemon_has_the_clock_and_nothing_else() -> None:
    assert words("pints.service", "AmbientCapabilities") == {"CAP_SYS_TIME"}
    assert words("pints.service", "CapabilityBoundingSet") == {"CAP_SYS_TIME"}
    assert words("pints.service", "DevicePolicy") == {"closed"}
    assert not words("pints.service", "DeviceAllow")
    assert words("pints.service", "CapabilityBoundingSet", "serve") == {
        "CAP_SYS_TIME", "CAP_NET_BIND_SERVICE",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["pints-ke.service", "pints-wait.service"])
def test_nobody_else_has_any(name: str) -> None:
    assert settings(name)["CapabilityBoundingSet"] == [""]
    assert settings(name).get("AmbientCapabilities") == [""]


OPENED = {
    "DeviceAllow": r"char-[a-zA-Z0-9]+ rw",  # a class of character devices
    "ReadWritePaths": r"-/sys/class/leds/\w+( -/sys/class/leds/\w+)*",
    "WorkingDirectory": r"%t/pints",
}


@pytest.mark.parametrize("name", DRIVERS)
def test_a_drop_in_opens_devices_and_nothing_else(name: str) -> None:
    text = (SYSTEMD / f"pints.service.d/{name}.conf").read_text()
    found = [(key, value) for section, key, value in lines(text) if section == "Service"]
    assert found
    for key, value in found:
        assert re.fullmatch(OPENED[key], value), key


def test_the_target_of_a_synchronized_clock_has_one_gate() -> None:
    """It requires the wait, which runs before it and pulls it in each time it is started."""
    wait = settings("pints-wait.service")
    assert wait["RequiredBy"] == wait["Wants"] == wait["Before"] == ["time-sync.target"]
    assert wait["Type"] == ["oneshot"]
    # A condition that does not hold would count as passed.
    assert not [name for name in wait if name.startswith(("Condition", "Assert"))]
    for name in SERVICES:
        if name != "pints-wait.service":
            assert "time-sync.target" not in words(name, "Wants") | words(name, "Before")


def test_the_wait_is_bounded_and_begun_again_once_verified() -> None:
    wait = settings("pints-wait.service")
    (command,) = wait["ExecStart"]
    seconds = re.search(r"--for verified --timeout (\d+)$", command)
    assert seconds
    assert int(seconds[1]) <= 90
    (limit,) = wait["TimeoutStartSec"]
    assert int(limit.removesuffix("s")) > int(seconds[1])
    from pints.values.files import BELIEF_FILE

    assert settings("pints-wait.path")["PathExists"] == [f"{StateConfig().runtime}/{BELIEF_FILE}"]
    assert {"pints-wait.service", "pints-wait.path"} <= words("pints.service", "Wants")


def test_the_floor_comes_before_what_stamps() -> None:
    before = words("pints-restore.service", "Before")
    assert {"time-set.target", "sysinit.target", "systemd-journal-flush.service"} <= before
    assert words("pints-restore.service", "DefaultDependencies") == {"no"}
    assert "pints-restore.service" in words("pints.service", "After")
    # systemd would order it after what it has to come before.
    assert not words("pints-restore.service", "PrivateTmp")
    assert not words("pints-restore.service", "StateDirectory")


def test_early_boot_runs_the_restore_file_of_this_tree() -> None:
    (command,) = settings("pints-restore.service")["ExecStart"]
    program, *options, file = command.split()
    assert (program, options) == ("/usr/bin/python3", ["-I", "-S"])
    assert (SYSTEMD.parent / Path(file).relative_to(PACKAGES)).is_file()


def test_one_daemon_keeps_the_clock() -> None:
    rivals = words("pints.service", "Conflicts")
    assert {"systemd-timesyncd.service", "chrony.service", "ntpsec.service"} <= rivals
    assert rivals <= words("pints.service", "After"), "who has to go is gone first"


def test_timedatectl_switches_the_service() -> None:
    text = (SYSTEMD / "ntp-units.d" / "50-pints.list").read_text()
    assert [line for line in text.splitlines() if not line.startswith("#")] == ["pints.service"]


def test_folders_are_those_of_the_program() -> None:
    state = StateConfig()
    for unit in ("pints.service",):
        assert f"/var/lib/{settings(unit)['StateDirectory'][0].split()[0]}" == state.directory
        assert f"/run/{settings(unit)['RuntimeDirectory'][0]}" == state.runtime
    assert f"d {state.runtime}/sources.d " in (SYSTEMD / "tmpfiles.d/pints.conf").read_text()


def test_the_user_is_made_with_its_groups(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    file = SYSTEMD / "sysusers.d" / "pints.conf"
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(file)], check=True)
    groups = {
        line.split(":")[0]: line.strip().split(":")[3]
        for line in (tmp_path / "etc" / "group").read_text().splitlines()
    }
    assert groups == {"pints": "", "i2c": "pints", "gpio": "pints", "dialout": "pints"}
    assert (tmp_path / "etc" / "passwd").read_text().endswith(":/usr/sbin/nologin\n")


def test_every_device_of_a_drop_in_belongs_to_a_group_of_the_user() -> None:
    """By our own rules, but for serial ports, which Debian's udev gives to dialout."""
    rules = (SYSTEMD / "udev" / "60-pints.rules").read_text()
    given = set(re.findall(r'^SUBSYSTEM=="([a-z0-9-]+)".*GROUP="(?:pints|i2c|gpio)"', rules, re.M))
    subsystems = {"i2c": "i2c-dev", "gpiochip": "gpio"}
    allowed = {line.split()[0].removeprefix("char-") for name in DRIVERS
               for line in settings("pints.service", name).get("DeviceAllow", ())}  # fmt: skip
    serial = {name for name in allowed if name.startswith("tty")}
    assert {subsystems.get(name, name) for name in allowed - serial} == given


def test_what_a_lamp_is_told_by_may_be_written_to() -> None:
    """By the group, and through the read-only /sys of the service."""
    (rule,) = re.findall(
        r'^SUBSYSTEM=="leds".*$', (SYSTEMD / "udev" / "60-pints.rules").read_text(), re.M
    )
    for command in ("chgrp pints", "chmod g+w"):
        assert f"{command} /sys%p/delay_on /sys%p/delay_off" in rule
    assert words("pints.service", "ProtectKernelTunables") == {"yes"}
    assert f"-{LEDS}/ACT" in words("pints.service", "ReadWritePaths", "led")


def test_there_are_units() -> None:
    assert len(UNITS) >= HANDFUL
    assert set(DRIVERS) == {"gpio", "gps", "led", "pps", "rtc"}
