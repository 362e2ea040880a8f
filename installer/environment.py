"""The private virtual environment: an upgrade is built and tried beside the one in use."""

import re
import time
from pathlib import Path

from installer.machine import OPT, PYTHON, Machine, Stop, step

CURRENT = OPT / "current"
LED = "bin", "lib", "pyvenv.cfg"
"""What leads through `current`.  (Without pyvenv.cfg, bin/python would not know its libraries.)"""
DEBIANS = """import sys, OpenSSL, cryptography, service_identity
sys.exit(int(cryptography.__version__.split(".")[0]) < 43)"""
FAILURES = (
    (
        r"certificate is not yet valid|certificate has expired",
        "pip cannot reach its index: to this machine it is {now} UTC",
        "if that is wrong: sudo date -s 'YYYY-MM-DD HH:MM', and run this again",
    ),
    (
        r"NewConnectionError|ConnectTimeout|ReadTimeout|name resolution"
        r"|Name or service not known|unreachable|ProxyError|SSLError",
        "pip cannot reach its index",
        "is there a network? without one: --wheels DIR",
    ),
    (r"No space left", "the card is full", "100 MB must be free in /opt"),
    (
        r"No matching distribution|Could not find a version",
        "no ready-made package for this machine ({processor}): {error}",
        "with Debian 13 or newer: --debian-packages",
    ),
)
"""What pip may print, the problem, and the remedy."""


def in_use() -> str:
    """Return the name of the environment in use, or nothing."""
    return str(CURRENT.readlink()) if CURRENT.is_symlink() else ""


def build(machine: Machine, source: Path, debian: bool, wheels: bool) -> str:
    """Build the environment that is not in use; return its name."""
    debian = _requirements(machine, debian, wheels)
    name = "b" if in_use() == "a" else "a"
    new = OPT / name
    if new.exists():
        step("removing what an interrupted run left")
    machine.run("rm", "-rf", new)
    machine.run("mkdir", "-p", OPT / "source/tmp")
    machine.run("cp", "-r", source / "installer", source / "install.sh", OPT)

    step(f"building it in {new} (some minutes on a small computer)")
    # What is interrupted leaves nothing in /tmp.  (pip hands its variables on to the pip that it
    # starts for the build, not its options.)
    env = "env", f"TMPDIR={OPT}/source/tmp", "PIP_RETRIES=2"
    machine.run(*env, PYTHON, "-m", "venv", *["--system-site-packages"] * debian, new)
    for lib in new.glob("lib/python3.*"):
        # The units' way to the code, whichever Python it is.
        machine.run("ln", "-s", lib.name, new / "lib/python3")
    pip = [*env, new / "bin/python", "-m", "pip", "install", "--no-input", "--no-cache-dir"]
    # Compiling cryptography takes a Pi hours, a compiler and more memory than it has.
    pip += ["--disable-pip-version-check", "--only-binary", ":all:"]
    if wheels:
        pip += ["--no-index", "--find-links", OPT / "source/wheels"]
    pip.append(OPT / "source")
    if machine.dry:
        machine.run(*pip)
        return name
    good, output = machine.ask(*pip)
    if not good:
        raise _why(machine, output)
    program = new / "bin/pints"
    good, output = machine.ask(program, "--version")
    if not good:
        raise Stop(f"the program does not start: {_last(output)}")
    if Path("/etc/pints/pints.toml").exists():
        good, output = machine.ask(program, "check-config")
        if not good:
            raise Stop(output.partition("\n")[0], "correct it, and run this again")
    return name


def switch(machine: Machine, name: str) -> None:
    """Use that environment from now on."""
    machine.link(name, CURRENT)
    for path in LED:
        machine.link(f"current/{path}", OPT / path)


def _requirements(machine: Machine, debian: bool, wheels: bool) -> bool:
    """Stop if something is missing; return whether Debian's cryptography is to be used."""
    if Path("/usr/lib/systemd/system/pints.service").exists():
        raise Stop(
            "pints is installed as a Debian package", "upgrade that, or: sudo apt remove pints"
        )
    if not machine.ask(PYTHON, "-c", "import ensurepip, venv")[0]:
        raise Stop("Python's venv module is missing", "sudo apt install python3-venv")
    # There is no ready-made cryptography for the processor of a Pi 1 or Zero, but where the
    # Raspberry Pi's own package index is asked.
    if not wheels and machine.ask("uname", "-m")[1] == "armv6l":
        settings = Path("/etc/pip.conf")
        debian |= not (settings.exists() and "piwheels" in settings.read_text())
    if debian and not machine.ask(PYTHON, "-c", DEBIANS)[0]:
        raise Stop(
            "Debian's cryptography is missing here, or older than 43",
            "on Debian 13: sudo apt install python3-openssl python3-service-identity",
        )
    return debian


def _why(machine: Machine, output: str) -> Stop:
    """Return what stopped pip."""
    errors = re.findall(r"^ *ERROR: (.*)", output, re.M)
    facts = {
        "now": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "processor": machine.ask("uname", "-m")[1],
        "error": errors[0] if errors else _last(output),
    }
    for pattern, problem, remedy in FAILURES:
        if re.search(pattern, output):
            return Stop(problem.format(**facts), remedy)
    return Stop(f"pip failed: {facts['error']}")


def _last(output: str) -> str:
    return output.rpartition("\n")[2]
