#!/usr/bin/env python3
"""Start Debian's kernel that runs as a process (User Mode Linux), whatever processor this is.

    .peers/bin/linux.uml WORD...

Linux 6.1 as a process keeps 2696 octets of floating-point registers for each of its programs, which
is what AVX-512 has, and sets them by ptrace(2), which takes all that the processor has or nothing.
With AMX that is 11008 octets, and the kernel panics before its first program: "ptrace set fp regs
failed, errno = 14".  There a copy of the kernel is started in which this one size is the
processor's.  What lies in its memory behind the 2696 octets is passed along and not looked at: the
registers' own header says that they have nothing there, unless a program asked for AMX.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

KERNEL = Path(__file__).resolve().parent.parent / ".peers/uml/linux"
KEPT = 2696
"""Octets of registers that the kernel has room for: HOST_FP_SIZE, arch/x86/um/user-offsets.c."""

# put_fp_registers() of arch/x86/um/os-Linux/registers.c: movq KEPT to iov_len; mov to %edi.
CALL = b"\x48\xc7\x45\xf8%b\xbf\x05\x42\x00\x00"

PTRACE_TRACEME = 0  # linux/ptrace.h
PTRACE_GETREGSET = 0x4204
NT_X86_XSTATE = 0x202  # linux/elf.h


class Iovec(ctypes.Structure):
    """struct iovec, linux/uio.h."""

    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


def processors_size() -> int:
    """Return how many octets of registers ptrace(2) wants here."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long
    child = os.fork()
    if child == 0:
        ptrace(PTRACE_TRACEME, 0, None, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(1)
    try:
        os.waitpid(child, os.WUNTRACED)
        room = ctypes.create_string_buffer(1 << 20)
        iov = Iovec(ctypes.addressof(room), len(room))
        if ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, ctypes.addressof(iov)):
            raise OSError(ctypes.get_errno(), "ptrace does not show a process's registers")
        return int(iov.len)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def fitting(kernel: Path, size: int) -> Path:
    """Return the kernel, or the copy of it for registers of `size` octets, made once."""
    if size <= KEPT:
        return kernel
    copy = kernel.with_name(f"{kernel.name}-{size}")
    if not copy.exists():
        as_built, wanted = (CALL % n.to_bytes(4, "little") for n in (KEPT, size))
        content = kernel.read_bytes()
        if content.count(as_built) != 1:
            sys.exit(f"{kernel}: not the kernel that is known not to fit this processor")
        new = copy.with_name(f"{copy.name}.{os.getpid()}")
        new.write_bytes(content.replace(as_built, wanted))
        new.chmod(0o755)
        new.rename(copy)
    return copy


if __name__ == "__main__":
    program = str(fitting(KERNEL, processors_size()))
    os.execv(program, [program, *sys.argv[1:]])  # noqa: S606 - no shell is wanted
