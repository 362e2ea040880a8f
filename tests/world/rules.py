"""The bootstrap's law as invariants: held against everything that a device does.

Written without the code under test: what is counted here is counted from the configuration,
from the servers' packets as the core noted them, and from the disk.
"""

from typing import TYPE_CHECKING

from pints import restore
from pints.actions import Action, Announce, Save, SaveTime, SetClock
from pints.timescale import DAY, YEAR, Boot, Instant, nanoseconds, seconds

if TYPE_CHECKING:
    from tests.world.device import Device

SLACK = 0.01
"""Seconds: honest servers disagree by that much and more, over bad paths."""


class Rules:
    """Watches one device."""

    def __init__(self, device: "Device") -> None:
        self.device = device
        self.floor = 0
        self.ratcheted = 0
        self.meddled = False
        """Somebody set the clock by hand: it is not the daemon's until the next step."""

    def power_on(self) -> None:
        self.meddled = False
        self.start()
        self._clock_is_lawful()

    def start(self) -> None:
        ratcheted = self.device.saved_ratchet()
        poisoned = ratcheted > self._ceiling
        self.floor = max(self.device.build_epoch, 0 if poisoned else ratcheted)
        self.ratcheted = ratcheted

    def before(self, action: Action) -> None:
        device = self.device
        match action:
            case SetClock(time, _):
                assert self.floor <= time <= self._ceiling, "R1: step beyond floor or ceiling"
                if not device.config.bootstrap.step_provisional:
                    assert self.voices(time) >= self.needed, "R2: step without a quorum"
                self.meddled = False
            case Announce(state, basis, _) if state == "verified":
                boot_id = device.clock.boot_id().encode()
                assert boot_id in device.run.get("belief", b""), "R9: verified, not recorded"
                assert basis in ("windows", "anchored"), "verified on nothing"
                assert device.core.bootstrap.belief is not None
                believed = device.core.bootstrap.belief.at(self._boot()).time
                assert self.voices(believed) >= self.needed, "R2: verified without a quorum"
            case SaveTime(ratcheted, _):
                if ratcheted > self.ratcheted:
                    where = device.state, device.basis
                    assert where == ("verified", "anchored"), f"R7: ratcheted while {where}"
                    assert ratcheted <= self._ceiling, "R1: ratcheted beyond the ceiling"
            case Save(name, _) if name.startswith("sessions/"):
                where = device.state, device.basis
                assert where == ("verified", "anchored"), f"R6: sessions saved while {where}"
                assert not device.disk.forgetful, "cookies saved where they are forgotten"

    def after(self, action: Action) -> None:
        if isinstance(action, SaveTime):
            saved = self.device.saved_ratchet()
            assert saved >= self.ratcheted, "R7: saved time decreased"
            self.ratcheted = saved
        self._clock_is_lawful()

    @property
    def needed(self) -> int:
        """R2, counted anew: what silence can never lower."""
        wanted = self.device.config.bootstrap
        names = {self._witness(s) for s in self._witnesses()}
        fixed = wanted.quorum == "fixed"
        return max(wanted.min_witnesses, 0 if fixed else len(names) // 2 + 1)

    def voices(self, time: Instant) -> int:
        """Distinct witnesses whose last answer admits that it is `time` now."""
        core, boot = self.device.core, self._boot()
        lawful = self._witnesses()
        names = set()
        for said in core.bootstrap.testimonies:
            assert said.source in lawful, f"R2: {said.source} is no witness"
            age = seconds(boot - said.boot)
            apart = abs(seconds(said.time - time) + age)
            if apart <= said.distance + 500e-6 * age + SLACK:
                names.add(self._witness(said.source))
        return len(names)

    def _boot(self) -> Boot:
        """The boot clock without the slews, as the core counts it."""
        now = self.device.clock.read()
        return Boot(now.boot - self.device.core._slews.moved(now.raw))

    def _witnesses(self) -> list[str]:
        config = self.device.config
        return [
            s.id for s in config.sources if s.nts and not s.noselect and s.id not in config.network
        ]

    def _witness(self, source: str) -> str:
        """Its operator or domain; of twins with one leaf key the first one's."""
        servers = self.device.world.servers
        sources = {s.id: s for s in self.device.config.sources}
        key = servers[sources[source].server].chain.leaf_key
        config = next(s for s in sources.values() if servers[s.server].chain.leaf_key == key)
        return config.operator or ".".join(config.server.split(".")[-2:])

    @property
    def _ceiling(self) -> int:
        return self.device.build_epoch + nanoseconds(20 * YEAR)

    def _clock_is_lawful(self) -> None:
        if self.meddled:
            return
        real = self.device.clock.read().real
        # Running on by itself a clock may pass the ceiling; nobody takes it there.
        within = self.floor - nanoseconds(SLACK) <= real <= self._ceiling + nanoseconds(DAY)
        assert within, f"R1: clock at {real}, floor {self.floor}"


def tear(data: bytes) -> bytes:
    """A file after a bad card: its first half."""
    return data[: len(data) // 2]


TORN = (b"", b"\0" * 512, b"\xff\xfe garbage", restore.encode(1, 2)[:-3])
"""What a card may give back in place of a file."""
