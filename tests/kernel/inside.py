"""The first process of a kernel that is booted for tests: loads modules, runs the tests, tells how
they ended, and waits for the plug to be pulled: not every board can do that itself.

    python -m tests.kernel.inside ['MODULE.ko PARAMETERS']... -- [WORD FOR PYTEST]...
"""

import ctypes
import lzma
import os
import platform
import signal
import sys
from pathlib import Path

import pytest

INIT_MODULE = {"x86_64": 175, "aarch64": 105}  # asm/unistd.h; the C library has no call for it
MARK = "pytest ended with status "


def load(module: str) -> None:
    """Give a module to the kernel.  OSError if it will not have it."""
    path, _, parameters = module.partition(" ")
    content = Path(path).read_bytes()
    if path.endswith(".xz"):
        content = lzma.decompress(content)
    library = ctypes.CDLL(None, use_errno=True)
    length = ctypes.c_ulong(len(content))
    if library.syscall(INIT_MODULE[platform.machine()], content, length, parameters.encode()):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)


def main() -> None:
    """What pytest says goes to the console as it comes."""
    split = sys.argv.index("--")
    for module in sys.argv[1:split]:
        load(module)
    status = int(pytest.main(sys.argv[split + 1 :]))
    print(f"{MARK}{status}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
