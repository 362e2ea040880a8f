"""The real-time clocks that pints knows: a chip is a table of its registers.

Names are the datasheets'.  Time is seven BCD registers in a row in all of them, seconds, minutes
and hours first; what differs is declared here and `i2c_rtc` does the rest.  Above each table is the
title of the datasheet whose facts it has.
"""

from typing import NamedTuple

COMPENSATED = 5e-6
"""What temperature does to the rate of a chip that compensates for it, a fraction: of the worst of
them, the DS3231M, which looks like any DS3231."""
BARE = 30e-6
"""The same of a watch crystal, outdoors."""
REGULAR = 1.0
"""Writing the seconds restarts the divider: the next second comes a second later."""
NXP_STOP = 0.5079
"""The divider starts half-way: seconds are counted 0.507813 to 0.507935 s after STOP is released
(PCF8563 and PCF85063A, section `STOP bit function`), and regularly from then on."""
PCF8523_STOP = 0.49994
"""The same: 0.499878 to 0.500000 s (RV-8523, which has a PCF8523 inside, section of that name)."""


class Bit(NamedTuple):
    """A bit that says something about the chip."""

    name: str
    register: int
    mask: int
    bad: bool = True
    """The state in which it is worth telling."""


class Setting(NamedTuple):
    """What the bits under `mask` of a register are set to whenever the time is set."""

    register: int
    mask: int
    value: int


class Trim(NamedTuple):
    """A register that slows the chip down by `step` (a fraction) for each of its counts, or
    speeds it up for each below zero."""

    name: str
    register: int
    bits: int
    """How wide the number is, its sign included; bits above it belong to something else."""
    step: float
    two_complement: bool = True
    """False: sign and magnitude, where a set sign is below zero."""
    use: Setting | None = None
    """Made after it where the chip would not use it at once."""


class Chip(NamedTuple):
    """One chip's registers."""

    address: int
    """Where it is on a bus: all of these are wired to one."""
    registers: int
    """How many are read, from 0 on, in one go."""
    seconds: int
    """The first of the seven registers of time."""
    flags: tuple[Bit, ...]
    """Why the chip does not vouch for its time."""
    warnings: tuple[Bit, ...] = ()
    """What its owner should see to, while the time is good."""
    date_first: bool = False
    """Day of the month before day of the week, as NXP has it."""
    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    """Sunday to Saturday."""
    twelve: Bit | None = None
    """Set: hours are 1 to 12, and bit 5 of theirs is PM."""
    beside: tuple[int, ...] = (0, 0, 0, 0, 0, 0, 0)
    """Control bits among the seven, which are set whenever the time is."""
    stop: Setting | None = None
    """Holds the divider while the time is written; released after it."""
    settings: tuple[Setting, ...] = ()
    """Made before the time is written: oscillator and battery on, 24 hours."""
    cleared: tuple[Setting, ...] = ()
    """Made after it: flags."""
    first_tick: float = REGULAR
    """How long after a write the seconds are counted for the first time, seconds."""
    latched: bool = True
    """Whether one transfer reads one moment.  Otherwise it takes two that agree."""
    stability: float = BARE
    temperature: int | None = None
    """Register of whole degrees Celsius; bits 7 and 6 of the next are quarters."""
    trim: Trim | None = None
    wraps: tuple[int, ...] = ()
    """After so many registers a transfer goes on at 0, where the datasheet says so."""
    zeros: tuple[tuple[int, int], ...] = ()
    """Bits (register, mask) that are always read as 0, besides those among the time's."""


DALLAS_12_HOURS = 0x40
"""Bit 6 of the hours."""

