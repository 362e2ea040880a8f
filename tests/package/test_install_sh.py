"""install.sh puts pints into a real Debian, hands the clock over, and takes it all back.

Only one thing is not real: nothing may set this machine's clock, so where the service runs it
works on a copy of it (`--no-clock`).
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from pints import __version__
from tests.conftest import absent
from tests.package.conftest import DEPENDENCIES
from tests.package.machine import Running, booted
from tests.package.tree import ROOT, Completed, Tree, changes, contents, once, overlay, prepared

pytestmark = pytest.mark.slow

CLONE = (
    "install.sh", "pyproject.toml", "hatch_build.py", "LICENSE",
    "debian", "docs", "drivers", "etc", "installer", "pints", "systemd",
)  # fmt: skip
KEPT = {"etc/pints", "etc/pints/conf.d", "etc/pints/pints.toml"}
KEPT |= {"var/lib/pints", "var/lib/pints/time"}
"""What --uninstall leaves, besides the user."""
USERS = {"etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"}
NEEDED = ("cryptography>=43", "pyOpenSSL>=25", "service-identity>=24", "hatchling>=1.25")


@pytest.fixture(scope="session")
def wheels() -> Callable[[str], Path]:
    """What pip would fetch, fetched once, for a version of Python."""

    def fetch(python: str, folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "download", "-q", "-d", str(folder)]
        choice = ["--python-version", python, "--only-binary", ":all:"]
        subprocess.run([*pip, *choice, *NEEDED], check=True)

    return lambda python: once(f"wheels-{python}", partial(fetch, python))


@pytest.fixture
def tree(debian: Callable[[str], Path]) -> Iterator[Tree]:
    """Debian 13 as it was before anything was installed."""
    with overlay(debian("trixie")) as tree:
        yield tree


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source, as a user has it."""
    return copy_clone(tmp_path_factory.mktemp("clone") / "pints")


@pytest.fixture
def installed(
    debian: Callable[[str], Path], clone: Path, wheels: Callable[[str], Path]
) -> Iterator[Tree]:
    """Debian 13 with pints."""

    def put(tree: Tree) -> None:
        done = install(clone, "--root", tree, "--wheels", wheels("3.13"))
        assert done.returncode == 0, done.stderr

    with overlay(*prepared("installed", put, debian("trixie"))) as tree:
        yield tree


def copy_clone(to: Path) -> Path:
    to.mkdir(parents=True)
    for name in CLONE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, to / name)
    return to


def install(clone: Path, *words: object, **environment: str) -> Completed:
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    return subprocess.run(
        ["sh", str(clone / "install.sh"), *map(str, words)],
        capture_output=True, text=True, env={"PATH": path, **environment},
    )  # fmt: skip


def units(tree: Tree) -> dict[str, str]:
    folder = tree / "etc/systemd/system"
    return {path.name: path.read_text() for path in folder.glob("pints*") if path.is_file()}


# --- what is installed ------------------------------------------------------------------------


def test_a_dry_run_shows_every_step_and_does_nothing(tree: Tree, clone: Path) -> None:
    before, source = tree.listing(), contents(clone)
    done = install(clone, "--root", tree, "--dry-run")
    assert done.returncode == 0, done.stderr
    for step in (
        "-m venv", "pip install", "pints.service", "sysusers.d/pints.conf", "pints.toml",
        "enable pints.service", "disable systemd-timesyncd.service", "nothing was done",
    ):  # fmt: skip
        assert step in done.stdout
    assert not changes(before, tree.listing())
    assert not changes(source, contents(clone))


def test_the_program_runs(installed: Tree) -> None:
    for name in ("/opt/pints/bin/pints", "pints"):
        assert installed.run(name, "--version").stdout == f"pints {__version__}\n"
    assert "good" in installed.run("pints", "check-config").stdout
    default = (ROOT / "etc/pints.toml").read_bytes()
    assert (installed / "etc/pints/pints.toml").read_bytes() == default


