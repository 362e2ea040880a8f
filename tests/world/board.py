"""The clocks on a device's board: played drivers, under the shipped code that minds drivers."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pints.config.tables import Config, RefclockConfig, RtcConfig
from pints.drivers import Fix, Pulse, RealTimeClock, ReferenceClock, RtcReading
from pints.errors import DeviceError
from pints.evidence.rtc_seconds import Ticks
from pints.hands import OnEvent
from pints.shell.attempts import Attempts
from pints.shell.loop import Loop
from pints.shell.refclock_devices import Devices
from pints.shell.rtc_device import BoardRtc, Kind
from pints.timescale import NS, Instant, seconds
from tests.world.world import PulsePerSecond, Receiver

if TYPE_CHECKING:
    from tests.world.device import Device
    from tests.world.shell import PlayedLoop


class HeardRtc:
    """The device's chip; what it says is noted for the rules."""

    def __init__(self, device: "Device") -> None:
        self._device = device
        self._chip = device.rtc
        self.name = self._chip.name
        self.first_tick = self._chip.first_tick

    def read(self) -> RtcReading:
        reading = self._chip.read()
        self._device.rules.heard("rtc", reading.time, reading.error)
        return reading

    def write(self, time: Instant) -> None:
        self._chip.write(time)

    def close(self) -> None:
        pass


class PlainRtc(BoardRtc):
    """A chip that is set at once, and whose seconds are not looked for: scenarios count what it
    is told, and say themselves when its seconds are found (`Device.find_seconds`)."""

    def __init__(
        self, device: "Device", loop: Loop, config: RtcConfig, attempts: Attempts, on_event: OnEvent
    ) -> None:
        super().__init__(loop, device.clock, config, attempts, on_event)
        self._device = device

    def set(self, true: Callable[[], Instant | None]) -> None:
        self._write(true)

    def _open(self) -> RealTimeClock:
        return HeardRtc(self._device)

    def _refine(self, ticks: Ticks, kind: Kind) -> None:
        pass


class OpenReceiver:
    """A receiver's driver while it is open: a fix each `interval`, if it sees the sky."""

    def __init__(
        self, device: "Device", loop: "PlayedLoop", fd: int, name: str, receiver: Receiver
    ) -> None:
        self.name = name
        self._device = device
        self._loop = loop
        self._fd = fd
        self._receiver = receiver
        self._open = True
        self._check()
        self._await()

    def fileno(self) -> int:
        return self._fd

    def reports(self) -> list[Fix]:
        self._check()
        time = self._receiver.time(self._device.world.true_time())
        self._device.rules.heard(self.name, time, self._receiver.error)
        return [Fix(time, self._receiver.error, self._device.clock.read())]

    def close(self) -> None:
        self._open = False

    def _check(self) -> None:
        if not self._receiver.plugged:
            raise DeviceError(f"{self.name}: unplugged")

    def _await(self) -> None:
        self._loop.later(self._receiver.interval, self._tick)

    def _tick(self) -> None:
        if self._open:
            self._await()
            if self._receiver.sees_sky or not self._receiver.plugged:
                self._loop.ready(self._fd)


class OpenPulses:
    """The driver of a receiver's pulses while it is open."""

    def __init__(
        self, device: "Device", loop: "PlayedLoop", fd: int, name: str, pulses: PulsePerSecond
    ) -> None:
        self.name = name
        self._device = device
        self._world = device.world
        self._loop = loop
        self._fd = fd
        self._pulses = pulses
        self._open = True
        self._loop.later(self._next_second(), self._second)

    def fileno(self) -> int:
        return self._fd

    def reports(self) -> list[Pulse]:
        return [Pulse(self._device.clock.read(), self._pulses.error)]

    def close(self) -> None:
        self._open = False

    def _next_second(self) -> float:
        return seconds(-self._world.true_time() % NS or NS)

    def _second(self) -> None:
        """A second begins: here is what comes with the next one."""
        if not self._open:
            return
        wait = self._next_second()
        self._loop.later(wait, self._second)
        if self._pulses.on:
            for late in self._pulses.edges(self._world.rng):
                self._loop.later(wait + late, self._edge)

    def _edge(self) -> None:
        if self._open:
            self._loop.ready(self._fd)


class BoardDevices(Devices):
    """The shipped ones, over these drivers."""

    def __init__(
        self,
        device: "Device",
        loop: "PlayedLoop",
        config: Config,
        attempts: Attempts,
        on_event: OnEvent,
        descriptors: Iterator[int],
    ) -> None:
        super().__init__(loop, device.clock, config, attempts, on_event)
        self._device = device
        self._played = loop
        self._descriptors = descriptors

    def _driver(self, config: RefclockConfig) -> ReferenceClock:
        device, loop, fd, name = self._device, self._played, next(self._descriptors), config.id
        if name in device.receivers:
            return OpenReceiver(device, loop, fd, name, device.receivers[name])
        return OpenPulses(device, loop, fd, name, device.pulses[name])
