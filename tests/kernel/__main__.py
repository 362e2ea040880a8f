"""Run the tests of one machine, inside of it:

    python -m tests.kernel uml [WORD FOR PYTEST]...

Its exit status is pytest's.  Where the machine cannot be had they are skipped, with the reason;
in CI that is a failure.
"""

import os
import sys

from tests.kernel.machines import MACHINES, MissingError


def main() -> int:
    machine = MACHINES[sys.argv[1]]
    try:
        return machine(sys.argv[2:])
    except MissingError as e:
        print(f"skipped: {e}")
        return int(bool(os.environ.get("CI")))


if __name__ == "__main__":
    sys.exit(main())
