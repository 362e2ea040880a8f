"""What the documents say of the program is so."""

import re
from pathlib import Path

import pytest

from pints import config
from pints.cli import COMMANDS

ROOT = Path(__file__).parent.parent
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()


@pytest.mark.parametrize(("section", "key"), [(s, k) for s, k, *_ in config.options()])
def test_every_option_is_documented(section: str, key: str) -> None:
    chapter = CONFIGURATION.split(f"## `{section}`", 1)[1].split("\n## ", 1)[0]
    assert f"| `{key}` |" in chapter


def test_no_option_is_documented_that_does_not_exist() -> None:
    known = {key for _, key, *_ in config.options()}
    assert set(re.findall(r"^\| `(\w+)` \|", CONFIGURATION, re.M)) <= known


def test_the_readme_names_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"pints ([a-z-]+)", "\n".join(re.findall(r"^    .*$", readme, re.M))))
    assert named
    assert named <= set(COMMANDS)


def test_links_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"
