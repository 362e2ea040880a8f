"""Options as data: a field of a dataclass is an option with its default, bounds and text.

What is not in a table is a ConfigError that names file, key and the nearest key that exists.
"""

import binascii
import math
import socket
from dataclasses import MISSING, Field, field, fields, is_dataclass, replace
from functools import partial
from typing import Any, TypeVar, cast, get_args, get_origin

from pints.errors import ConfigError

T = TypeVar("T")


def option(default: Any, doc: str, **bounds: Any) -> Any:
    """A field of the table.  Bounds: `low`, `high`, `choices`, `form` (what every
    string of a list must be: `address` or `network`)."""
    return field(default=default, metadata={"doc": doc, **bounds})


def row_table(option: Field[Any]) -> type[Any] | None:
    """The table whose rows an option takes, if it takes rows."""
    item = get_args(option.type)[:1] if get_origin(option.type) is tuple else ()
    return cast(type[Any], item[0]) if item and is_dataclass(item[0]) else None


def build_rows(table: type[T], content: Any, path: str, name: str) -> tuple[T, ...]:
    if not isinstance(content, list):
        raise ConfigError(f"{path}: [{name}] must be [[{name}]]", "write it in double []")
    return tuple(
        build(table, row, f"{path}: [[{name}]] {n + 1}", None) for n, row in enumerate(content)
    )


def build(table: type[T], content: Any, where: str, base: T | None) -> T:
    """A row of the table from what TOML gave, over `base`."""
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: expected a table, found {_toml_name(content)}")
    known = {f.name: f for f in fields(cast(Any, table))}
    values: dict[str, Any] = {}
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{one_line(key)}'", nearest(key, list(known)))
        rows_of = row_table(known[key])
        if rows_of is not None:
            path, _, section = where.rpartition(": ")
            rows = build_rows(rows_of, value, path, f"{section[1:-1]}.{key}")
            values[key] = getattr(base, key, ()) + rows
        else:
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
            _check_form(option, text, where)
        return tuple(value)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    if not isinstance(wanted, type) or type(value) is not wanted:
        raise ConfigError(
            f"{where}: expected {type_name(wanted)}, found {_toml_name(value)}",
            option.metadata["doc"],
        )
    limits = option.metadata
    if "choices" in limits and value not in limits["choices"]:
        raise ConfigError(
            f"{where}: expected {' or '.join(limits['choices'])}, found {_toml_name(value)}",
            nearest(str(value), limits["choices"]),
        )
    if "low" in limits and not limits["low"] <= value <= limits["high"]:
        raise ConfigError(
            f"{where}: expected {limits['low']} to {limits['high']}, found {value}", limits["doc"]
        )
    if wanted is str and option.default is MISSING and not value:
        raise ConfigError(f"{where}: must not be empty", limits["doc"])
    _check_form(option, value, where)
    return value


def _check_form(option: Field[Any], text: Any, where: str) -> None:
    form = option.metadata.get("form")
    if form and not _FORMS[form](text):
        kind = {"key": "an Ed25519 key"}.get(form, f"a numeric {form}")
        raise ConfigError(
            f"{where}: expected {kind}, found {_toml_name(text)}", option.metadata["doc"]
        )


def type_name(wanted: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    return names.get(wanted, "a list of strings")


def _toml_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return f"'{one_line(value)}'"
    return "a table" if isinstance(value, dict) else "a list"


def one_line(text: str) -> str:
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


def decode_key(text: str) -> bytes | None:
    """A Roughtime server's public key from base64 or hex; None if it is none."""
    for decode in (bytes.fromhex, partial(binascii.a2b_base64, strict_mode=True)):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == 32:
            return key
    return None


def _is_key(text: str) -> bool:
    return decode_key(text) is not None


_FORMS = {"address": _is_address, "network": _is_network, "key": _is_key}


def nearest(word: str, known: Any) -> str:
    import difflib  # only ever needed on the way out

    close = difflib.get_close_matches(word, known, 1, 0.5)
    return f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
