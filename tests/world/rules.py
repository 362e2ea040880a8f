"""The bootstrap's law as invariants: held against everything that a device does.

Written without the code under test: what is counted here is counted from the configuration,
from the servers' packets as the core noted them, from what the clocks on the board said, and
from the disk.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from pints import restore
from pints.actions import Action, Announce, Save, SaveTime, SetClock, SetRtc
from pints.timescale import DAY, HOUR, NS, YEAR, Boot, Instant, nanoseconds, seconds
from pints.values.chain import Chain
from pints.values.evidence import Strength

if TYPE_CHECKING:
    from tests.world.device import Device

SLACK = 0.01
"""Seconds: honest servers disagree by that much and more, over bad paths."""
UNFOLDED = nanoseconds(1024 * 7 * DAY)
"""Multiples of this a receiver may be off without being wrong, ns."""
UNMEASURED = 500e-6
"""Fraction by which what was heard may have run off since."""


class Rules:
    """Watches one device."""

    def __init__(self, device: "Device") -> None:
        self.device = device
        self.floor = 0
        self.ratcheted = 0
        self.meddled = False
        """Somebody set the clock by hand: it is not the daemon's until the next step."""
        self._chains: dict[str, list[Chain]] = {}
        """What each witness has shown in this boot, the last one last."""
        self._words: dict[str, tuple[int, float, int]] = {}
        """What the clocks on the board, the operator and hearsay said last in this boot,
        by origin: a time, its error, and when that was in the world."""
        self._verified_at: int | None = None
        """When `verified` was first announced in this boot."""
        self._earlier = 0.0
        """Seconds that earlier boots were verified."""
        self._lasted = 0.0
        """The same, of this boot: from the first to the last time it was seen to be."""
        self._anchored = False
        """In this boot."""
        self._earned = 0
        """The highest ratcheted time that was to be saved while anchored."""
        self._unanimous_since: int | None = None

    def power_on(self) -> None:
        self.meddled = self._anchored = False
        self._words.clear()
        self._earlier += self._lasted
        self._lasted = 0.0
        self._verified_at = None
        self.start()
        self._clock_is_lawful()

    def start(self) -> None:
        self._chains.clear()
        ratcheted = self.device.saved_ratchet()
        self.floor = self._hard_floor(ratcheted)
        self.ratcheted = ratcheted
        self._unanimous_since = None

    def heard(self, origin: str, time: int, error: float) -> None:
        """Something that is no witness told the time: `rtc`, a receiver, `operator`, `hearsay`
        of an anchor (or of plain servers, where there is nobody else)."""
        self._words[origin] = time, error, self.device.world.elapsed

    def shown(self, source: str, chain: Chain, refusal: str) -> None:
        """A key exchange gave this chain; `refusal`: what is wrong with it besides dates."""
        if not refusal and source in self._witnesses():
            self._chains.setdefault(source, []).append(chain)

    def answered(self) -> None:
        """A server told the time."""
        self._watch_unanimity()

    def before(self, action: Action) -> None:
        device = self.device
        self._watch_unanimity()
        if self._verified_at is not None and device.state == "verified":
            self._lasted = seconds(device.world.elapsed - self._verified_at)
        match action:
            case SetClock(time, _):
                if time < self.floor and self._may_lower(time):
                    self.floor = device.build_epoch
                assert self.floor <= time <= self._ceiling, "R1: step beyond floor or ceiling"
                if self.voices(time) < self.needed:
                    assert self._verified_at is None, "R10: step without a quorum"
                    assert self._may_restore(time), "R2: step without a quorum"
                self.meddled = False
            case Announce(state, basis, _) if state == "verified":
                boot_id = device.clock.boot_id().encode()
                assert boot_id in device.run.get("belief", b""), "R9: verified, not recorded"
                assert basis in ("windows", "anchored"), "verified on nothing"
                assert device.core.bootstrap.belief is not None
                believed = device.core.bootstrap.belief.at(self._boot()).time
                assert self.voices(believed) >= self.needed, "R2: verified without a quorum"
                assert self.voices(believed, lawful=True) >= self.needed, "R3, R5: no right to say"
                assert not self._from_the_future(believed), "R4: verified in spite of a veto"
                if basis == "anchored":
                    self._anchored = self._anchored or self._may_anchor(believed)
                    assert self._anchored, "R6: anchored by nothing"
                if self._verified_at is None:
                    self._verified_at = device.world.elapsed
            case SaveTime(ratcheted, _):
                where = device.state, device.basis
                if where == ("verified", "anchored"):
                    poisoned = self.ratcheted > self._ceiling  # and kept, for it only grows (R7)
                    assert ratcheted <= self._ceiling or poisoned, "R1: ratcheted beyond it"
                    self._earned = max(self._earned, ratcheted)
                # A full disk may have refused what was earned before.
                earned = max(self._earned, self.ratcheted)
                assert ratcheted <= earned, f"R7: ratcheted while {where}"
            case SetRtc():
                where = device.state, device.basis
                assert where == ("verified", "anchored"), f"R7: RTC set while {where}"
            case Save(name, _) if name.startswith("sessions/"):
                where = device.state, device.basis
                assert where == ("verified", "anchored"), f"R6: sessions saved while {where}"
                assert not device.disk.forgetful, "cookies saved where they are forgotten"

    def after(self, action: Action) -> None:
        if isinstance(action, SaveTime):
            saved = self.device.saved_ratchet()
            if saved < self.ratcheted:
                assert self._may_lower(saved), "R7: saved time decreased"
                self.floor = self._hard_floor(saved)
            self.ratcheted = saved
        self._clock_is_lawful()

    # --- who may move the clock ----------------------------------------------------------

    @property
    def needed(self) -> int:
        """R2, counted anew: what silence can never lower."""
        wanted = self.device.config.bootstrap
        names = self._names(self._witnesses())
        fixed = wanted.quorum == "fixed"
        return max(wanted.min_witnesses, 0 if fixed else len(names) // 2 + 1)

    def voices(self, time: int, lawful: bool = False) -> int:
        """Distinct witnesses whose last answer admits that it is `time` now; `lawful`: only
        those whose certificate, or saved session, may speak for it (R3, R5)."""
        core, boot = self.device.core, self._boot()
        witnesses = self._witnesses()
        heard = set()
        for said in core.bootstrap.testimonies:
            assert said.source in witnesses, f"R2: {said.source} is no witness"
            age = seconds(boot - said.boot)
            apart = abs(seconds(said.time - time) + age)
            if lawful and not self._may_speak(said.source, said.saved, time):
                continue
            if apart <= said.distance + UNMEASURED * age + SLACK:
                heard.add(said.source)
        return len(self._names(heard))

    def _may_speak(self, source: str, saved: bool, time: int) -> bool:
        """R3, R5: its chain was in order but for its dates, and these admit that time."""
        if saved:  # 28 days from its check, which cannot be later than what it was saved in
            session = self.device.core.associations[source].session
            checked = session.checked if session is not None else None
            return checked is None or 0 <= time - checked + NS <= nanoseconds(28 * DAY + 2)
        # Chains of a boot are forgotten here when a daemon is started again: so is its session.
        chains = self._chains.get(source, [])
        return any(w.contains(Instant(time), Instant(time)) for c in chains for w in c.windows)

    def _from_the_future(self, time: int) -> bool:
        """R4: whether any witness has ever shown in this life what cannot have been issued."""
        limit = time + nanoseconds(48 * HOUR + SLACK)
        return any(c.leaf_not_before > limit for shown in self._chains.values() for c in shown)

    def _may_restore(self, time: int) -> bool:
        """Whether the clock may be taken there while nothing is verified: somebody local said
        so, or it is as near as floor and ceiling let it come."""
        wanted = self.device.config.bootstrap
        if wanted.step_provisional and self.voices(time):
            return True
        saying = {origin for origin in self._words if self._admits(origin, time)}
        hearsay = {origin for origin in saying if origin.startswith("hearsay")}
        return bool(saying - hearsay) or (wanted.step_provisional and bool(hearsay))

    def _admits(self, origin: str, time: int) -> bool:
        """Whether what it said admits that time, or the nearest that floor and ceiling allow."""
        said, error, when = self._words[origin]
        passed = self.device.world.elapsed - when
        word = said + passed
        if origin in self.device.receivers:
            word = self.floor + (word - self.floor + nanoseconds(error)) % UNFOLDED
        # A chip that pints knows is corrected by what it drifted since it was set.
        drifted = 200e-6 * 2 * YEAR if origin == "rtc" else 0.0
        reach = error + drifted + UNMEASURED * seconds(passed) + 1.0
        held = min(max(word, self.floor), self._ceiling)
        return min(abs(seconds(word - time)), abs(seconds(held - time))) <= reach

    def _may_anchor(self, time: int) -> bool:
        """R6: independent evidence, or an hour in all."""
        return self._earlier + self._lasted >= HOUR - 5 or self._independent(time)

    def _independent(self, time: int) -> bool:
        """Whether anything says so, within what its witnesses may be off, that no certificate
        under judgement stands behind."""
        device, boot = self.device, self._boot()
        belief = device.core.bootstrap.belief
        reach = nanoseconds(SLACK + (belief.error if belief else 0.0))
        for said in device.core.bootstrap.testimonies:
            if said.saved and abs(seconds(said.time - time + boot - said.boot)) < 1.0:
                return True
        lawful = {name for name, receiver in device.receivers.items() if receiver.trust}
        if len({r.operator for r in device.config.bootstrap.roughtime}) >= 3:
            lawful.add("roughtime")
        if b'"ratcheted": true' in device.disk.get("rtc.json", b""):
            lawful.add("rtc")
        return any(
            one.strength is Strength.INDEPENDENT
            and one.origin in lawful
            and one.admits(
                Instant(time - (boot - one.boot) - reach), Instant(time - (boot - one.boot) + reach)
            )
            for one in device.core.bootstrap.evidence.values()
        )

    # --- R8: the only lowering -----------------------------------------------------------

    def _watch_unanimity(self) -> None:
        if self.device.config.bootstrap.future_floor != "unanimous":
            return  # nothing may be lowered (`_may_lower`), and watching takes a while
        said = self.device.core.bootstrap.testimonies
        epochs = [s.time - s.boot for s in said]
        agreed = bool(said) and seconds(max(epochs) - min(epochs)) < 1.0
        if not agreed or len(self._names({s.source for s in said})) < max(self.needed, 3):
            self._unanimous_since = None
        elif self._unanimous_since is None:
            self._unanimous_since = self.device.world.elapsed

    def _may_lower(self, time: int) -> bool:
        """R8: configured, unanimous for ten minutes, confirmed, never below the build epoch."""
        device = self.device
        since = self._unanimous_since
        if device.config.bootstrap.future_floor != "unanimous" or since is None:
            return False
        lasted = seconds(device.world.elapsed - since) >= 600 - 1
        said = device.core.bootstrap.testimonies[0]
        now = Instant(said.time + self._boot() - said.boot)
        return lasted and time >= device.build_epoch and self._independent(now)

    # --- private -------------------------------------------------------------------------

    def _hard_floor(self, ratcheted: int) -> int:
        poisoned = ratcheted > self._ceiling
        return max(self.device.build_epoch, 0 if poisoned else ratcheted)

    def _boot(self) -> Boot:
        """The boot clock without the slews, as the core counts it."""
        now = self.device.clock.read()
        return Boot(now.boot - self.device.core._slews.moved(now.raw))

    def _witnesses(self) -> list[str]:
        config = self.device.config
        return [
            s.id for s in config.sources if s.nts and not s.noselect and s.id not in config.network
        ]

    def _names(self, sources: Collection[str]) -> set[str]:
        """Who these are: their operators or domains; of twins with one leaf key the first one's."""
        servers = self.device.world.servers
        first: dict[str, str] = {}
        names = set()
        for source in self.device.config.sources:
            name = source.operator or ".".join(source.server.split(".")[-2:])
            name = first.setdefault(servers[source.server].chain.leaf_key, name)
            if source.id in sources:
                names.add(name)
        return names

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