def test_early_boot_starts_by_the_units_own_words(installed: Tree) -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", units(installed)["pints-restore.service"], re.M)
    done = installed.run(*line.split(), "--dry-run")
    assert re.search(r"^pints restore: clock \S+ is not below \S+ \(.*\): kept$", done.stderr, re.M)
    # What cannot be run so would be seen: the build epoch lies beside it.
    assert (installed / line.split()[-1].lstrip("/")).with_name("BUILD_EPOCH").exists()


def test_nothing_leads_to_where_the_debian_package_lies(installed: Tree) -> None:
    share = installed / "opt/pints/share"
    files = [*(installed / "etc").rglob("*pints*"), *share.rglob("*.conf")]
    texts = [path.read_text() for path in files if path.is_file() and not path.is_symlink()]
    assert len(texts) > 10
    for text in texts:
        assert not re.search(r"/usr/bin/pints|dist-packages|/usr/share/(doc/)?pints", text)


def test_what_units_start_is_there(installed: Tree) -> None:
    lines = re.findall(r"^Exec\w+=(.*)$", "\n".join(units(installed).values()), re.M)
    assert len(lines) >= 4
    for path in re.findall(r"(?<!\w)/(?:bin|usr|opt)/[\w./-]+", "\n".join(lines)):
        assert installed.run("test", "-e", path, check=False).returncode == 0, path


def test_systemd_finds_nothing_wrong(installed: Tree) -> None:
    paths = [f"/etc/systemd/system/{name}" for name in units(installed)]
    done = installed.run("systemd-analyze", "verify", "--man=no", *paths)
    assert "pints" not in done.stderr


def test_every_drop_in_is_offered(installed: Tree) -> None:
    offered = {path.name for path in (installed / "opt/pints/share/pints.service.d").iterdir()}
    assert offered == {path.name for path in (ROOT / "systemd/pints.service.d").iterdir()}
    assert "serve.conf" in offered


def test_it_is_started_at_boot_and_nothing_beside_it(installed: Tree) -> None:
    def state(unit: str) -> str:
        return installed.run("systemctl", "is-enabled", unit, check=False).stdout.strip()

    for unit in ("pints.service", "pints-restore.service", "pints-wait.service"):
        assert state(unit) == "enabled"
    assert state("systemd-timesyncd.service") == "disabled"


def test_others_can_read_it_and_nobody_can_write_it(installed: Tree) -> None:
    user = installed.run("id", "-un", "pints").stdout.strip()
    run = ["setpriv", f"--reuid={user}", "--regid=pints", "--clear-groups"]
    assert installed.run(*run, "/opt/pints/bin/pints", "check-config").stdout
    for path in (installed / "opt/pints").rglob("*"):
        status = path.lstat()
        assert status.st_uid == 0
        assert path.is_symlink() or not status.st_mode & 0o022


def test_debian_12_as_well(
    debian: Callable[[str], Path], clone: Path, wheels: Callable[[str], Path]
) -> None:
    with overlay(debian("bookworm")) as tree:
        before = tree.listing()
        done = install(clone, "--root", tree, "--wheels", wheels("3.11"))
        assert done.returncode == 0, done.stderr
        assert tree.run("pints", "--version").stdout == f"pints {__version__}\n"
        test_early_boot_starts_by_the_units_own_words(tree)
        assert install(clone, "--root", tree, "--purge").returncode == 0
        assert not changes(before, tree.listing())


