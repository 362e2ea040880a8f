"""What can be wrong: install.sh says it in one line, with the remedy, and changes nothing else."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import absent
from tests.package.conftest import copy_clone, install, refused
from tests.package.tree import ROOT, Tree, changes

pytestmark = pytest.mark.slow


def absent_unless_root() -> None:
    if os.geteuid() != 0:
        absent("this needs root")


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
