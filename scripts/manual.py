"""The man pages pints(1) and pints.toml(5), and the completion for bash, from the tables.

pints(8) tells of the service and is written by hand (docs/pints.8).

    python3 -m scripts.manual FOLDER

Commands and options are those of the parsers, keys and sections those of `pints.config.tables`:
what is not said there is not said here, and nothing that is can be forgotten.  Run when the
package is built; no part of what runs later.
"""

import argparse
import os
import shlex
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any

from pints import __version__
from pints.cli import parser_of
from pints.config.load import DEFAULT_FILE, DROP_INS
from pints.config.tables import options, tables
from pints.restore import build_epoch

SERVICE = Path(__file__).parents[1] / "docs" / "pints.8"
FILE_WORDS = {"FILE", "FOLDER", "DIR", "PATH"}
"""Metavariables that stand for something in the file system."""

FILES = {
    DEFAULT_FILE: "The configuration, pints.toml(5). Without it the defaults hold, and they work.",
    f"{os.path.dirname(DEFAULT_FILE)}/{DROP_INS}/*.toml": "Read after it, in the "
    "order of their names.",
    "/var/lib/pints": "What outlives a boot: saved time, drift, NTS sessions, the server's keys.",
    "/run/pints": "What outlives the daemon, but not the boot; the control socket.",
}
EXAMPLES = {
    "pints status": "How far may the clock be trusted, and what is missing?",
    "pints bootstrap --explain": "The evidence in plain words, with what to do next.",
    "pints query --nts time.cloudflare.com": "How far off is this clock? Sets nothing.",
    "pints wait --for verified --timeout 60": "In a script that needs the right time.",
}
CONFIGURATION = """\
[[source]]
server = "time.cloudflare.com"
operator = "Cloudflare"

[[source]]
server = "nts.example.org"
ca = "/etc/ssl/private-ca.pem"

[server]
listen = ["0.0.0.0", "::"]
"""


# --- what there is ----------------------------------------------------------------------------


def commands() -> dict[str, tuple[str, argparse.ArgumentParser]]:
    """Every command, its line of help and its parser."""
    (found,) = (a for a in parser_of()._actions if isinstance(a, argparse._SubParsersAction))
    lines = {choice.dest: choice.help or "" for choice in found._choices_actions}
    return {name: (lines[name], parser) for name, parser in found.choices.items()}


def arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Its options and words, but for those that are nobody's business and `--help`."""
    return [
        action
        for action in parser._actions
        if action.help != argparse.SUPPRESS and not isinstance(action, argparse._HelpAction)
    ]


def placeholder(action: argparse.Action) -> str:
    """What stands for the action's value in a usage line; empty if it takes none."""
    if action.nargs == 0:
        return ""
    if action.metavar:
        return str(action.metavar)
    return "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()


def help_of(action: argparse.Action) -> str:
    """The text of an option, with its default and its choices."""
    choices = ", ".join(map(str, action.choices or ()))
    return (action.help or "") % {**vars(action), "choices": choices}


# --- man(7) -----------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Text that troff takes as it stands."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return rf"\&{text}" if text.startswith(".") else text


def bold(text: str) -> str:
    return rf"\fB{plain(text)}\fR"


def sentence(text: str) -> str:
    """As part of running text: it begins with a capital, unless that is a value to be typed
    (`keep: ...`), and ends with a full stop."""
    text = " ".join(text.split())
    if not text.partition(" ")[0].endswith(":"):
        text = text[:1].upper() + text[1:]
    return plain(text + ("" if text.endswith(".") else "."))


def entry(term: str, text: str) -> list[str]:
    """A term, and below it what it means."""
    return [".TP", term, text]