def test_dhcp_clients_and_no_sysusers(
    tree: Tree, clone: Path, wheels: Callable[[str], Path]
) -> None:
    """Hooks go where there is somebody to call them; the user is made by whatever there is."""
    (tree / "usr/bin/systemd-sysusers").unlink()
    folder = tree / "etc/NetworkManager/dispatcher.d"
    folder.mkdir(parents=True)
    before = tree.listing()
    done = install(clone, "--root", tree, "--wheels", wheels("3.13"))
    assert done.returncode == 0, done.stderr
    hook = folder / "50-pints"
    assert hook.stat().st_mode & 0o777 == 0o755  # NetworkManager demands it
    assert re.search(r"/opt/pints/lib/python3/site-packages/pints/dhcp\.py", hook.read_text())
    assert not (tree / "usr/lib/dhcpcd").exists()
    assert (tree / "opt/pints/lib/python3/site-packages/pints/dhcp.py").exists()
    entry = tree.run("getent", "passwd", "pints").stdout
    assert entry.endswith(":/var/lib/pints:/usr/sbin/nologin\n")
    assert install(clone, "--root", tree, "--purge").returncode == 0
    assert not changes(before, tree.listing())


def test_cryptography_of_debian(
    tree: Tree, tmp_path: Path, clone: Path, wheels: Callable[[str], Path]
) -> None:
    """What a Pi Zero does, for which there is no ready-made one."""
    tree.run("apt-get", "-qy", "install", *DEPENDENCIES.split())
    only = tmp_path / "wheels"
    only.mkdir()
    for wheel in wheels("3.13").iterdir():
        if not wheel.name.lower().startswith(("cryptography", "cffi", "pyopenssl")):
            shutil.copy(wheel, only)
    words = ("--root", tree, "--debian-packages", "--wheels", only)
    done = install(clone, *words, SOURCE_DATE_EPOCH="1790000000")
    assert done.returncode == 0, done.stderr
    where = "import cryptography, pints; print(cryptography.__file__, pints.__file__)"
    found = tree.run("/opt/pints/bin/python", "-c", where).stdout
    assert found.startswith("/usr/lib/python3/dist-packages/cryptography/")
    assert "/opt/pints/" in found
    # And the build epoch is what whoever builds an image said (docs/images.md).
    epoch = "from pints import restore; print(restore.build_epoch() // 10**9)"
    assert tree.run("/opt/pints/bin/python", "-c", epoch).stdout == "1790000000\n"


# --- again, and back --------------------------------------------------------------------------


def test_again_upgrades(installed: Tree, clone: Path, wheels: Callable[[str], Path]) -> None:
    config = installed / "etc/pints/pints.toml"
    config.write_text("[state]\nsave_interval = 7200\n")
    stopped = (installed / "opt/pints/stopped").read_text()
    before = installed.listing()
    old = (installed / "opt/pints/current").readlink()
    # A file that an older version had.
    gone = installed / "etc/systemd/system/pints-older.service"
    gone.write_text("[Unit]\n")
    with (installed / "opt/pints/manifest").open("a") as manifest:
        manifest.write("file /etc/systemd/system/pints-older.service\n")
    done = install(clone, "--root", installed, "--wheels", wheels("3.13"))
    assert done.returncode == 0, done.stderr
    assert installed.run("pints", "--version").stdout == f"pints {__version__}\n"
    assert (installed / "opt/pints/current").readlink() != old
    assert not (installed / "opt/pints" / old).exists()
    assert config.read_text() == "[state]\nsave_interval = 7200\n"
    assert (installed / "opt/pints/stopped").read_text() == stopped
    outside = {p for p in changes(before, installed.listing()) if not p.startswith("opt/pints")}
    assert not outside


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_interrupted_can_be_repeated(
    number: signal.Signals, tree: Tree, clone: Path, wheels: Callable[[str], Path]
) -> None:
    before = tree.listing()
    command = list(
        map(str, ["sh", clone / "install.sh", "--root", tree, "--wheels", wheels("3.13")])
    )
    with subprocess.Popen(command, stderr=subprocess.PIPE, process_group=0) as running:
        while not (tree / "opt/pints/a/bin/pip").exists():
            assert running.poll() is None
            time.sleep(0.05)
        os.killpg(running.pid, number)
        _, complaint = running.communicate()
    assert running.returncode != 0
    if number == signal.SIGTERM:
        assert b"run it again" in complaint
    done = install(clone, "--root", tree, "--wheels", wheels("3.13"))
    assert done.returncode == 0, done.stderr
    assert tree.run("pints", "check-config").returncode == 0
    assert install(clone, "--root", tree, "--purge").returncode == 0
    assert not changes(before, tree.listing())


