"""One life, from which others part: at each system call that changes its disk, something else
happens to a copy of it, which lives on in a process of its own.

So what comes before is lived once, and not once for each moment of it.  The processes run one after
the other; what goes wrong in one of them is told when the life is over.
"""

import os
import traceback
from collections.abc import Callable, Collection
from contextlib import suppress

import pytest

from tests.world.device import Device
from tests.world.disk import PowerCut

BIRTH = -1
"""The moment before the first call."""
SAID = 60_000
"""Octets that a pipe takes at once."""


class Partings:
    """At each of `moments` (`Disk.cut_at`) a copy of the device gets the fate `befall(moment)`,
    lives on to its end or until its power is cut, and is then looked at by `judge(moment)`."""

    def __init__(
        self,
        device: Device,
        moments: Collection[int],
        befall: Callable[[int], None],
        judge: Callable[[int], None],
    ) -> None:
        self.passed: list[int] = []
        """The moments at which a copy parted."""
        self._device = device
        self._moments = moments
        self._befall, self._judge = befall, judge
        self._failures: list[str] = []
        self._parted = BIRTH - 1
        self._pipe = -1

    def live(self, life: Callable[[Device], None]) -> None:
        """Live this life, and all that part from it."""
        self._device.disk.on_moment = self._moment
        try:
            self._moment(BIRTH)
            with suppress(PowerCut):
                life(self._device)
            if self._is_copy:
                self._judge(self._parted)
        except BaseException:
            if not self._is_copy:
                raise
            self._leave(traceback.format_exc())
        if self._is_copy:
            self._leave("")
        if self._failures:
            pytest.fail("\n".join(self._failures))

    @property
    def _is_copy(self) -> bool:
        return self._pipe >= 0

    def _moment(self, moment: int) -> None:
        if self._is_copy or moment not in self._moments:
            return
        reading, writing = os.pipe()
        copy = os.fork()
        if copy == 0:
            os.close(reading)
            self._pipe, self._parted = writing, moment
            self._befall(moment)
            return
        os.close(writing)
        with open(reading, "rb") as pipe:
            said = pipe.read().decode()
        _, status = os.waitpid(copy, 0)
        self.passed.append(moment)
        if said or status:
            self._failures.append(f"moment {moment}, status {status}: {said}")

    def _leave(self, said: str) -> None:
        """End this copy, and nothing of what the process it was copied from has open."""
        try:
            os.write(self._pipe, said.encode()[-SAID:])
        finally:
            os._exit(bool(said))
