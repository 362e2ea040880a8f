"""The package as a file: clean, the same each time, and with all that a user looks for."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from pints.cli import COMMANDS
from tests.package.conftest import DEB, build

Inside = Callable[[str], str]


def test_two_builds_are_the_same(package: Path, tmp_path: Path) -> None:
    again = build(tmp_path)
    first, second = (
        hashlib.sha256(deb.read_bytes()).hexdigest() for deb in (package / again.name, again)
    )
    assert first == second


def test_lintian_has_nothing_to_say(inside_build: Inside) -> None:
    """Errors, warnings, remarks and pedantry.  (What is overridden says why.)"""
    assert inside_build(f"lintian --allow-root --display-info --pedantic {DEB}") == ""


def test_the_man_pages_are_well_formed(inside_build: Inside) -> None:
    script = f"""
        dpkg-deb -x {DEB} /tmp/x
        cd /tmp/x/usr/share/man
        for page in */*; do
            gzip -dc "$page" >/tmp/page
            mandoc -T lint -W warning /tmp/page
            groff -man -Tutf8 -ww -z /tmp/page 2>&1
            ls "$page"
        done
    """
    assert inside_build(script).split() == [
        "man1/pints.1.gz",
        "man5/pints.toml.5.gz",
        "man8/pints-ke.service.8.gz",
        "man8/pints-restore.service.8.gz",
        "man8/pints-wait.service.8.gz",
        "man8/pints.8.gz",
        "man8/pints.service.8.gz",
    ]


def test_bash_completes_with_what_is_installed(inside_build: Inside) -> None:
    """As bash-completion loads it: by the command's name."""
    script = f"""
        dpkg --unpack {DEB} >/dev/null
        bash -c '. /usr/share/bash-completion/bash_completion
            _comp_load pints || __load_completion pints
            COMP_WORDS=(pints "") COMP_CWORD=1
            _pints
            printf "%s\\n" "${{COMPREPLY[@]}}"'
    """
    assert set(inside_build(script).split()) == {*COMMANDS, "--help", "--version"}