def test_a_version_that_does_not_start_replaces_nothing(
    installed: Tree, tmp_path: Path, wheels: Callable[[str], Path]
) -> None:
    broken = copy_clone(tmp_path / "broken")
    (broken / "pints/cli/__init__.py").write_text("raise SystemExit('broken')\n")
    done = install(broken, "--root", installed, "--wheels", wheels("3.13"))
    assert done.returncode == 1
    assert done.stderr == "install.sh: the program does not start: broken\n"
    assert installed.run("pints", "--version").stdout == f"pints {__version__}\n"


def test_a_configuration_that_the_new_version_refuses_is_said_first(
    installed: Tree, clone: Path, wheels: Callable[[str], Path]
) -> None:
    (installed / "etc/pints/pints.toml").write_text("[bootstrap]\nwitnesses = 1\n")
    link = (installed / "opt/pints/current").readlink()
    done = install(clone, "--root", installed, "--wheels", wheels("3.13"))
    assert done.returncode == 1
    assert "/etc/pints/pints.toml" in done.stderr
    assert "'witnesses'" in done.stderr
    assert (installed / "opt/pints/current").readlink() == link


def test_uninstalling_leaves_state_and_configuration(installed: Tree, clone: Path) -> None:
    (installed / "var/lib/pints/time").write_text("kept\n")
    drop_ins = installed / "etc/systemd/system/pints.service.d"
    drop_ins.mkdir()
    (drop_ins / "serve.conf").symlink_to("/opt/pints/share/pints.service.d/serve.conf")
    done = install(clone, "--root", installed, "--uninstall")
    assert done.returncode == 0, done.stderr
    # Whatever was switched off is enabled by the very links it had.
    assert set(installed.listing()) == KEPT | USERS
    assert (installed / "var/lib/pints/time").exists()
    assert installed.run("id", "pints").returncode == 0


@pytest.mark.parametrize("steps", [["--purge"], ["--uninstall", "--purge"]])
def test_purged_nothing_is_left(steps: list[str], installed: Tree, clone: Path) -> None:
    (installed / "var/lib/pints/sessions").mkdir()
    for step in steps:
        assert install(clone, "--root", installed, step).returncode == 0
    assert not set(installed.listing())


@pytest.mark.parametrize("state", ["whole", "without its environment"])
def test_it_is_removed_without_a_clone(state: str, installed: Tree) -> None:
    if state != "whole":
        shutil.rmtree(installed / "opt/pints/a")
    refused(install(installed / "opt/pints", "--root", installed), "is no clone of pints")
    done = install(installed / "opt/pints", "--root", installed, "--purge")
    assert done.returncode == 0, done.stderr
    assert not set(installed.listing())


def test_a_dry_run_of_uninstalling_does_nothing(installed: Tree, clone: Path) -> None:
    before = installed.listing()
    done = install(clone, "--root", installed, "--purge", "--dry-run")
    assert done.returncode == 0
    assert "rm -rf" in done.stdout
    assert "userdel pints" in done.stdout
    assert not changes(before, installed.listing())


def test_uninstalling_what_is_not_there_is_no_error(tree: Tree, clone: Path) -> None:
    before = tree.listing()
    done = install(clone, "--root", tree, "--uninstall")
    assert done.returncode == 0
    assert "nothing is installed" in done.stdout
    assert not changes(before, tree.listing())


# --- what can be wrong ------------------------------------------------------------------------


