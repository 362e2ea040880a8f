"""`python -m pints` is `pints`."""

import sys

from pints.cli import main

if __name__ == "__main__":
    sys.exit(main())
