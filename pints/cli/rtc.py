"""`pints rtc`: what the real-time clock says and what is known of it; which chips are there.

The daemon is asked, if there is one; otherwise the chip is read here.  Nothing is ever written
to a chip but by the daemon, which knows whether the time is anchored.
"""

import argparse
import json
from typing import Any

from pints import drivers
from pints.cli.reports import add_status_options, show
from pints.config.load import load
from pints.control.client import NoDaemonError, ask, socket_path
from pints.drivers import FoundRtc
from pints.errors import PintsError
from pints.evidence.rtc import Calibration, decode_calibration
from pints.report.rtc import rtc_account
from pints.shell.system_clock import SystemClock
from pints.storage.board import board_id
from pints.timescale import span
from pints.values.files import RTC_FILE

Document = dict[str, Any]


def add(subparsers: Any) -> None:
    """The command's options."""
    parser = subparsers.add_parser(
        "rtc",
        help="the real-time clock: what it says, and which are there",
        description="Show the real-time clock: what it says, whether it vouches for that, how it "
        "drifts.  With `detect`, look for clocks at the addresses where they may be, without "
        "writing to any, and print the lines that configure them.  With `set`, have the daemon set "
        "it now, as it does by itself where that is worth it.  With `trim`, have the daemon "
        "take the drift that it has learned off the chip's own rate, for whoever else reads it.",
    )
    parser.add_argument(
        "what",
        nargs="?",
        choices=("show", "detect", *ORDERS),
        default="show",
        help="default: %(default)s",
    )
    add_status_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 when there is a clock, and when it vouches for its time."""
    if args.what == "detect":
        found = drivers.detect_rtcs()
        text = json.dumps({"found": [found_document(f) for f in found]}, indent=2)
        print(text if args.json else detect_text(found))
        return int(not any(f.drivers for f in found))
    if args.what in ORDERS:
        done = ask(socket_path(args), {"command": f"rtc-{args.what}"})
        print(json.dumps(done, indent=2) if args.json else ORDERS[args.what](done))
        return 0
    return show(lambda: document(args), rtc_text, lambda told: int(bool(told["flags"])), args)


def document(args: argparse.Namespace) -> Document:
    """What the daemon tells, or else what the chip does."""
    try:
        return ask(socket_path(args), {"command": "rtc"})
    except NoDaemonError:
        loaded = load(args.config)
    if not loaded.rtc.driver:
        raise PintsError(drivers.NO_RTC, drivers.NO_RTC_HINT)
    rtc = drivers.open_rtc(loaded.rtc, SystemClock())
    try:
        return rtc_account(rtc.name, rtc.read(), _calibration(loaded.state.directory), None)
    finally:
        rtc.close()


def _calibration(directory: str) -> Calibration | None:
    """What the daemon has learned, as far as this user may know."""
    try:
        with open(f"{directory}/{RTC_FILE}", "rb") as file:
            return decode_calibration(file.read(4096), board_id())
    except (OSError, PintsError):
        return None


# --- text ------------------------------------------------------------------------------------


def rtc_text(told: Document) -> str:
    """A line for each thing."""
    rows = [
        ("Chip", told["chip"]),
        ("Time (UTC)", told["time"]),
        ("Vouches for it", f"no: {', '.join(told['flags'])}" if told["flags"] else "yes"),
    ]
    if told["warnings"]:
        rows.append(("See to", ", ".join(told["warnings"])))
    if told["temperature"] is not None:
        rows.append(("Temperature", f"{told['temperature']:.2f} degrees C"))
    off, error = told["ahead_of_true_time"], told["ahead_of_true_time_error"]
    if off is None:
        off, error = told["ahead_of_clock"], told["ahead_of_clock_error"]
        rows.append(("System's clock", _off(off, error)))
    else:
        rows.append(("True time", f"{_off(off, error)}, {span(told['compared_ago'])} ago"))
    rows += [("Drift", _drift(told)), ("Set", _set(told))]
    return "\n".join(f"{label:<16}: {value}" for label, value in rows)


def _off(offset: float, error: float) -> str:
    way = "ahead" if offset > 0 else "behind"
    return f"it is {span(abs(offset))} {way}, +- {span(error)}"


def _drift(told: Document) -> str:
    drift = told["drift_ppm"]
    if drift is None:
        return "not measured yet: that takes a day of anchored time"
    way = "fast" if drift > 0 else "slow"
    error, weather = told["drift_error_ppm"], told["stability_ppm"]
    return f"{abs(drift):.2f} ppm {way}, +- {error:.2f}, and {weather:.0f} as temperature goes"


def _set(told: Document) -> str:
    if told["shared"]:
        return "by the kernel as well: it restores the clock and proves nothing"
    if told["set_by_pints"]:
        return f"by pints, {told['set_at']}: it confirms or disputes the witnesses"
    return "not by pints: it restores the clock and proves nothing"


def set_text(done: Document) -> str:
    """What is being done."""
    return f"{done['chip']}: is being set"


def trim_text(done: Document) -> str:
    """What was done."""
    change = done["change_ppm"]
    if not change:
        return f"{done['chip']}: as near as its register can tell already"
    return (
        f"{done['chip']}: {abs(change):.2f} ppm {'faster' if change > 0 else 'slower'} from now on"
    )


ORDERS = {"set": set_text, "trim": trim_text}
"""What only the daemon does to a chip, and how that is told."""


def detect_text(found: list[FoundRtc]) -> str:
    """What is where, and the lines for the configuration."""
    lines = []
    for one in found:
        names = " or ".join(name.upper() for name in one.drivers if name != "dev")
        said = ": ".join(part for part in (one.place, names, one.note) if part)
        lines.append(said)
        for name in one.drivers:
            lines += [f"    {line}" for line in _section(one, name)]
    return "\n".join(lines) or "no clock answers on any bus"


def _section(one: FoundRtc, driver: str) -> list[str]:
    lines = ["[rtc]", f'driver = "{driver}"']
    if one.bus is None:
        return [*lines, f'device = "{one.device}"']
    return [*lines, f"bus = {one.bus}"]


def found_document(one: FoundRtc) -> Document:
    """For programs."""
    return {
        "place": one.place,
        "drivers": list(one.drivers),
        "bus": one.bus,
        "address": one.address,
        "device": one.device or None,
        "note": one.note,
    }
