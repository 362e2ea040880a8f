"""Memory and CPU time that the driver of a GPS receiver adds to the daemon, and pynmea2 would.

A u-blox receiver's UBX and NMEA of half an hour, as it leaves a UART, on a pseudo-terminal, in
virtual time.  Beside it the same with every sentence parsed by pynmea2.  The interpreter has
imported what a daemon with a receiver has.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.programs import ROOT, folder
from bench.series import Series, show

GOAL = "none: they say what a receiver costs, and why sentences are read without a library"
RUNS = 5
SECONDS = 1800
BAUD = 115200
WITHOUT, WITH, PYNMEA2 = "the daemon without", "with the driver", "and with pynmea2"
WOKEN, READS = "woken by all that comes", "bare reads of all that comes"


def measure(runs: int) -> None:
    with folder() as place:
        found = {
            what: [_run(what, place / f"{n}") for n in range(runs or RUNS)]
            for what in (WITHOUT, WITH, PYNMEA2, WOKEN, READS)
        }

    def series(figure: str, *whose: str) -> list[tuple[str, Series]]:
        return [(what, Series.of(run[figure] for run in found[what])) for what in whose]

    show("resident memory (VmRSS), MiB", series("memory", WITHOUT, WITH, PYNMEA2), digits=2)
    show("CPU time to load it, ms", series("loading", WITH, PYNMEA2))
    show(
        "CPU time of a second's bytes, ms", series("second", WITH, WOKEN, READS, PYNMEA2), digits=2
    )
    show("reads a second", series("reads", WITH, WOKEN), digits=1)


def _run(what: str, place: Path) -> dict[str, float]:
    place.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "bench.gps", what, str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


# --- the process that is measured ------------------------------------------------------------


def _main(what: str, place: Path) -> None:
    # Imported as the daemon does.
    import pints.daemon
    import pints.evidence.independent
    import pints.shell.refclock_devices  # noqa: F401 - what it costs is there in each of them

    began = time.process_time()
    parse: Callable[[bytes], object] | None = None
    if what == PYNMEA2:
        import pynmea2

        def parse(sentence: bytes) -> object:
            return pynmea2.parse(sentence.decode(), check=True)

    figures = {} if what == WITHOUT else _listen(what, place / "receiver", parse, began)
    status = Path("/proc/self/status").read_text()
    kib = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
    print(json.dumps({"memory": int(kib) / 1024, **figures}))


def _listen(
    what: str, path: Path, parse: Callable[[bytes], object] | None, began: float
) -> dict[str, float]:
    """CPU time of loading the driver, and of its share in a second; its reads in one."""
    from pints.drivers import RefclockConfig, open_refclock
    from pints.shell.software_clock import SoftwareClock
    from pints.timescale import NS, Instant, nanoseconds

    passed = 0
    clock = SoftwareClock(Instant(0), timebase=lambda: passed)
    path.unlink(missing_ok=True)
    from pints_drivers.gps import MOST, Gps

    loading = time.process_time() - began
    from pints_drivers.fake_receiver import Line, nmea_burst, paced, ubx_burst

    line = Line(path, BAUD)
    driver = open_refclock(RefclockConfig("gps", str(path), baud=BAUD), clock)
    assert isinstance(driver, Gps)
    spent, reads, pause_ends = 0.0, 0, 0

    def read() -> float:
        """CPU time that it took."""
        nonlocal reads, pause_ends
        reads += 1
        before = time.process_time()
        if what == READS:
            os.read(driver.fileno(), MOST)
        else:
            driver.reports()
        pause = driver.pause() if what in (WITH, PYNMEA2) else 0.0
        took = time.process_time() - before
        pause_ends = passed + nanoseconds(pause) if pause else 0
        return took

    for n in range(SECONDS):
        time_now = Instant((1_790_000_000 + n) * NS)
        burst = ubx_burst(time_now, leap=(0, 0), qerr=0) + nmea_burst(time_now)
        for due, piece in [*paced([(float(n), burst)], BAUD), (n + 0.9, b"")]:
            while pause_ends and pause_ends <= nanoseconds(due):
                passed = pause_ends
                spent += read()
            passed = nanoseconds(due)
            line.send(piece)
            if piece and not pause_ends:
                spent += read()
        if parse is not None:
            sentences = nmea_burst(time_now).split()
            before = time.process_time()
            for sentence in sentences:
                parse(sentence)
            spent += time.process_time() - before
    driver.close()
    line.unplug()
    second = (spent * 1e3) / SECONDS
    return {"loading": loading * 1e3, "second": second, "reads": reads / SECONDS}


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
