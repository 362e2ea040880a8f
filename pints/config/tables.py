"""Every option there is: one dataclass for each section of the configuration.

A field is an option, with its type, default, bounds and text; help, man page and checks are made
from it.  `pints.config.load` reads the files.
"""

from collections.abc import Iterable
from dataclasses import MISSING, fields
from typing import Any, cast

from pints.config.options import option, row_table, type_name
from pints.lean import dataclass


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """[[source]]: a server to take time from."""

    server: str = option(MISSING, "name or address; with NTS, of the key server")
    nts: bool = option(True, "authenticate by NTS; false: plain NTP, which is never a witness")
    ca: tuple[str, ...] = option(
        (), "PEM files to trust instead of the system's: a private CA, or the server's own"
    )
    port: int = option(0, "NTP port; 0: the negotiated one, or 123", low=0, high=65535)
    ke_port: int = option(4460, "NTS-KE port", low=1, high=65535)
    addresses: tuple[str, ...] = option(
        (),
        "numeric addresses of the server, tried beside its name: for a resolver that is dead",
        form="address",
    )
    operator: str = option("", "who runs it; sources that share an operator are one witness")
    minpoll: int = option(6, "shortest polling interval, log2 s", low=0, high=12)
    maxpoll: int = option(10, "longest polling interval, log2 s", low=0, high=12)
    interleaved: str = option(
        "auto",
        "have each answer's true time of departure told by the next one (RFC 9769), where the "
        "server can; auto: of servers within 2 ms, asked once a minute or more often",
        choices=("auto", "always", "never"),
    )
    noselect: bool = option(False, "measure it, but never use it")

    @property
    def id(self) -> str:
        """Names the source everywhere: in logs, in reports, on disk."""
        port = self.ke_port if self.nts else self.port
        usual = 4460 if self.nts else 0
        name = f"[{self.server}]" if ":" in self.server and port != usual else self.server
        return name if port == usual else f"{name}:{port}"


@dataclass(frozen=True, slots=True)
class AnchorConfig:
    """[[bootstrap.anchor]]: a server behind a long-lived private CA.  It may make a belief,
    and is never a witness."""

    server: str = option(MISSING, "name or address of its key server")
    ca: tuple[str, ...] = option(MISSING, "PEM files of that CA, or of the server's own")
    ke_port: int = option(4460, "NTS-KE port", low=1, high=65535)
    addresses: tuple[str, ...] = option((), "numeric addresses of the server", form="address")


@dataclass(frozen=True, slots=True)
class RoughtimeConfig:
    """[[bootstrap.roughtime]]: a Roughtime server (RFC 10049).  Those of three operators or
    more, agreeing, confirm or dispute what the witnesses say."""

    server: str = option(MISSING, "name or address")
    key: str = option(MISSING, "its long-term Ed25519 public key, base64 or hex", form="key")
    port: int = option(2002, "UDP port", low=1, high=65535)
    operator: str = option("", "who runs it; empty: the registrable domain of its name")


@dataclass(frozen=True, slots=True)
class RtcConfig:
    """[rtc]: a real-time clock with a battery."""

    driver: str = option("", "name of its driver; empty: none")
    device: str = option("", "file of the device, where the driver has one")
    bus: int = option(1, "number of its I2C bus; 1 is on a Raspberry Pi's header", low=0, high=255)
    address: int = option(
        0, "its I2C address, 0x68 for instance; 0: the chip's own", low=0, high=0x77
    )


def _device_id(driver: str, device: str, pin: int) -> str:
    return " ".join(filter(None, (driver, device, str(pin) if pin >= 0 else "")))


@dataclass(frozen=True, slots=True)
class RefclockConfig:
    """[[refclock]]: a receiver that tells the time by itself."""

    driver: str = option(MISSING, "name of its driver")
    device: str = option("", "file of the device")
    baud: int = option(0, "speed of its serial line; 0: it is found", low=0, high=4_000_000)
    trust: bool = option(False, "believe its date: it can be spoofed from the roadside")
    noselect: bool = option(False, "measure it, but never use it")
    lock: str = option(
        "", "driver, or driver and device, of the receiver that says which second its pulses "
        "begin; empty: whoever the clock follows",
    )  # fmt: skip
    edge: str = option(
        "assert",
        "edge of the pulse that begins the second: assert (rising) or clear (falling)",
        choices=("assert", "clear"),
    )
    pin: int = option(-1, "line of the GPIO chip that the pulses come in by", low=-1, high=1023)
    offset: float = option(
        0.0, "by how much it is late, seconds: its antenna's cable, its serial line",
        low=-1.0, high=1.0,
    )  # fmt: skip

    @property
    def id(self) -> str:
        """Names it everywhere."""
        return _device_id(self.driver, self.device, self.pin)


@dataclass(frozen=True, slots=True)
class OutputConfig:
    """[[output]]: a lamp or a pin that shows how far the clock may be trusted."""

    driver: str = option(MISSING, "name of its driver")
    device: str = option("", "name of the kernel's lamp, as in /sys/class/leds")
    pin: int = option(-1, "GPIO number of the pin (BCM)", low=-1, high=1023)
    level: str = option(
        "verified",
        "how sure the time is when a verified-pin is high",
        choices=("verified", "anchored"),
    )

    @property
    def id(self) -> str:
        """Names it in the log."""
        return _device_id(self.driver, self.device, self.pin)