def refused(done: Completed, *words: str) -> None:
    """One line, with the cause and what mends it."""
    assert done.returncode == 1
    assert done.stderr.startswith("install.sh: ")
    assert done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_what_cannot_be_asked_for(clone: Path) -> None:
    refused(install(clone, "--frobnicate"), "'--frobnicate'", "--help")
    refused(install(clone, "--root"), "--root needs a folder")
    refused(install(clone, "--root", "/nonexistent"), "/nonexistent")
    assert "--uninstall" in install(clone, "--help").stdout


def test_it_needs_root(tmp_path: Path) -> None:
    absent_unless_root()
    clone = copy_clone(Path("/tmp", f"pints-{tmp_path.name}-{time.monotonic_ns()}"))
    try:
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "sh", str(clone / "install.sh")],
            capture_output=True, text=True,
        )  # fmt: skip
    finally:
        shutil.rmtree(clone)
    refused(done, "needs root", "sudo sh install.sh")


def absent_unless_root() -> None:
    if os.geteuid() != 0:
        absent("this needs root")


def test_no_clone(tmp_path: Path, tree: Tree) -> None:
    shutil.copy(ROOT / "install.sh", tmp_path)
    refused(install(tmp_path, "--root", tree), "is no clone of pints")


def test_no_systemd(clone: Path, tmp_path: Path) -> None:
    absent_unless_root()
    refused(install(clone, "--root", tmp_path), "no systemd")


def test_no_python(clone: Path, tree: Tree) -> None:
    (tree / "usr/bin/python3").unlink()
    refused(install(clone, "--root", tree), "apt install python3")


def test_python_of_long_ago(clone: Path, tree: Tree) -> None:
    """The interpreter that is there, saying that it is 3.9."""
    python = tree / "usr/bin/python3"
    python.unlink()
    python.write_text(
        '#!/bin/sh\n[ "$1" = -c ] && shift && exec /usr/bin/python3.13 -c "import sys; '
        'sys.version_info = (3, 9, 2); $1"\nexec /usr/bin/python3.13 "$@"\n'
    )
    python.chmod(0o755)
    refused(install(clone, "--root", tree), "older than 3.11")


def test_no_venv(clone: Path, tree: Tree) -> None:
    shutil.rmtree(tree / "usr/lib/python3.13/ensurepip")
    refused(install(clone, "--root", tree), "apt install python3-venv")


def test_no_index(clone: Path, tree: Tree) -> None:
    before = tree.listing()
    done = install(clone, "--root", tree, PIP_INDEX_URL="http://127.0.0.1:9/")
    refused(done, "cannot reach its index", "--wheels")
    assert {p for p in changes(before, tree.listing()) if not p.startswith("opt/pints")} == set()
    # Half an installation is removed by its own copy.
    assert install(tree / "opt/pints", "--root", tree, "--purge").returncode == 0
    assert not changes(before, tree.listing())


def test_no_package_for_this_machine(
    clone: Path, tree: Tree, tmp_path: Path, wheels: Callable[[str], Path]
) -> None:
    few = tmp_path / "few"
    shutil.copytree(wheels("3.13"), few)
    for wheel in few.glob("cryptography-*"):
        wheel.unlink()
    done = install(clone, "--root", tree, "--wheels", few)
    refused(done, "no ready-made package", "cryptography", "--debian-packages")


def test_debian_packages_that_are_not_there(clone: Path, tree: Tree) -> None:
    done = install(clone, "--root", tree, "--debian-packages")
    refused(done, "apt install python3-openssl")


def test_a_pi_zero_asks_debian_or_its_own_registry(clone: Path, tree: Tree) -> None:
    uname = tree / "usr/bin/uname"
    uname.write_text("#!/bin/sh\necho armv6l\n")
    refused(install(clone, "--root", tree), "apt install python3-openssl")
    configuration = "[global]\nextra-index-url=https://www.piwheels.org/simple\n"
    (tree / "etc/pip.conf").write_text(configuration)
    done = install(clone, "--root", tree, "--dry-run")
    assert done.returncode == 0
    assert "--system-site-packages" not in done.stdout


