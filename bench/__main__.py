"""`python -m bench [NAME...]`: run the benchmarks, all if none is named."""

import argparse
import os
import sys
from importlib import import_module

from bench.machine import machine
from bench.programs import MissingError

BENCHMARKS = (
    "restore", "writes", "worker", "filter", "replies", "loopback", "verified", "memory", "wakeups",
    "drivers", "gps", "refclock", "accuracy", "month", "lived",
)  # fmt: skip
"""Modules of this package, the longest last.  Each has GOAL and `measure(runs)`, where `runs`
of 0 means as many as it needs."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure pints.")
    parser.add_argument("name", nargs="*", help=f"what to measure: {', '.join(BENCHMARKS)}")
    parser.add_argument("--list", action="store_true", help="list the benchmarks, run none")
    parser.add_argument("--runs", type=int, default=0, help="runs of each, for a quick look")
    args = parser.parse_args()
    if unknown := set(args.name) - set(BENCHMARKS):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; see --list")
    # As installed: byte-compiled, and by no wish of whoever measures.
    for name in [name for name in os.environ if name.startswith("PYTHON")]:
        del os.environ[name]
    status = 0
    if not args.list:
        print(machine(), flush=True)
    for name in args.name or BENCHMARKS:
        module = import_module(f"bench.{name}")
        subject = (module.__doc__ or "").partition("\n")[0]
        if args.list:
            print(f"{name:9} {subject}  Goal: {module.GOAL}.")
            continue
        print(f"\n{name}: {subject}", flush=True)
        try:
            module.measure(args.runs)
        except MissingError as e:
            print(f"  not measured: {e}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
