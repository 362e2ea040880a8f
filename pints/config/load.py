"""The configuration is read here: one TOML file, its drop-ins, and what the network named.

What is not in `pints.config.tables` is a ConfigError that names file, key and the nearest key
that exists.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pints.config.options import build, build_rows, nearest, one_line
from pints.config.tables import LISTS, TABLES, Config, SourceConfig, locks
from pints.errors import ConfigError

log = logging.getLogger("pints")

DEFAULT_FILE = "/etc/pints/pints.toml"
DROP_INS = "conf.d"
"""Folder beside the file whose *.toml are read after it, in the order of their names."""

DEFAULT_SOURCES = (
    SourceConfig(
        server="time.cloudflare.com", operator="Cloudflare",
        addresses=("162.159.200.1", "162.159.200.123", "2606:4700:f1::1", "2606:4700:f1::123"),
    ),
    SourceConfig(server="nts.netnod.se", operator="Netnod", addresses=("194.58.205.196",)),
    SourceConfig(
        server="ptbtime1.ptb.de", operator="PTB",
        addresses=("192.53.103.108", "2001:638:610:be01::108"),
    ),
    SourceConfig(
        server="nts.time.nl", operator="SIDN Labs",
        addresses=("94.198.159.11", "2a00:d78:0:712:94:198:159:11"),
    ),
    SourceConfig(
        server="gps.ntp.br", operator="NIC.br",
        addresses=("200.160.7.193", "2001:12ff:0:7::193"),
    ),
)  # fmt: skip
"""Public NTS servers of five operators in five jurisdictions; used when nobody names others.  The
addresses are for a resolver that is dead, or validates by a wrong clock: they may grow old, and
cost nothing then, for it is the name that the certificate must be for."""


def load(path: str = "") -> Config:
    """Read the file and its drop-ins.  Without a path, a default file that is missing is an
    empty one: the defaults work as they are."""
    name = path or DEFAULT_FILE
    config = Config()
    files = [name] if path or os.path.exists(name) else []
    files += _listing(os.path.join(os.path.dirname(name) or ".", DROP_INS))
    none_wanted = False
    for file in files:
        document = parse_file(file)
        none_wanted |= document.get("source") == []
        config = merge(config, document, file)
    if not config.sources and not none_wanted and not config.server.local_stratum:
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
    known = {source.id for source in (*config.sources, *config.anchors)}
    known |= {receiver.id for receiver in config.refclocks}
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
        raise ConfigError(f"{path}: not TOML: {one_line(str(e))}") from None


def merge(config: Config, document: Mapping[str, Any], path: str) -> Config:
    """The configuration with a document's settings over it; sources are added."""
    for name, content in document.items():
        if name in LISTS:
            attribute, table = LISTS[name]
            made = build_rows(table, content, path, name)
            config = replace(config, **{attribute: getattr(config, attribute) + made})
        elif name in TABLES:
            there = getattr(config, name)
            built = build(TABLES[name], content, f"{path}: [{name}]", there)
            config = replace(config, **{name: built})
        else:
            raise ConfigError(
                f"{path}: unknown section [{one_line(name)}]", nearest(name, _sections())
            )
    return config


def check(config: Config, path: str) -> None:
    """Check what no single option shows.  ConfigError for an impossible combination."""
    seen: set[str] = set()
    for receiver in config.refclocks:
        if receiver.id in seen:
            raise ConfigError(
                f"{path}: [[refclock]] {receiver.id} stands there twice", "remove one of the two"
            )
        seen.add(receiver.id)
    for receiver in config.refclocks:
        others = locks(receiver, config.refclocks)
        if receiver.lock and len(others) != 1:
            found = "two receivers" if others else "no other receiver"
            known = [r.id for r in config.refclocks if r is not receiver]
            raise ConfigError(
                f"{path}: [[refclock]] {receiver.id}: lock: {found} '{receiver.lock}'",
                f"known here: {', '.join(known)}" if known else "name one, or leave lock out",
            )
    for source in (*config.sources, *config.anchors):
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


def _sections() -> list[str]:
    return [*LISTS, *TABLES]


def _listing(folder: str) -> list[str]:
    try:
        names = sorted(n for n in os.listdir(folder) if n.endswith(".toml"))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names]
