"""The configuration: one TOML file, its drop-ins, and the one table that describes them.

The table is the dataclasses below: a field is an option, with its type, default, bounds and
text.  What is not in them is an error that names file, key and the nearest key that exists.
"""

import logging
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, TypeVar, cast, get_args, get_origin

from pints.errors import ConfigError

log = logging.getLogger("pints")
DEFAULT_FILE = "/etc/pints/pints.toml"
DROP_INS = "conf.d"
"""Folder beside the file whose *.toml are read after it, in the order of their names."""


def option(default: Any, doc: str, **bounds: Any) -> Any:
    """A field of the table.  Bounds: `low`, `high`, `choices`, `form` (what every
    string of a list must be: `address` or `network`)."""
    return field(default=default, metadata={"doc": doc, **bounds})


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
    minpoll: int = option(6, "shortest polling interval, log2 s", low=0, high=17)
    maxpoll: int = option(10, "longest polling interval, log2 s", low=0, high=17)
    noselect: bool = option(False, "measure it, but never use it")

    @property
    def id(self) -> str:
        """Names the source everywhere: in logs, in reports, on disk."""
        port = self.ke_port if self.nts else self.port
        usual = 4460 if self.nts else 0
        name = f"[{self.server}]" if ":" in self.server and port != usual else self.server
        return name if port == usual else f"{name}:{port}"


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
    bootstrap: BootstrapConfig = BootstrapConfig()
    state: StateConfig = StateConfig()
    server: ServerConfig = ServerConfig()
    control: ControlConfig = ControlConfig()
    network: frozenset[str] = frozenset()
    """Ids of the sources that the network named (DHCP): never witnesses."""

    @property
    def control_path(self) -> str:
        """Of the control socket; '' for none."""
        if self.control.socket == "none":
            return ""
        return self.control.socket or f"{self.state.runtime}/control.sock"


DEFAULT_SOURCES = (
    SourceConfig(
        server="time.cloudflare.com", operator="Cloudflare",
        addresses=("162.159.200.1", "162.159.200.123", "2606:4700:f1::1", "2606:4700:f1::123"),
    ),
    SourceConfig(server="nts.netnod.se", operator="Netnod"),
    SourceConfig(server="ptbtime1.ptb.de", operator="PTB"),
    SourceConfig(server="nts.time.nl", operator="SIDN Labs"),
    SourceConfig(server="gps.ntp.br", operator="NIC.br"),
)  # fmt: skip
"""Public NTS servers of five operators in five jurisdictions; used when nobody names others."""

_TABLES: dict[str, type[Any]] = {
    "bootstrap": BootstrapConfig,
    "state": StateConfig,
    "server": ServerConfig,
    "control": ControlConfig,
}
T = TypeVar("T")


def load(path: str = "") -> Config:
    """Read the file and its drop-ins.  Without a path, a default file that is missing is an
    empty one: the defaults work as they are."""
    name = path or DEFAULT_FILE
    config = Config()
    if path or os.path.exists(name):
        config = merge(config, parse_file(name), name)
    for drop_in in _listing(os.path.join(os.path.dirname(name) or ".", DROP_INS)):
        config = merge(config, parse_file(drop_in), drop_in)
    if not config.sources and not config.server.local_stratum:
        config = replace(config, sources=DEFAULT_SOURCES)
    check(config, name)
    for found in _listing(os.path.join(config.state.runtime, "sources.d")):
        config = _from_network(config, found)
    return config


def _from_network(config: Config, path: str) -> Config:
    """The configuration with the sources that the network named.  Nothing it says is an error
    of the administrator's, so what is wrong with it is reported and left out."""
    try:
        document = parse_file(path)
        if set(document) - {"source"}:
            raise ConfigError(f"{path}: only [[source]] may come from the network")
        new = merge(Config(), document, path)
        check(new, path)
    except ConfigError as e:
        log.warning("%s: ignored", e)
        return config
    known = {source.id for source in config.sources}
    added = tuple(source for source in new.sources if source.id not in known)
    network = config.network | {source.id for source in added}
    return replace(config, sources=config.sources + added, network=network)


def parse_file(path: str) -> dict[str, Any]:
    """The TOML document of a file."""
    import tomllib

    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as e:
        raise ConfigError(f"{path}: {e.strerror}", "check the path given with -c") from None
    except (ValueError, RecursionError) as e:  # TOMLDecodeError and its kin are ValueErrors
        raise ConfigError(f"{path}: not TOML: {_line(str(e))}") from None


def merge(config: Config, document: Mapping[str, Any], path: str) -> Config:
    """The configuration with a document's settings over it; sources are added."""
    for name, content in document.items():
        if name == "source":
            if not isinstance(content, list):
                raise ConfigError(f"{path}: [source] must be [[source]]", "write it in double []")
            made = tuple(
                _build(SourceConfig, row, f"{path}: [[source]] {n + 1}", None)
                for n, row in enumerate(content)
            )
            config = replace(config, sources=config.sources + made)
        elif name in _TABLES:
            there = getattr(config, name)
            built = _build(_TABLES[name], content, f"{path}: [{name}]", there)
            config = replace(config, **{name: built})
        else:
            raise ConfigError(
                f"{path}: unknown section [{_line(name)}]", _nearest(name, _sections())
            )
    return config