# Maxim DS3231, `Extremely Accurate I2C-Integrated RTC/TCXO/Crystal`.  It compensates its crystal
# for temperature.
DS3231 = Chip(
    address=0x68,
    registers=0x13,
    seconds=0x00,
    flags=(Bit("OSF", 0x0F, 0x80),),
    warnings=(Bit("EOSC", 0x0E, 0x80),),
    twelve=Bit("12/24", 0x02, DALLAS_12_HOURS),
    settings=(Setting(0x0E, 0x80, 0),),
    cleared=(Setting(0x0F, 0x80, 0),),
    stability=COMPENSATED,
    temperature=0x11,
    # 0.1 ppm at +25 degrees Celsius, typically.  CONV: otherwise it is used when the temperature
    # changes.
    trim=Trim("Aging Offset", 0x10, 8, 0.1e-6, use=Setting(0x0E, 0x20, 0x20)),
    wraps=(0x13,),
    zeros=(
        (0x00, 0x80), (0x01, 0x80), (0x02, 0x80), (0x03, 0xF8), (0x04, 0xC0), (0x05, 0x60),
        (0x0F, 0x70), (0x12, 0x3F),
    ),
)  # fmt: skip

# Maxim DS1307, `64 x 8, Serial, I2C Real-Time Clock`.  CH stops the oscillator: it is set when
# power comes without a battery.
DS1307 = Chip(
    address=0x68,
    registers=0x08,
    seconds=0x00,
    flags=(Bit("CH", 0x00, 0x80),),
    twelve=Bit("12/24", 0x02, DALLAS_12_HOURS),
    wraps=(0x40,),
    zeros=(
        (0x01, 0x80), (0x02, 0x80), (0x03, 0xF8), (0x04, 0xC0), (0x05, 0xE0), (0x07, 0x6C),
    ),
)  # fmt: skip

# Maxim DS1338, `I2C RTC with 56-Byte NV RAM`: a DS1307 that remembers that it has stopped.
DS1338 = DS1307._replace(
    flags=(*DS1307.flags, Bit("OSF", 0x07, 0x20)),
    cleared=(Setting(0x07, 0x20, 0),),
    zeros=(*DS1307.zeros[:-1], (0x07, 0x4C)),
)

# NXP PCF8523, `Real-Time Clock (RTC) and calendar`.  As it comes, PM is 111: the battery is not
# used, and none is missed.
PCF8523 = Chip(
    address=0x68,
    registers=0x14,
    seconds=0x03,
    flags=(Bit("OS", 0x03, 0x80), Bit("STOP", 0x00, 0x20)),
    warnings=(Bit("BLF", 0x02, 0x04),),
    date_first=True,
    weekdays=(0, 1, 2, 3, 4, 5, 6),
    twelve=Bit("12_24", 0x00, 0x08),
    stop=Setting(0x00, 0x20, 0x20),
    # 24 hours; switch-over in standard mode, battery watched.
    settings=(Setting(0x00, 0x08, 0), Setting(0x02, 0xE0, 0)),
    first_tick=PCF8523_STOP,
    # Corrected once every two hours (MODE 0), which is how it comes.
    trim=Trim("OFFSET", 0x0E, 7, 4.34e-6),
    wraps=(0x14,),
    zeros=((0x00, 0x40), (0x02, 0x10), (0x04, 0x80), (0x05, 0xC0), (0x06, 0xC0), (0x07, 0xF8),
           (0x08, 0xE0)),
)  # fmt: skip

# NXP PCF85063A, `Tiny Real-Time Clock/calendar with alarm function and I2C-bus`, and PCF85063TP,
# `Tiny Real-Time Clock/calendar`, which ends after the years.
PCF85063 = Chip(
    address=0x51,
    registers=0x0B,
    seconds=0x04,
    flags=(Bit("OS", 0x04, 0x80), Bit("STOP", 0x00, 0x20), Bit("EXT_TEST", 0x00, 0x80)),
    date_first=True,
    weekdays=(0, 1, 2, 3, 4, 5, 6),
    twelve=Bit("12_24", 0x00, 0x02),
    stop=Setting(0x00, 0x20, 0x20),
    # 24 hours; EXT_TEST off, which it may come up with when a battery is put in.
    settings=(Setting(0x00, 0x82, 0),),
    first_tick=NXP_STOP,
    trim=Trim("Offset", 0x02, 7, 4.34e-6),
    wraps=(0x12, 0x0B),
    zeros=((0x00, 0x48), (0x05, 0x80), (0x06, 0xC0), (0x07, 0xC0), (0x08, 0xF8), (0x09, 0xE0)),
)

