"""Giving back the memory that only starting up needed."""

import ctypes
import gc


def release() -> None:
    """Collect what the imports left over, and hand free pages back to the kernel.

    Half a megabyte of a daemon's 26: code compiled, dataclasses made twice, TOML parsed.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own
    if trim is not None:
        trim(0)
