"""User Mode Linux on this machine's own files, read-only: I2C chips that are registers, pulses of
the kernel's timer, a serial port."""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pints_drivers.rtc_chips import CHIPS
from tests.kernel.far_end import FarEnd
from tests.kernel.machine import PEERS, ROOT, MissingError, boot, init

TESTS = "i2c_stub", "pps", "gps", "daemon"


def run(words: Sequence[str]) -> int:
    """Boot it; the status of its tests."""
    kernel = PEERS / "bin/linux.uml"
    if not kernel.exists():
        raise MissingError(f"{kernel} is missing (it is for x86 only): make peers")
    drivers = next((PEERS / "modules").iterdir()) / "kernel/drivers"
    addresses = ",".join(sorted({hex(chip.address) for chip in CHIPS.values()}))
    modules = [
        f"{drivers}/i2c/i2c-core.ko", f"{drivers}/i2c/i2c-dev.ko",
        f"{drivers}/i2c/i2c-stub.ko chip_addr={addresses}",
        f"{drivers}/pps/pps_core.ko", f"{drivers}/pps/clients/pps-ktimer.ko",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        script = place / "init"
        script.write_text(
            init(ROOT, sys.executable, modules, TESTS, words, PINTS_KERNEL_SERIAL="/dev/ttyS1")
        )
        script.chmod(0o755)
        with FarEnd(place / "receiver") as receiver:
            return boot([
                str(kernel), "rootfstype=hostfs", "rootflags=/", "ro", "mem=512M", "quiet",
                "con=null", "con0=null,fd:1", "con1=null",
                f"ssl1=tty:{receiver.path.resolve()}", f"init={script}",
            ])  # fmt: skip
