"""What is known of any crystal before it was measured, and what may be feared of one that was.

Figures are of bare crystals, as on a Raspberry Pi: tens of ppm from nominal, some hundredths of
a ppm for each degree, and aging too slow to matter here.
"""

import math

FREQUENCY_PRIOR = 100e-6
"""Standard deviation of the frequency of a crystal that was never measured."""
MAX_FREQUENCY = 500e-6
"""Largest frequency error that is believed."""
WANDERS = (1e-9, 4e-9, 1.6e-8, 6.4e-8)
"""Random walk of a crystal's frequency, per sqrt(s): from one in a quiet room to one in the
draught of a fan.  Which it is, or what lies between, is learned."""
LIKELY = (0.0, -2.0, -4.0, -6.0)
"""Logarithm of how likely each is, before anything was measured."""
JITTER = 3e-8
"""Random walk of its phase, s per sqrt(s)."""
SIGMAS = 3.0
"""Standard deviations of what was learned that a hard bound holds."""

_DRIFT, _WITHIN, _MOST = 1e-6, 1024.0, 15e-6
_WARMING = 30.0
"""Seconds that it takes heat to get to a crystal."""


def unseen(span: float) -> float:
    """By how much, seconds, a crystal that was steady may have gone astray within `span` seconds
    without a measurement: heat changes its frequency by 1 ppm within a polling interval, not at
    once, and by another one in each that follows, up to the 15 ppm of RFC 5905 (PHI)."""
    grown = min(span, (_MOST / _DRIFT - 1) * _WITHIN)
    strayed = _DRIFT * grown * (1 + grown / (2 * _WITHIN)) + _MOST * (span - grown)
    return strayed + _DRIFT * _WARMING * math.expm1(-span / _WARMING)


def reach(span: float, skew: float, wander: float) -> float:
    """How far true time may be, `span` seconds later or earlier, from where a frequency with
    standard deviation `skew` has it, seconds: a hard bound, not a likely value."""
    return unseen(abs(span)) + learned(abs(span), skew, wander)


def learned(span: float, skew: float, wander: float) -> float:
    """The same as far as the crystal goes on as it was learned to: between two samples, the
    later of which would have shown it otherwise."""
    return SIGMAS * strayed(span, skew, wander)


def strayed(span: float, skew: float, wander: float) -> float:
    """The standard deviation of that, seconds."""
    return span * math.sqrt(skew * skew + wander * wander * span / 3)