def test_something_else_of_that_name(
    clone: Path, tree: Tree, wheels: Callable[[str], Path]
) -> None:
    """Another project on the package registry is called pints, too."""
    other = tree / "usr/local/bin/pints"
    other.write_text("#!/bin/sh\n")
    done = install(clone, "--root", tree, "--wheels", wheels("3.13"))
    refused(done, "/usr/local/bin/pints", "not from here")
    assert other.read_text() == "#!/bin/sh\n"


def test_beside_the_debian_package(clone: Path, tree: Tree) -> None:
    (tree / "usr/lib/systemd/system/pints.service").write_text("[Unit]\n")
    refused(install(clone, "--root", tree), "Debian package", "apt remove pints")


def test_two_at_a_time(clone: Path, tree: Tree) -> None:
    folder = os.open(tree / "opt", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        refused(install(clone, "--root", tree), "another install.sh")
    finally:
        os.close(folder)


# --- on a machine that runs -------------------------------------------------------------------

OTHER = """[Unit]
Description=Another time service
[Service]
Type=notify
NotifyAccess=all
ExecStartPre=/bin/sh -c '! systemctl is-active -q pints || touch /root/two'
ExecStart=/bin/sh -c 'touch /run/other; systemd-notify --ready; exec sleep infinity'
ExecStopPost=/bin/rm -f /run/other
[Install]
WantedBy=multi-user.target
"""
"""Stands in for chrony; complains if two ever run."""
COPY = """[Unit]
ConditionCapability=
[Service]
AmbientCapabilities=
CapabilityBoundingSet=
ExecStartPre=+/bin/sh -c 'test ! -e /run/other || touch /root/two'
ExecStart=
ExecStart=/opt/pints/bin/pints run --no-ke-server --no-clock
"""
"""Drop-in: pints without the right to set a clock."""


@pytest.fixture
def machine(tree: Tree, clone: Path, wheels: Callable[[str], Path]) -> Iterator[Running]:
    """It runs; `/srv/pints` is a clone, another time service runs."""
    shutil.copytree(clone, tree / "srv/pints")
    shutil.copytree(wheels("3.13"), tree / "root/wheels")
    (tree / "etc/systemd/system/chrony.service").write_text(OTHER)
    drop_ins = tree / "etc/systemd/system/pints.service.d"
    drop_ins.mkdir()
    (drop_ins / "copy.conf").write_text(COPY)
    tree.run("systemctl", "enable", "chrony.service")
    with booted(tree) as machine:
        assert machine.active("chrony")
        yield machine


def install_there(machine: Running, *words: str) -> Completed:
    script = "/srv/pints/install.sh"
    return machine.run("sh", script, "--wheels", "/root/wheels", *words, check=False)


def test_the_clock_is_handed_over_and_given_back(machine: Running) -> None:
    anybody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    shown = machine.run(*anybody, "sh", "/srv/pints/install.sh", "--dry-run").stdout
    assert "systemctl stop chrony.service" in shown
    assert machine.active("chrony")
    done = install_there(machine)
    assert done.returncode == 0, done.stderr + machine.journal("pints")
    assert "switching off systemd-timesyncd.service" in done.stdout
    assert "switching off chrony.service" in done.stdout
    assert machine.active("pints")
    assert not machine.active("chrony")
    assert not machine.enabled("chrony")
    assert not machine.enabled("systemd-timesyncd")
    said = machine.run("pints", "status", check=False)
    assert said.stdout.startswith("restored"), said.stdout + said.stderr
    # An upgrade while it runs, then everything back.
    done = install_there(machine)
    assert done.returncode == 0, done.stderr
    assert machine.active("pints")
    done = install_there(machine, "--uninstall")
    assert done.returncode == 0, done.stderr
    assert machine.active("chrony")
    assert machine.enabled("chrony")
    assert machine.enabled("systemd-timesyncd")
    assert machine.run("systemctl", "is-active", "pints", check=False).stdout == "inactive\n"
    assert not (machine.tree / "opt/pints").exists()
    assert (machine.tree / "var/lib/pints/time").exists()
    assert not (machine.tree / "root/two").exists()


READ_ONLY = "mount --bind /var/lib /var/lib && mount -o remount,bind,ro /var/lib"


def test_a_root_that_is_read_only_from_its_first_boot(installed: Tree) -> None:
    """docs/images.md: nothing is saved, which is said, and everything works."""
    drop_ins = installed / "etc/systemd/system/pints.service.d"
    drop_ins.mkdir()
    (drop_ins / "copy.conf").write_text(COPY)
    installed.run("systemctl", "disable", "pints.service")
    with booted(installed) as machine:
        machine.run("sh", "-c", READ_ONLY)
        machine.run("systemctl", "start", "pints")
        assert machine.active("pints")
        assert "/var/lib/pints forgets with the power" in machine.journal("pints")
        machine.run("systemctl", "stop", "pints")
        assert machine.journal("pints").count("cannot write /var/lib/pints/time") == 1


@pytest.mark.parametrize("where", ["missing", "in memory"])
def test_a_state_folder_that_is(where: str, installed: Tree, tmp_path: Path) -> None:
    # On a disk: an overlay forgets, too.
    tree = tmp_path / "tree"
    subprocess.run(["cp", "-a", installed.path, tree], check=True)
    drop_ins = tree / "etc/systemd/system/pints.service.d"
    drop_ins.mkdir()
    (drop_ins / "copy.conf").write_text(COPY)
    (tree / "var/lib/pints").rmdir()
    if where == "in memory":
        (tree / "etc/fstab").write_text("tmpfs /var/lib/pints tmpfs mode=700 0 0\n")
    with booted(tree) as machine:
        assert machine.active("pints")
        forgets = "/var/lib/pints forgets with the power" in machine.journal("pints")
        assert forgets == (where == "in memory")
        machine.run("systemctl", "stop", "pints")
        assert machine.run("stat", "-c", "%U %a", "/var/lib/pints").stdout == "pints 700\n"
        machine.run("test", "-s", "/var/lib/pints/time")


@pytest.mark.parametrize(
    "why_not",
    [
        pytest.param(COPY.replace("/opt/pints/bin/pints", "/bin/false"), id="fails"),
        pytest.param("", id="may not set the clock"),
    ],
)
def test_where_pints_does_not_start_the_other_one_runs_on(machine: Running, why_not: str) -> None:
    drop_ins = machine.tree / "etc/systemd/system/pints.service.d"
    good = (drop_ins / "copy.conf").read_text()
    (drop_ins / "copy.conf").write_text(why_not)
    done = install_there(machine)
    assert done.returncode == 1
    assert "install.sh: pints does not start; why: journalctl -u pints" in done.stderr
    assert machine.active("chrony")
    assert machine.enabled("chrony")
    # And once it is mended, again.
    (drop_ins / "copy.conf").write_text(good)
    done = install_there(machine)
    assert done.returncode == 0, done.stderr
    assert machine.active("pints")
    assert not (machine.tree / "root/two").exists()


def test_a_new_version_that_fails_as_a_service_gives_way_to_the_old(machine: Running) -> None:
    assert install_there(machine).returncode == 0
    daemon = machine.tree / "srv/pints/pints/daemon.py"
    daemon.write_text(daemon.read_text() + "\nraise SystemExit('broken')\n")
    done = install_there(machine)
    assert done.returncode == 1
    assert "the old one runs again" in done.stderr
    assert machine.active("pints")
    assert not machine.active("chrony")
