"""Run the tests of one machine, inside of it:

    python -m tests.kernel MACHINE [WORD FOR PYTEST]...

Its exit status is pytest's.  Where the machine cannot be had they are skipped, with the reason;
in CI that is a failure.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tests.kernel import qemu, uml
from tests.kernel.machine import MissingError

MACHINES: Mapping[str, Callable[[Sequence[str]], int]] = {
    "uml": uml.run,
    "virt": partial(qemu.run, qemu.VIRT),
    "raspi3b": partial(qemu.run, qemu.RASPI3B),
    "raspi3b-held": partial(qemu.run, qemu.RASPI3B_HELD),
}


def main() -> int:
    run = MACHINES[sys.argv[1]]
    try:
        return run(sys.argv[2:])
    except MissingError as e:
        if os.environ.get("CI"):
            print(f"{e}; in CI it must be there")
            return 1
        print(f"skipped: {e}")
        return 0


if __name__ == "__main__":
    sys.exit(main())
