"""Memory and CPU time that the driver of a GPS receiver adds to the daemon, and pynmea2 would.

A u-blox receiver's UBX and NMEA of half an hour, as it leaves a UART, on a pseudo-terminal, in
virtual time.  Beside it the same with every sentence parsed by pynmea2.  The interpreter has
imported what a daemon with a receiver has.
"""

import json
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


def measure(runs: int) -> None:
    with folder() as place:
        found = {
            what: [_run(what, place / f"{n}") for n in range(runs or RUNS)]
            for what in (WITHOUT, WITH, PYNMEA2)
        }

    def series(figure: str, *whose: str) -> list[tuple[str, Series]]:
        return [(what, Series.of(run[figure] for run in found[what])) for what in whose]

    show("resident memory (VmRSS), MiB", series("memory", WITHOUT, WITH, PYNMEA2), digits=2)
    show("CPU time to load it, ms", series("loading", WITH, PYNMEA2))
    show("CPU time of a second's bytes, ms", series("second", WITH, PYNMEA2), digits=2)


def _run(what: str, place: Path) -> dict[str, float]:
    place.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "bench.gps", what, str(place)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return dict(json.loads(done.stdout))


# --- the process that is measured ------------------------------------------------------------


def _main(what: str, place: Path) -> None:
    # Imported as the daemon does.
    import pints.corroboration
    import pints.daemon
    import pints.shell.devices  # noqa: F401 - what it costs is there in each of them

    began = time.process_time()
    parse: Callable[[bytes], object] | None = None
    if what == PYNMEA2:
        import pynmea2

        def parse(sentence: bytes) -> object:
            return pynmea2.parse(sentence.decode(), check=True)

    spent = 0.0
    loading = 0.0
    if what != WITHOUT:
        loading, spent = _listen(place / "receiver", parse, began)
    status = Path("/proc/self/status").read_text()
    kib = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
    figures = {"memory": int(kib) / 1024, "loading": loading * 1e3, "second": spent * 1e3 / SECONDS}
    print(json.dumps(figures))


def _listen(
    path: Path, parse: Callable[[bytes], object] | None, began: float
) -> tuple[float, float]:
    """CPU time of loading the driver, and of its share in all those seconds."""
    from pints.drivers import RefclockConfig, open_refclock
    from pints.shell.software_clock import SoftwareClock
    from pints.timescale import NS, Instant

    clock = SoftwareClock(Instant(0))
    path.unlink(missing_ok=True)
    import pints_drivers.gps  # noqa: F401 - the driver's table would import it below

    loading = time.process_time() - began
    from pints_drivers.fake_receiver import Line, nmea_burst, paced, ubx_burst

    line = Line(path, BAUD)
    driver = open_refclock(RefclockConfig("gps", str(path), baud=BAUD), clock)
    spent = 0.0
    for n in range(SECONDS):
        time_now = Instant((1_790_000_000 + n) * NS)
        burst = ubx_burst(time_now, leap=(0, 0), qerr=0) + nmea_burst(time_now)
        for _, piece in paced([(0.0, burst)], BAUD):
            line.send(piece)
            before = time.process_time()
            driver.reports()
            spent += time.process_time() - before
        if parse is not None:
            sentences = nmea_burst(time_now).split()
            before = time.process_time()
            for sentence in sentences:
                parse(sentence)
            spent += time.process_time() - before
    driver.close()
    line.unplug()
    return loading, spent


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
