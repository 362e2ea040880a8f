"""Files outside of /opt/pints: what they are, and the manifest by which they can be removed."""

from collections.abc import Iterator
from pathlib import Path

from installer.machine import OPT, Machine, Stop

MANIFEST = OPT / "manifest"
CONFIGURATION = Path("/etc/pints/pints.toml")
PROGRAM = Path("/usr/local/bin/pints")
FOLDERS = {"usr/lib": "/etc", "usr/share/pints": f"{OPT}/share"}
"""Folders of the Debian package (debian/pints.install), and those of an administrator."""
PATHS = {
    "/usr/lib/python3/dist-packages": f"{OPT}/lib/python3/site-packages",
    "/usr/bin/pints": f"{OPT}/bin/pints",
    "/usr/share/pints": f"{OPT}/share",
    "/usr/share/doc/pints": f"{OPT}/share/doc",
}
"""The Debian package's paths in the text of files, and ours."""
HOOKS = (
    ("dhclient.sh", Path("/etc/dhcp/dhclient-exit-hooks.d/pints"), 0o644),
    ("dhcpcd.sh", Path("/usr/lib/dhcpcd/dhcpcd-hooks/60-pints"), 0o644),
    ("networkmanager.sh", Path("/etc/NetworkManager/dispatcher.d/50-pints"), 0o755),
)
"""For the DHCP clients that are there: file, place, mode."""


def recorded(kind: str) -> list[str]:
    """Return the manifest's paths (or names) of a kind: file, folder, group."""
    lines = MANIFEST.read_text().splitlines() if MANIFEST.exists() else []
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{kind} ")]


def record(machine: Machine, kind: str, what: object) -> None:
    """Write something into the manifest, before it is made: so it can always be removed."""
    if not machine.dry and str(what) not in recorded(kind):
        with MANIFEST.open("a") as manifest:
            manifest.write(f"{kind} {what}\n")


def put_all(machine: Machine, source: Path) -> None:
    """Put every file in its place, and remove those that only the version before had."""
    placed = [PROGRAM]
    for file, place, mode in _places(source):
        _put(machine, file, place, mode)
        placed.append(place)
    machine.run("mkdir", "-p", OPT / "share/doc")
    # As they are: they tell of both places.
    machine.run("cp", *sorted(source.glob("docs/*.md")), OPT / "share/doc")
    if not CONFIGURATION.exists():
        # Not recorded: what an administrator may have changed is removed by --purge only.
        machine.run("mkdir", "-p", CONFIGURATION.parent / "conf.d")
        machine.run("install", "-m", "644", source / "etc/pints.toml", CONFIGURATION)
    _claim(machine, PROGRAM)
    machine.link(OPT / "bin/pints", PROGRAM)
    for old in recorded("file"):
        if Path(old) not in placed:
            machine.run("rm", "-f", old)


def remove_all(machine: Machine) -> None:
    """Remove what the manifest names."""
    # Drop-ins that somebody linked in from here would lead nowhere.
    for folder in Path("/etc/systemd/system").glob("pints*.service.d"):
        for path in folder.iterdir():
            if path.is_symlink() and path.readlink().is_relative_to(OPT):
                machine.run("rm", "-f", path)
        machine.run("rmdir", "--ignore-fail-on-non-empty", folder)
    for file in recorded("file"):
        machine.run("rm", "-f", file, f"{file}.new")
    # The last made first, so that a folder is empty when it is its turn.
    for made in reversed(recorded("folder")):
        if Path(made).is_dir():
            machine.run("rmdir", "--ignore-fail-on-non-empty", made)


def _places(source: Path) -> Iterator[tuple[Path, Path, int]]:
    """What is installed, where, and with which mode."""
    for line in (source / "debian/pints.install").read_text().splitlines():
        pattern, folder = line.split()
        for packaged, ours in FOLDERS.items():
            if folder.startswith(packaged):
                for path in sorted(source.glob(pattern)):
                    place = Path(f"{ours}{folder.removeprefix(packaged)}", path.name)
                    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                        yield file, place / file.relative_to(path), 0o644
    for name, place, mode in HOOKS:
        if place.parent.is_dir():
            yield source / "systemd/hooks" / name, place, mode


def _put(machine: Machine, file: Path, place: Path, mode: int) -> None:
    """Put one file in its place, with our paths in it: old or new at every instant."""
    _claim(machine, place)
    if machine.dry:
        print(f"    put {file} at {place}")
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    text = file.read_text()
    for packaged, ours in PATHS.items():
        text = text.replace(packaged, ours)
    new = Path(f"{place}.new")
    new.write_text(text)
    new.chmod(mode)
    new.rename(place)


def _claim(machine: Machine, place: Path) -> None:
    """Record a file to be made.  What lies in our own folder needs none: that goes as a whole."""
    if place.is_relative_to(OPT):
        return
    if (place.exists() or place.is_symlink()) and str(place) not in recorded("file"):
        raise Stop(f"{place} is there already and not from here", "move it away and run this again")
    missing = [folder for folder in place.parents if not folder.is_dir()]
    for folder in reversed(missing):
        record(machine, "folder", folder)
        machine.run("mkdir", folder)
    record(machine, "file", place)
