"""A root file system in memory, for a kernel that knows no disk: trees as a cpio archive.

The format is `newc` (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).  All
belongs to root there, whoever owns it here.
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO


def add_tree(
    archive: BinaryIO, tree: Path, place: str = "", left_out: tuple[str, ...] = ()
) -> None:
    """Add what is below `tree` as what is below `place` (`src/`), less what begins with any of
    `left_out`."""
    for path in sorted(tree.rglob("*")):
        name = str(path.relative_to(tree))
        if name.startswith(left_out):
            continue
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            add(archive, place + name, mode, os.readlink(path).encode())
        elif stat.S_ISDIR(mode):
            add(archive, place + name, mode)
        elif stat.S_ISREG(mode):
            add(archive, place + name, mode, path.read_bytes())


def add(archive: BinaryIO, name: str, mode: int, data: bytes = b"") -> None:
    """Add one entry; its folder must be there already."""
    encoded = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0]
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    archive.write(header + bytes(-len(header) % 4) + data + bytes(-len(data) % 4))


def end(archive: BinaryIO) -> None:
    """Nothing follows."""
    add(archive, "TRAILER!!!", 0)
