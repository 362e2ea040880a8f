"""Which real-time clocks are there, told by reading alone (`pints rtc detect`).

Several chips share an address, with each other and with things that are no clocks.  A chip is
possible if what is read has digits of time, and zeros where its datasheet says so; it is certain
if a transfer wraps where that chip's registers end.  What stays open is said to.
"""

import os
from errno import EBUSY

from pints.drivers import FoundRtc
from pints.errors import DeviceError
from pints_drivers.i2c_bus import Bus, holder, open_bus
from pints_drivers.i2c_rtc import BAD_BCD, BAD_DATE, decode
from pints_drivers.rtc_chips import CHIPS, Chip

DEV = "/dev"
CLOCKS = "/sys/class/rtc"
WHO_AM_I = 0x75
SENSORS = {0x68: "MPU-6050", 0x70: "MPU-6500", 0x71: "MPU-9250"}
"""What motion sensors at 0x68 and 0x69 answer there (InvenSense register maps)."""
COMPARED = 8
"""Registers that are read past the last one, to see whether they are the first."""


def detect() -> list[FoundRtc]:
    """The kernel's clocks, then whatever answers on the buses."""
    found = kernel_clocks()
    buses = sorted(
        int(name[4:]) for name in os.listdir(DEV) if name[:4] == "i2c-" and name[4:].isdigit()
    )
    if not buses and not found:
        raise DeviceError(
            "no I2C bus and no clock of the kernel's here",
            "switch the bus on: dtparam=i2c_arm=on in config.txt, and modprobe i2c-dev",
        )
    for number in buses:
        found += on_bus(number)
    return found


def kernel_clocks() -> list[FoundRtc]:
    """`/dev/rtc*`, each with its driver and where the chip is."""
    try:
        names = sorted(os.listdir(CLOCKS))
    except OSError:
        return []
    found = []
    for name in names:
        place = os.path.basename(os.path.realpath(f"{CLOCKS}/{name}/device"))
        try:
            with open(f"{CLOCKS}/{name}/name", encoding="ascii", errors="replace") as file:
                driver = file.read(80).split()[0]
        except (OSError, IndexError):
            driver = "a driver without a name"
        note = f"held by the kernel: {driver} at {place}"
        found.append(FoundRtc(f"/dev/{name}", ("dev",), note, device=f"/dev/{name}"))
    return found


def on_bus(number: int) -> list[FoundRtc]:
    """What answers at the addresses of clocks, and who holds those that are held."""
    bus = open_bus(number)
    found = []
    try:
        for address in sorted({chip.address for chip in CHIPS.values()}):
            place = f"i2c-{number} 0x{address:02x}"
            held = holder(number, address)
            if held:
                found.append(FoundRtc(place, (), f"held by the kernel's driver {held}"))
                continue
            try:
                names, note = identify(bus, address)
            except OSError as e:
                if e.errno == EBUSY:
                    found.append(FoundRtc(place, (), "held by a driver of the kernel"))
                continue  # otherwise nobody is there
            found.append(FoundRtc(place, names, note, number, address))
    finally:
        bus.close()
    return found


def identify(bus: Bus, address: int) -> tuple[tuple[str, ...], str]:
    """The drivers that fit what answers at an address, and what to say of it.  OSError where
    nobody answers."""
    here = {name: chip for name, chip in CHIPS.items() if chip.address == address}
    said = bytes(bus.read_i2c_block_data(address, 0, max(c.registers for c in here.values())))
    fitting = [name for name, chip in here.items() if fits(chip, said)]
    certain = tuple(name for name in fitting if wraps(here[name], bus, address, said))
    if certain:
        return certain, _which(certain)
    who = bus.read_i2c_block_data(address, WHO_AM_I, 1)[0]
    if address == 0x68 and who in SENSORS:
        return (), f"a motion sensor ({SENSORS[who]}), no clock"
    if not fitting:
        return (), "no clock that pints knows, or one that was never set"
    return tuple(fitting), _which(tuple(fitting))


def fits(chip: Chip, said: bytes) -> bool:
    """Whether these can be the registers of that chip."""
    if any(said[register] & mask for register, mask in chip.zeros):
        return False
    return not {BAD_BCD, BAD_DATE} & set(decode(chip, said)[1])


def wraps(chip: Chip, bus: Bus, address: int, said: bytes) -> bool:
    """Whether a transfer goes on at register 0 after the chip's last.  Time may tick meanwhile,
    which moves seconds, and seldom more: then the chip is not certain this once."""
    return any(
        _same(chip, bus.read_i2c_block_data(address, last - 1, 1 + COMPARED)[1:], said)
        for last in chip.wraps
    )


def _same(chip: Chip, past: list[int], said: bytes) -> bool:
    pairs = enumerate(zip(past, said, strict=False))
    same = all(now == before for place, (now, before) in pairs if place != chip.seconds)
    return same and len(set(past)) > 1


def _which(names: tuple[str, ...]) -> str:
    return "" if len(names) == 1 else "cannot be told apart from here: take the one on its label"
