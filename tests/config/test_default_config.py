"""The configuration file that is installed works as it is, and with whatever it offers."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from pints.cli import main
from pints.config.load import DEFAULT_SOURCES, load
from pints.config.tables import Config, StateConfig

FILE = Path(__file__).parents[2] / "etc" / "pints.toml"
TEXT = FILE.read_text()
SETTING = re.compile(r"#(?=[\[a-z])")
"""What switches a setting off; an explanation has a blank there."""
BLOCKS = [block for block in TEXT.split("\n\n") if re.search(rf"^{SETTING.pattern}", block, re.M)]


def switched_on(block: str) -> str:
    """The block as somebody uses it who does what the file says."""
    return "\n".join(re.sub(rf"^{SETTING.pattern}", "", line) for line in block.splitlines())


def title(block: str) -> str:
    return switched_on(block).partition("[")[2].partition("]")[0].strip("[") or block


def test_as_it_is_nothing_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert tomllib.loads(TEXT) == {}
    assert main(["check-config", str(FILE)]) == 0
    assert "5, of which 3 must agree" in capsys.readouterr().out
    assert load(str(FILE)) == replace(Config(), sources=DEFAULT_SOURCES)


@pytest.mark.parametrize("block", BLOCKS, ids=title)
def test_each_block_may_be_switched_on(block: str, tmp_path: Path) -> None:
    file = tmp_path / "pints.toml"
    file.write_text(TEXT.replace(block, switched_on(block)))
    assert tomllib.loads(file.read_text())
    assert main(["check-config", str(file)]) == 0


def test_all_blocks_may_be_switched_on_together(tmp_path: Path) -> None:
    file = tmp_path / "pints.toml"
    file.write_text("\n\n".join(switched_on(block) for block in TEXT.split("\n\n")))
    settings = load(str(file))
    assert len(settings.sources) >= 3
    assert settings.server.listen
    assert settings.server.certificate
    assert settings.rtc.driver
    assert settings.refclocks
    assert settings.outputs
    assert settings.bootstrap.min_witnesses == 1


def test_what_it_says_of_a_setting_of_no_effect_is_its_default() -> None:
    """A figure beside which nothing is advised is shown as it would be without the line."""
    values = tomllib.loads("\n\n".join(map(switched_on, BLOCKS)))
    assert values["state"]["save_interval"] == StateConfig().save_interval
    assert values["refclock"][0]["trust"] is False


def test_every_line_fits_a_terminal() -> None:
    assert max(map(len, TEXT.splitlines())) <= 100
