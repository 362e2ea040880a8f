"""What the documents say of the program is so."""

import re
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

from pints import drivers
from pints.bootstrap.diagram import mermaid
from pints.bootstrap.rules import RULES
from pints.bootstrap.states import Basis, State
from pints.cli import COMMANDS
from pints.config.load import load
from pints.config.tables import options
from pints.report.evidence import Kind, Verdict
from tests.cli.show.test_trust import AGREEING, BOOTSTRAP

ROOT = Path(__file__).parent.parent
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text()
HARDWARE = (ROOT / "docs" / "hardware.md").read_text()
TRUST = (ROOT / "docs" / "trust.md").read_text()
WHY = (ROOT / "docs" / "bootstrap.md").read_text()
EXAMPLE = re.compile(r"^```toml\n(.*?)^```$", re.M | re.S)
RULE = re.compile(r"^- \*\*(R\d+)\*\* ", re.M)
PLACE = re.compile(r"^\| (R\d+) \| (`[^|]*`) \|$", re.M)


@pytest.mark.parametrize(("section", "key"), [(s, k) for s, k, *_ in options()])
def test_every_option_is_documented(section: str, key: str) -> None:
    chapter = CONFIGURATION.split(f"## `{section}`", 1)[1].split("\n## ", 1)[0]
    assert f"| `{key}` |" in chapter


def test_no_option_is_documented_that_does_not_exist() -> None:
    known = {key for _, key, *_ in options()}
    assert set(re.findall(r"^\| `(\w+)` \|", CONFIGURATION, re.M)) <= known


def test_the_readme_names_commands_that_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"pints ([a-z-]+)", "\n".join(re.findall(r"^    .*$", readme, re.M))))
    assert named
    assert named <= set(COMMANDS)


def test_links_lead_somewhere() -> None:
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_examples_of_configuration_are_right(tmp_path: Path) -> None:
    file = tmp_path / "pints.toml"
    servers = []
    for example in EXAMPLE.findall(CONFIGURATION):
        file.write_text(example)
        servers.append(len(load(str(file)).bootstrap.roughtime))
    assert max(servers) >= 3


@pytest.mark.parametrize("example", EXAMPLE.findall(HARDWARE))
def test_what_is_set_for_hardware_is_right(example: str, tmp_path: Path) -> None:
    file = tmp_path / "pints.toml"
    file.write_text(example)
    settings = load(str(file))
    assert {r.driver for r in settings.refclocks} <= drivers.REFCLOCKS.keys()
    assert {o.driver for o in settings.outputs} <= drivers.OUTPUTS.keys()
    assert settings.rtc.driver in {"", *drivers.RTCS}


def test_the_diagram_is_drawn_from_the_table() -> None:
    (drawn,) = re.findall(r"^```mermaid\n(.*?)\n```$", TRUST, re.M | re.S)
    assert drawn == mermaid(), "python -m pints.bootstrap.diagram"


def test_every_state_and_basis_has_its_line() -> None:
    chapter = TRUST.split("## States", 1)[1].split("\n## ", 1)[0]
    named = set(re.findall(r"^\| `([a-z ()]+)` \|", chapter, re.M))
    bases = [b.value for b in Basis if b.value]
    plain = {s.value for s in State} - {"verified"}
    assert named == plain | {f"verified ({basis})" for basis in bases}


def test_what_verified_promises_comes_first() -> None:
    titles = re.findall(r"^## (.*)$", TRUST, re.M)
    assert titles[0] == "What `verified` promises"
    chapter = TRUST.split(titles[0], 1)[1].split("\n## ", 1)[0]
    for word in ("windows", "anchored", "single witness", "single issuer", "weakened quorum"):
        assert f"**{word}**" in chapter or f"({word})`**" in chapter


def test_every_rule_is_documented_with_its_place() -> None:
    assert RULE.findall(TRUST) == list(RULES)
    chapter = TRUST.split("### In the code", 1)[1].split("\n## ", 1)[0]
    said = {name: tuple(re.findall(r"`([\w.]+)`", where)) for name, where in PLACE.findall(chapter)}
    assert said == {name: rule.where for name, rule in RULES.items()}


@pytest.mark.parametrize("where", [w for rule in RULES.values() for w in rule.where])
def test_what_carries_out_a_rule_is_there(where: str) -> None:
    assert resolve_name(where) is not None


@pytest.mark.parametrize("rule", ["R11", "R12"])
def test_rules_that_live_with_the_client_say_so_there(rule: str) -> None:
    for where in RULES[rule].where:
        module = sys.modules[".".join(where.split(".")[:3])]
        assert f"rule {rule}" in (module.__doc__ or "")


def test_the_account_is_documented() -> None:
    """Every key of the document, every kind and every verdict."""
    keys = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", WHY, re.M))))
    assert keys == BOOTSTRAP.keys() | AGREEING.keys()
    assert all(f"`{kind.value}`" in WHY for kind in Kind)
    verdicts = set(re.findall(r"^\| ([a-z ]+) \| ", WHY, re.M)) - {"it says", "key"}
    assert verdicts == {verdict.value for verdict in Verdict}