def title(name: str, section: int) -> str:
    """The page's title.  Its day is that of the source: each build makes the same page."""
    stamp = int(os.environ.get("SOURCE_DATE_EPOCH") or build_epoch() // 10**9)
    day = time.strftime("%Y-%m-%d", time.gmtime(stamp))
    return f'.TH {name.upper()} {section} "{day}" "pints {__version__}"'


def head(name: str, section: int, line: str) -> list[str]:
    """Title and name of a page that is made here."""
    return [title(name, section), ".SH NAME", rf"{plain(name)} \- {plain(line)}"]


def see_also(*pages: str) -> list[str]:
    linked = [f".BR {plain(p.rpartition('(')[0])} ({p.rpartition('(')[2]}" for p in pages]
    return [".SH SEE ALSO", *(f"{link} ," for link in linked[:-1]), linked[-1]]


def command_page() -> str:
    """pints(1)."""
    lines = [
        *head("pints", 1, "authenticated time for computers that wake up in the past"),
        ".SH SYNOPSIS",
        rf"{bold('pints')} \fICOMMAND\fR [\fIOPTION\fR]...",
        ".SH DESCRIPTION",
        sentence(
            "A computer without a battery clock gets the right time from pints at every boot. It "
            "restores the saved time, asks several independent servers by Network Time Security "
            "(NTS, RFC 8915), forgives a certificate nothing but its dates, believes a time only "
            "when a majority of operators agree on it, and then judges every certificate again at "
            "the time it found. From then on it keeps the clock, and can serve it to others."
        ),
        ".PP",
        sentence(
            "The daemon is a service, pints(8), and starts with the machine. The commands "
            "here ask it, or try a server without it."
        ),
        ".SH COMMANDS",
    ]
    for name, (line, parser) in commands().items():
        lines += [f".SS pints {plain(name)}", *synopsis(name, parser)]
        lines += [".PP", sentence(parser.description or line)]
        for action in arguments(parser):
            lines += entry(term(action), sentence(help_of(action)))
    lines += [".SH OPTIONS"]
    for action in arguments(parser_of()):
        if action.option_strings:
            lines += entry(term(action), sentence(help_of(action)))
    lines += entry(bold("-h") + ", " + bold("--help"), "Of the program, and of each command.")
    lines += [".SH EXIT STATUS"]
    for status, meaning in (("0", "good"), ("1", "no, and why, on one line"), ("2", "usage")):
        lines += entry(bold(status), sentence(meaning))
    lines += [".SH FILES"]
    for path, meaning in FILES.items():
        lines += entry(rf"\fI{plain(path)}\fR", sentence(meaning))
    lines += [".SH EXAMPLES"]
    for command, meaning in EXAMPLES.items():
        lines += entry(bold(command), sentence(meaning))
    lines += see_also("pints.toml(5)", "pints(8)")
    return "\n".join(lines) + "\n"


def synopsis(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """The command's usage: options in brackets, words as they are."""
    yield bold(f"pints {name}")
    for action in arguments(parser):
        value = rf"\fI{plain(placeholder(action))}\fR" if placeholder(action) else ""
        if not action.option_strings:
            text = f"{value}..." if action.nargs == "+" else value
        else:
            value = f"[{value}]" if action.nargs == "?" else value
            text = f"{bold(action.option_strings[0])} {value}".rstrip()
        optional = not action.required
        yield f"[{text}]" if optional else text


def term(action: argparse.Action) -> str:
    """An option with its other names and its value, or a word."""
    value = rf"\fI{plain(placeholder(action))}\fR" if placeholder(action) else ""
    names = ", ".join(bold(name) for name in action.option_strings)
    return f"{names} {value}".strip()


def configuration_page() -> str:
    """pints.toml(5)."""
    lines = [
        *head("pints.toml", 5, "configuration of pints"),
        ".SH SYNOPSIS",
        rf"\fI{plain(DEFAULT_FILE)}\fR",
        ".SH DESCRIPTION",
        sentence(
            "One TOML file, then every *.toml in conf.d beside it, in the order of their names: "
            "tables override, entries in double brackets add up. Sources that the network names "
            "are read from /run/pints/sources.d/*.toml; they are measured, and never decide what "
            "time it is. Without any [[source]], public NTS servers of several operators are used."
        ),
        ".PP",
        sentence(
            "An unknown key, a wrong type or an impossible value is an error that names file, key "
            "and the nearest key that exists. `pints check-config` tells without starting anything."
        ),
    ]
    for section, table in tables().items():
        _, _, about = (table.__doc__ or "").partition(": ")
        lines += [f".SH {plain(section)}", sentence(about)]
        for where, key, kind, default, text in options():
            if where == section:
                lines += entry(bold(key), f"{sentence(text)} {plain(shape(kind, default))}")
    lines += [".SH EXAMPLE", ".EX", *map(plain, CONFIGURATION.splitlines()), ".EE"]
    lines += see_also("pints(1)", "pints(8)")
    return "\n".join(lines) + "\n"


def shape(kind: str, default: Any) -> str:
    """A key's type and default, as a sentence."""
    if default is MISSING:
        return f"({kind[:1].upper()}{kind[1:]}; required.)"
    if isinstance(default, bool):
        shown = str(default).lower()
    elif isinstance(default, tuple):
        shown = ", ".join(default) or "none"
    else:
        shown = repr(default).replace("'", '"') if isinstance(default, str) else f"{default:g}"
    return f"({kind[:1].upper()}{kind[1:]}; default: {shown}.)"


def service_page() -> str:
    """pints(8), which somebody wrote, under its title."""
    return f"{title('pints', 8)}\n{SERVICE.read_text(encoding='utf-8')}"


# --- bash -------------------------------------------------------------------------------------


def completion() -> str:
    """For bash, of commands, options, and those values that are files or one of a few words."""
    values, words = [], []
    for name, (_, parser) in commands().items():
        offered = ["--help"]
        for action in arguments(parser):
            offered += action.option_strings
            if action.option_strings and action.nargs != 0:
                pattern = " | ".join(f'"{name} {option}"' for option in action.option_strings)
                values.append(f"        {pattern}) {_offer(action)} ;;")
            elif not action.option_strings and action.choices:
                offered += map(str, action.choices)
            elif not action.option_strings and placeholder(action) in ("HOST", "FILE"):
                offered.append(f"<{placeholder(action)}>")
        words.append(f"            {name}) {_words(offered)} ;;")
    names = " ".join(commands())
    return textwrap.dedent("""\
        # bash completion for pints; made by scripts/manual.py
        _pints() {{
            local word=${{COMP_WORDS[COMP_CWORD]}} words="" kind=""
            if ((COMP_CWORD == 1)); then
                words="{names} --version --help"
            else
                case "${{COMP_WORDS[1]}} ${{COMP_WORDS[COMP_CWORD - 1]}}" in
        {values}
                *)
                    case ${{COMP_WORDS[1]}} in
        {words}
                    esac
                    ;;
                esac
            fi
            mapfile -t COMPREPLY < <(compgen ${{kind:+-A "$kind"}} -W "$words" -- "$word")
            [[ $kind == file ]] && compopt -o filenames 2>/dev/null
            return 0
        }}
        complete -F _pints pints
        """).format(names=names, values="\n".join(values), words="\n".join(words))


def _offer(action: argparse.Action) -> str:
    if action.choices:
        return f"words={shlex.quote(' '.join(map(str, action.choices)))}"
    return "kind='file'" if placeholder(action) in FILE_WORDS else ":"


def _words(offered: list[str]) -> str:
    """Options, and what a word that is none may be."""
    kinds = {"<HOST>": "hostname", "<FILE>": "file"}
    kind = next((f"kind='{kinds[word]}' " for word in offered if word in kinds), "")
    return f"{kind}words={shlex.quote(' '.join(w for w in offered if w not in kinds))}"


def main(words: list[str]) -> int:
    """Write all of them into a folder."""
    if len(words) != 1:
        print("python3 -m scripts.manual FOLDER", file=sys.stderr)
        return 2
    folder = Path(words[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pints.1").write_text(command_page(), encoding="utf-8")
    (folder / "pints.toml.5").write_text(configuration_page(), encoding="utf-8")
    (folder / "pints.8").write_text(service_page(), encoding="utf-8")
    (folder / "pints.bash").write_text(completion(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
