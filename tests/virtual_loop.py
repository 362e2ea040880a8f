"""The daemon's loop in a world whose time is a number: waiting for a timer is adding to it."""

from collections.abc import Callable
from typing import Any

from pints.shell.clock import BootTime
from pints.shell.loop import Loop


class VirtualLoop(Loop):
    """Nothing is ever ready: for what timers do."""

    def __init__(self, clock: BootTime, advance: Callable[[int], None]) -> None:
        """`advance` lets so many ns pass on `clock`."""
        super().__init__(clock)
        self._advance = advance

    def _wait(self) -> list[Any]:
        self._advance(self._timeout() * 1_000_000)
        return []
