"""What getting-started.md and images.md say is what happens."""

import re
from pathlib import Path

import pytest

from pints.cli import COMMANDS, main
from pints.cli.show.trust import status_text
from tests.cli.show.test_trust import STATUS

ROOT = Path(__file__).parent.parent
STARTED = (ROOT / "docs/getting-started.md").read_text()
IMAGES = (ROOT / "docs/images.md").read_text()
PACKAGED = "/usr/share/pints/pints.service.d/"


def shown(what: str) -> str:
    """A block that a program prints."""
    (block,) = re.findall(rf"<!-- a test compares: {what} -->\n(.*?)\n<!-- end -->", STARTED, re.S)
    return "\n".join(line.removeprefix("    ") for line in block.splitlines())


def typed(document: str) -> list[str]:
    """The indented lines, less what programs print."""
    plain = re.sub(r"<!-- a test compares.*?<!-- end -->", "", document, flags=re.S)
    return re.findall(r"^    (\S.*)$", plain, re.M)


def test_status_prints_that() -> None:
    document = STATUS | {
        "basis": "windows", "time": "2026-11-24T15:46:10Z", "error_bound": 0.012, "agreeing": 5,
    }  # fmt: skip
    assert shown("status, windows") == status_text(document)


def test_check_config_prints_that(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", str(ROOT / "etc/pints.toml")]) == 0
    said = capsys.readouterr().out.replace(str(ROOT / "etc/pints.toml"), "/etc/pints/pints.toml")
    assert shown("check-config") == said.rstrip("\n")


def test_commands_exist() -> None:
    named = re.findall(r"(?:^|sudo |DIR )pints ([a-z-]+)", "\n".join(typed(STARTED + IMAGES)), re.M)
    assert {"status", "wait", "sources", "restore", "query"} <= set(named)
    assert set(named) <= set(COMMANDS)


def test_words_of_install_exist() -> None:
    words = set(re.findall(r"(?:install\.sh|`)[^`\n]*?(--[a-z-]+)", STARTED + IMAGES))
    script = (ROOT / "install.sh").read_text()
    ours = {word for word in words if f"{word})" in script or f"{word} |" in script}
    assert {"--dry-run", "--uninstall", "--purge", "--root", "--wheels"} <= ours


def test_what_install_prints_is_what_is_shown() -> None:
    program = "".join(path.read_text() for path in (ROOT / "installer").glob("*.py"))
    steps = re.findall(r'step\(f?"(.*?)"\)', program)
    # A value may stand for each name in braces.
    patterns = [".+".join(map(re.escape, re.split(r"\{.*?\}", words))) for words in steps]
    printed = re.findall(r"^    pints: (.*)$", STARTED, re.M)
    assert len(printed) >= 5
    for line in printed:
        assert any(re.fullmatch(pattern, line) for pattern in patterns), line


def test_files_it_names_are_installed() -> None:
    for name in re.findall(rf"{PACKAGED}([\w.]+)", STARTED):
        assert (ROOT / "systemd/pints.service.d" / name).exists()
    for unit in re.findall(r"\bpints(?:-[a-z]+)?\.service\b", STARTED + IMAGES):
        assert (ROOT / "systemd" / unit).exists()


def test_nobody_is_sent_to_another_project() -> None:
    """The name on the package registry is somebody else's."""
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "etc/pints.toml"):
        assert not re.search(r"pip3? install (?:-\S+ )*pints\b", document.read_text()), (
            document.name
        )