# NXP PCF8563, `Real-time clock/calendar`.
PCF8563 = Chip(
    address=0x51,
    registers=0x10,
    seconds=0x02,
    flags=(Bit("VL", 0x02, 0x80), Bit("STOP", 0x00, 0x20), Bit("TEST1", 0x00, 0x80)),
    date_first=True,
    weekdays=(0, 1, 2, 3, 4, 5, 6),
    stop=Setting(0x00, 0x20, 0x20),
    # TEST1 off, and the bits that are read as anything and written as 0.
    settings=(Setting(0x00, 0xD7, 0),),
    first_tick=NXP_STOP,
    wraps=(0x10,),
)

# Micro Crystal RV-3028-C7, application manual.  Its EEPROM (offset, and whether the battery is
# used) wears and is its maker's or its owner's: only registers are written.
RV3028 = Chip(
    address=0x52,
    registers=0x11,
    seconds=0x00,
    flags=(Bit("PORF", 0x0E, 0x01),),
    weekdays=(0, 1, 2, 3, 4, 5, 6),
    twelve=Bit("12_24", 0x10, 0x02),
    settings=(Setting(0x10, 0x02, 0),),
    cleared=(Setting(0x0E, 0x01, 0),),
    zeros=((0x00, 0x80), (0x01, 0x80), (0x02, 0xC0), (0x03, 0xF8), (0x04, 0xC0), (0x05, 0xE0),
           (0x0F, 0x40)),
)  # fmt: skip

# Micro Crystal RV-8803-C7, application manual.  A weekday is one bit of seven.  V1F: it had
# stopped to compensate for temperature, so that its rate is anybody's guess.
RV8803 = Chip(
    address=0x32,
    registers=0x10,
    seconds=0x00,
    flags=(Bit("V2F", 0x0E, 0x02), Bit("V1F", 0x0E, 0x01), Bit("RESET", 0x0F, 0x01)),
    weekdays=(1, 2, 4, 8, 16, 32, 64),
    stop=Setting(0x0F, 0x01, 0x01),
    cleared=(Setting(0x0E, 0x03, 0),),
    latched=False,
    stability=COMPENSATED,
    zeros=((0x00, 0x80), (0x01, 0x80), (0x02, 0xC0), (0x03, 0x80), (0x04, 0xC0), (0x05, 0xE0),
           (0x0E, 0xC0)),
)  # fmt: skip

# Microchip MCP7940N, `Battery-Backed I2C Real-Time Clock/Calendar with SRAM`.  It does not remember
# that its oscillator has stopped: without a battery ST is 0 after power comes, and that is all it
# says.  That a write restarts the divider is not said either; what comes of it is measured.  It is
# not stopped before, as is advised: its crystal would take long to start again.
MCP7940N = Chip(
    address=0x6F,
    registers=0x09,
    seconds=0x00,
    flags=(Bit("ST", 0x00, 0x80, bad=False), Bit("OSCRUN", 0x03, 0x20, bad=False)),
    warnings=(Bit("VBATEN", 0x03, 0x08, bad=False),),
    twelve=Bit("12/24", 0x02, DALLAS_12_HOURS),
    # ST and VBATEN on.  (PWRFAIL only says that the battery has been of use; it is off with that.)
    beside=(0x80, 0, 0, 0x08, 0, 0, 0),
    # Two clocks of 32768 Hz a minute, where CRSTRIM is off, which is how it comes.
    trim=Trim("OSCTRIM", 0x08, 8, 2 / (32768 * 60), two_complement=False),
    zeros=((0x01, 0x80), (0x02, 0x80), (0x03, 0xC0), (0x04, 0xC0), (0x05, 0xC0)),
)

CHIPS = {
    "ds3231": DS3231,
    "ds1307": DS1307,
    "ds1338": DS1338,
    "mcp7940n": MCP7940N,
    "pcf85063": PCF85063,
    "pcf8523": PCF8523,
    "pcf8563": PCF8563,
    "rv3028": RV3028,
    "rv8803": RV8803,
}
"""By the names of their drivers."""
