"""Man pages and completion say all that the program does, and nothing else."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pints import restore
from pints.cli import COMMANDS, parser_of
from pints.config.load import load, merge, parse_file
from pints.config.tables import Config, options, tables
from scripts import manual

COMMAND_PAGE = manual.command_page()
CONFIGURATION_PAGE = manual.configuration_page()


def chapter(page: str, title: str, kind: str) -> str:
    """What stands under a title of this kind (`SH`, `SS`), up to the next title of any."""
    start = page.index(f"\n.{kind} {manual.plain(title)}\n") + 1
    return re.split(r"\n\.S[HS] ", page[start:], maxsplit=1)[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_in_the_man_page(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against the help that the command prints, which argparse made."""
    if command == "restore":
        text = restore.USAGE
    else:
        with pytest.raises(SystemExit):
            parser_of(command).parse_args([command, "--help"])
        text = capsys.readouterr().out
    said = chapter(COMMAND_PAGE, f"pints {command}", "SS").replace(r"\-", "-")
    # In front of every option's own lines, or in the usage: not where a text mentions another.
    options = set(re.findall(r"(?:^  |\[|, )(--?[a-z][a-z-]*)", text, re.M)) - {"-h", "--help"}
    assert options or command == "demo"
    for option in options:
        assert rf"\fB{option}\fR" in said
    assert set(re.findall(r"\\fB(--?[a-z-]+)\\fR", said)) == options


def test_no_command_is_there_that_the_program_lacks() -> None:
    assert re.findall(r"^\.SS pints (.*)$", COMMAND_PAGE.replace(r"\-", "-"), re.M) == [*COMMANDS]


@pytest.mark.parametrize(("section", "key"), [(s, k) for s, k, *_ in options()])
def test_every_key_is_in_the_man_page_with_its_text(section: str, key: str) -> None:
    (text,) = (d for s, k, _, _, d in options() if (s, k) == (section, key))
    said = chapter(CONFIGURATION_PAGE, section, "SH")
    assert f".TP\n\\fB{key}\\fR\n{manual.sentence(text)}" in said


def test_every_section_is_in_the_man_page() -> None:
    titles = re.findall(r"^\.SH (\[.*\])$", CONFIGURATION_PAGE, re.M)
    assert titles == list(tables())
    assert {section for section, *_ in options()} == set(titles)


def test_the_example_is_right(tmp_path: Path) -> None:
    file = tmp_path / "pints.toml"
    file.write_text(manual.CONFIGURATION)
    assert len(load(str(file)).sources) == 2


def test_the_configuration_that_is_installed_changes_nothing() -> None:
    """/etc/pints/pints.toml is comments; with every one of its settings taken in, it is right."""
    file = manual.SERVICE.parents[1] / "etc" / "pints.toml"
    assert merge(Config(), parse_file(str(file)), "") == Config()


def test_the_pages_are_of_the_sources_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    for page in (manual.command_page(), manual.configuration_page(), manual.service_page()):
        assert ' "2027-01-15" "pints ' in page.splitlines()[0]


def test_dots_and_quotes_are_no_commands() -> None:
    assert manual.plain(".so") == r"\&.so"
    assert manual.plain("'a'") == r"\(aqa\(aq"
    assert manual.plain("\\") == r"\e"


def complete(*words: str) -> list[str]:
    """What bash offers for the last word, in a folder with one file."""
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"{manual.completion()}\nCOMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}\n_pints\n"
    done = subprocess.run(
        ["bash", "--norc", "-c", script + 'printf "%s\\n" "${COMPREPLY[@]}"'],
        capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert not done.stderr
    return done.stdout.split()


def test_completion_of_commands() -> None:
    assert set(complete("pints", "")) == {*COMMANDS, "--help", "--version"}
    assert complete("pints", "sett") == ["settime"]


@pytest.mark.parametrize("command", COMMANDS)
def test_completion_of_options(command: str) -> None:
    options = {o for a in manual.arguments(manual.commands()[command][1]) for o in a.option_strings}
    assert set(complete("pints", command, "-")) == options | {"--help"}


def test_completion_of_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").touch()
    assert complete("pints", "wait", "--for", "a") == ["anchored"]
    assert complete("pints", "rtc", "d") == ["detect"]
    assert complete("pints", "run", "-c", "m") == ["mine.toml"]
    assert complete("pints", "check-config", "mi") == ["mine.toml"]
    assert complete("pints", "wait", "--timeout", "") == []