def check(config: Config, path: str) -> None:
    """What no single option shows: ConfigError for the impossible."""
    seen: set[str] = set()
    for source in config.sources:
        if source.id in seen:
            raise ConfigError(
                f"{path}: [[source]] {source.id} stands there twice", "remove one of the two"
            )
        seen.add(source.id)
        if source.minpoll > source.maxpoll:
            raise ConfigError(
                f"{path}: [[source]] {source.id}: minpoll {source.minpoll} is above maxpoll "
                f"{source.maxpoll}",
                "set both, the lower as minpoll",
            )
    server = config.server
    if bool(server.certificate) != bool(server.key):
        raise ConfigError(f"{path}: [server] needs both certificate and key, or neither")
    if server.certificate and not server.listen:
        raise ConfigError(f"{path}: [server] has a certificate but listens nowhere", "set listen")


def options() -> list[tuple[str, str, str, Any, str]]:
    """Every option as (section, key, type, default, text): for help and man page."""
    tables = {"[[source]]": SourceConfig, **{f"[{n}]": t for n, t in _TABLES.items()}}
    return [
        (section, f.name, _type_name(f.type), f.default, f.metadata["doc"])
        for section, table in tables.items()
        for f in fields(cast(Any, table))
    ]


def _build(table: type[T], content: Any, where: str, base: T | None) -> T:
    """A row of the table from what TOML gave, over `base`."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: expected a table, found {_toml_name(content)}")
    known = {f.name: f for f in fields(cast(Any, table))}
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{_line(key)}'", _nearest(key, list(known)))
        values[key] = _value(known[key], value, f"{where}: {key}")
    if base is not None:
        return replace(base, **values)  # type: ignore[type-var]
    for f in known.values():
        if f.default is MISSING and f.name not in values:
            raise ConfigError(f"{where}: '{f.name}' is missing", f"{f.name}: {f.metadata['doc']}")
    return table(**values)


def _value(option: Field[Any], value: Any, where: str) -> Any:
    """One value, checked against its option's type and bounds."""
    wanted = option.type
    if get_origin(wanted) is tuple:
        value = (value,) if isinstance(value, str) else value
        item = get_args(wanted)[0]
        if not isinstance(value, list | tuple) or not all(isinstance(v, item) for v in value):
            raise ConfigError(f"{where}: expected a list of strings, found {_toml_name(value)}")
        for text in value:
            if "form" in option.metadata and not _FORMS[option.metadata["form"]](text):
                raise ConfigError(
                    f"{where}: expected a numeric {option.metadata['form']}, "
                    f"found {_toml_name(text)}",
                    option.metadata["doc"],
                )
        return tuple(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    if not isinstance(wanted, type) or type(value) is not wanted:
        raise ConfigError(
            f"{where}: expected {_type_name(wanted)}, found {_toml_name(value)}",
            option.metadata["doc"],
        )
    limits = option.metadata
    if "choices" in limits and value not in limits["choices"]:
        raise ConfigError(
            f"{where}: expected {' or '.join(limits['choices'])}, found {_toml_name(value)}",
            _nearest(str(value), limits["choices"]),
        )
    if "low" in limits and not limits["low"] <= value <= limits["high"]:
        raise ConfigError(
            f"{where}: expected {limits['low']} to {limits['high']}, found {value}", limits["doc"]
        )
    if wanted is str and option.default is MISSING and not value:
        raise ConfigError(f"{where}: must not be empty", limits["doc"])
    return value


def _type_name(wanted: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    return names.get(wanted, "a list of strings")


def _toml_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return f"'{_line(value)}'"
    return "a table" if isinstance(value, dict) else "a list"


def _line(text: str) -> str:
    """Somebody's text as part of one line."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]


def _is_address(text: str) -> bool:
    host = text.partition("%")[0]
    try:
        socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except (OSError, UnicodeEncodeError, ValueError):
        return False
    return True


def _is_network(text: str) -> bool:
    host, slash, prefix = text.partition("/")
    bits = 128 if ":" in host else 32
    good = not slash or (prefix.isascii() and prefix.isdigit() and int(prefix) <= bits)
    return good and _is_address(host) and "%" not in host


_FORMS = {"address": _is_address, "network": _is_network}


def _sections() -> list[str]:
    return ["source", *_TABLES]


def _nearest(word: str, known: Any) -> str:
    import difflib  # only ever needed on the way out

    close = difflib.get_close_matches(word, known, 1, 0.5)
    return f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"


def _listing(folder: str) -> list[str]:
    try:
        names = sorted(n for n in os.listdir(folder) if n.endswith(".toml"))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names]