@dataclass(frozen=True, slots=True)
class BootstrapConfig:
    """[bootstrap]: what it takes to believe a time (docs/trust.md)."""

    min_witnesses: int = option(
        2, "witnesses that must agree at least; one server alone needs a 1", low=1, high=64
    )
    quorum: str = option(
        "majority",
        "majority: of all configured witnesses, answering or not; fixed: min_witnesses suffice",
        choices=("majority", "fixed"),
    )
    max_distance: float = option(
        1.0, "widest interval that votes, in seconds", low=0.001, high=16.0
    )
    relaxed_dates: str = option(
        "until-verified",
        "until-verified: a certificate whose dates alone do not fit is judged again once the "
        "time is known; never: it is refused",
        choices=("until-verified", "never"),
    )
    step_provisional: bool = option(
        False, "let the clock follow a belief that fewer than needed, or nobody, vouches for"
    )
    future_floor: str = option(
        "keep",
        "keep: a saved time that lies in the future is reported; unanimous: it is lowered (R8) "
        "when all witnesses and one independent kind of evidence agree for 10 minutes",
        choices=("keep", "unanimous"),
    )
    anchor: tuple[AnchorConfig, ...] = option((), "servers that may make a belief")
    roughtime: tuple[RoughtimeConfig, ...] = option((), "Roughtime servers")


@dataclass(frozen=True, slots=True)
class StateConfig:
    """[state]: what outlives a boot."""

    directory: str = option("/var/lib/pints", "folder of saved time, drift, sessions, keys")
    runtime: str = option("/run/pints", "folder of what outlives the daemon, but not the boot")
    save_interval: float = option(
        14400.0, "seconds between saves of a running clock", low=60.0, high=604800.0
    )


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """[server]: giving time to others."""

    listen: tuple[str, ...] = option(
        (), "addresses to serve NTP on; empty: no server", form="address"
    )
    port: int = option(123, "NTP port", low=0, high=65535)
    allow: tuple[str, ...] = option(
        ("127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
         "fe80::/10", "fc00::/7"),
        "networks that get an answer; by default the private ones", form="network",
    )  # fmt: skip
    ke_port: int = option(4460, "NTS-KE port", low=0, high=65535)
    certificate: str = option("", "PEM file with the NTS-KE server's chain; empty: no NTS")
    key: str = option("", "PEM file with its private key")
    ntp_server: str = option("", "name of the NTP server to send clients to; empty: this one")
    local_stratum: int = option(
        0, "serve this machine's own clock at this stratum when no source does; 0: never",
        low=0, high=15,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ControlConfig:
    """[control]: the socket of `pints status` and its kin."""

    socket: str = option("", "path; empty: control.sock in the runtime folder; none: no socket")
    group: str = option("", "group that may ask besides root and pints")


@dataclass(frozen=True, slots=True)
class Config:
    """Everything configured."""

    sources: tuple[SourceConfig, ...] = ()
    refclocks: tuple[RefclockConfig, ...] = ()
    bootstrap: BootstrapConfig = BootstrapConfig()
    rtc: RtcConfig = RtcConfig()
    state: StateConfig = StateConfig()
    server: ServerConfig = ServerConfig()
    control: ControlConfig = ControlConfig()
    outputs: tuple[OutputConfig, ...] = ()
    network: frozenset[str] = frozenset()
    """Ids of the sources that the network named (DHCP): never witnesses."""

    @property
    def anchors(self) -> tuple[SourceConfig, ...]:
        """The bootstrap anchors as sources: asked like any other, never followed."""
        return tuple(
            SourceConfig(a.server, ca=a.ca, ke_port=a.ke_port, addresses=a.addresses, noselect=True)
            for a in self.bootstrap.anchor
        )

    @property
    def control_path(self) -> str:
        """Of the control socket; '' for none."""
        if self.control.socket == "none":
            return ""
        return self.control.socket or f"{self.state.runtime}/control.sock"


LISTS: dict[str, tuple[str, type[Any]]] = {
    "source": ("sources", SourceConfig),
    "refclock": ("refclocks", RefclockConfig),
    "output": ("outputs", OutputConfig),
}
"""Sections that may stand there more than once: the field and the table of each."""
TABLES: dict[str, type[Any]] = {
    "bootstrap": BootstrapConfig,
    "rtc": RtcConfig,
    "state": StateConfig,
    "server": ServerConfig,
    "control": ControlConfig,
}


def locks(receiver: RefclockConfig, known: Iterable[RefclockConfig]) -> list[str]:
    """Whom a receiver's lock names: one, in a configuration that was checked, or nobody."""
    return [r.id for r in known if r is not receiver and receiver.lock in (r.driver, r.id)]


def tables() -> dict[str, type[Any]]:
    """Every section, in its brackets, and the table of its options."""
    found = {f"[[{n}]]": table for n, (_, table) in LISTS.items()}
    found |= {f"[{n}]": t for n, t in TABLES.items()}
    return found | {
        f"[[{n}.{f.name}]]": row
        for n, t in TABLES.items()
        for f in fields(t)
        if (row := row_table(f)) is not None
    }


def options() -> list[tuple[str, str, str, Any, str]]:
    """Every option as (section, key, type, default, text): for help and man page."""
    return [
        (section, f.name, type_name(f.type), f.default, f.metadata["doc"])
        for section, table in tables().items()
        for f in fields(cast(Any, table))
        if row_table(f) is None
    ]
