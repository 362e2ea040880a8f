"""The worker needs no capability, so it keeps none: not even the clock's, which it inherits.

What this guarantees: after `drop`, nothing that this process does or starts can set the clock,
though the daemon can.  A worker that cannot be sure of that does not begin.
"""

import ctypes
import os

# linux/capability.h, linux/prctl.h
_VERSION_3 = 0x20080522
_PR_SET_NO_NEW_PRIVS = 38


class _Header(ctypes.Structure):
    """struct __user_cap_header_struct."""

    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


def drop() -> None:
    """Give up every capability, for good.  OSError where the system refuses.

    To be called before there is a second thread: each has capabilities of its own.
    """
    library = ctypes.CDLL(None, use_errno=True)
    # For root, who would get all of them back by starting another program.
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _error()
    # Effective, permitted and inheritable, 64 bits of each; nothing that is not permitted can be
    # ambient, so that goes as well (capabilities(7)).
    nothing = (ctypes.c_uint32 * 6)()
    if library.capset(ctypes.byref(_Header(_VERSION_3, 0)), nothing):
        raise _error()


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"cannot drop capabilities: {os.strerror(number)}")
