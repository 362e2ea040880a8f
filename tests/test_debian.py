"""What debian/ says agrees with the rest of the tree."""

import email.utils
import re
import tomllib
from pathlib import Path

import pytest

import pints

ROOT = Path(__file__).parent.parent
CONTROL = (ROOT / "debian" / "control").read_text()
CHANGELOG = (ROOT / "debian" / "changelog").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = {
    "cryptography": "python3-cryptography",
    "hatchling": "python3-hatchling",
    "pyOpenSSL": "python3-openssl",
    "service-identity": "python3-service-identity",
}


def test_the_version_is_the_programs() -> None:
    newest = re.match(r"pints \((\S+)\) ", CHANGELOG)
    assert newest
    assert newest[1].replace("~", "") == pints.__version__


def test_a_release_is_no_older_than_the_tree() -> None:
    """The build epoch comes from the changelog; the tree has one for who runs it from there."""
    dated = re.search(r"^ -- .*>  (.*)$", CHANGELOG, re.M)
    assert dated
    tree = int((ROOT / "pints" / "BUILD_EPOCH").read_text())
    assert email.utils.parsedate_to_datetime(dated[1]).timestamp() >= tree


@pytest.mark.parametrize("requirement", [*PROJECT["dependencies"], "hatchling>=1.25"])
def test_what_is_built_with_is_what_the_project_asks_for(requirement: str) -> None:
    """What the package depends on is taken from there by dh_python3."""
    name, bound = requirement.split(">=")
    assert f"{PACKAGES[name]} (>= {bound})" in CONTROL
