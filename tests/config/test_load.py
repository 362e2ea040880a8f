"""The configuration: what is wrong is said with file, key, what was expected and what is near."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pints.config.load as load_module
from pints.cli import main
from pints.config.load import DEFAULT_SOURCES, DROP_INS, check, load, merge
from pints.config.tables import Config, RefclockConfig, SourceConfig, locks, options
from pints.errors import ConfigError

SOURCE = '[[source]]\nserver = "a.test"\n'


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads this machine's own configuration, or what its network told it."""
    monkeypatch.setattr(load_module, "DEFAULT_FILE", str(tmp_path / "absent" / "pints.toml"))
    listing = load_module._listing

    def ours(folder: str) -> list[str]:
        return listing(folder) if folder.startswith(str(tmp_path)) else []

    monkeypatch.setattr(load_module, "_listing", ours)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pints.toml"


def write(file: Path, text: str) -> str:
    """A configuration whose runtime folder is the test's own."""
    if "[state]" not in text:
        text += f'\n[state]\nruntime = "{file.parent}/run"\n'
    file.write_text(text)
    return str(file)


def refused(file: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(write(file, text))
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)
    return caught.value


# What is right


def test_default_file_may_be_missing() -> None:
    settings = load()
    assert settings == Config(sources=DEFAULT_SOURCES)
    assert settings.control_path == "/run/pints/control.sock"


def test_default_sources_are_independent_witnesses() -> None:
    assert len({s.operator for s in DEFAULT_SOURCES}) == len(DEFAULT_SOURCES) == 5
    assert all(s.nts for s in DEFAULT_SOURCES)


def test_default_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "pints.toml", SOURCE)
    monkeypatch.setattr(load_module, "DEFAULT_FILE", path)
    assert [s.id for s in load().sources] == ["a.test"]


def test_empty_file_means_the_defaults(file: Path) -> None:
    assert load(write(file, "")).sources == DEFAULT_SOURCES


def test_everything(file: Path) -> None:
    settings = load(
        write(
            file,
            """
            [[source]]
            server = "2001:db8::1"
            ca = "one.pem"
            ke_port = 4461
            [[source]]
            server = "b.test"
            nts = false
            addresses = ["192.0.2.1", "192.0.2.2"]
            [bootstrap]
            max_distance = 2
            [control]
            socket = "none"
            """,
        )
    )
    one, two = settings.sources
    assert one.id == "[2001:db8::1]:4461"
    assert one.ca == ("one.pem",), "a string stands for a list of one"
    assert two.addresses == ("192.0.2.1", "192.0.2.2")
    assert type(settings.bootstrap.max_distance) is float, "a whole number is a number"
    assert settings.control_path == ""


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (SourceConfig("a.test"), "a.test"),
        (SourceConfig("a.test", ke_port=4461), "a.test:4461"),
        (SourceConfig("a.test", port=124), "a.test"),
        (SourceConfig("a.test", nts=False), "a.test"),
        (SourceConfig("a.test", nts=False, port=124), "a.test:124"),
        (SourceConfig("::1"), "::1"),
        (SourceConfig("::1", ke_port=1), "[::1]:1"),
    ],
)
def test_id(source: SourceConfig, name: str) -> None:
    assert source.id == name


# Drop-ins and the network


def test_drop_ins_are_read_in_the_order_of_their_names(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (folder / "20.toml").write_text("[bootstrap]\nmin_witnesses = 4\n")
    (folder / "10.toml").write_text(
        '[bootstrap]\nmin_witnesses = 3\nquorum = "fixed"\n[[source]]\nserver = "b.test"\n'
    )
    (folder / "30.conf").write_text("not ours")
    settings = load(write(file, SOURCE))
    assert settings.bootstrap.min_witnesses == 4
    assert settings.bootstrap.quorum == "fixed"
    assert [s.id for s in settings.sources] == ["a.test", "b.test"]


def test_error_in_a_drop_in_names_the_drop_in(file: Path, tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    drop_in = tmp_path / "conf.d" / "x.toml"
    drop_in.write_text("[server]\nlisten = 5\n")
    with pytest.raises(ConfigError, match="listen: expected a list of strings, found 5") as caught:
        load(write(file, SOURCE))
    assert str(caught.value).startswith(f"{drop_in}: [server]: ")


def _from_the_network(tmp_path: Path, text: str) -> Path:
    folder = tmp_path / "run" / "sources.d"
    folder.mkdir(parents=True)
    (folder / "dhcp.toml").write_text(text)
    return folder / "dhcp.toml"


def test_sources_of_the_network_are_known_as_such(file: Path, tmp_path: Path) -> None:
    _from_the_network(tmp_path, '[[source]]\nserver = "192.0.2.1"\nnts = false\n')
    settings = load(write(file, SOURCE))
    assert [s.id for s in settings.sources] == ["a.test", "192.0.2.1"]
    assert settings.network == {"192.0.2.1"}


def test_sources_of_the_network_do_not_replace_the_defaults(file: Path, tmp_path: Path) -> None:
    _from_the_network(tmp_path, '[[source]]\nserver = "192.0.2.1"\nnts = false\n')
    settings = load(write(file, ""))
    assert settings.sources[:-1] == DEFAULT_SOURCES
    assert settings.network == {"192.0.2.1"}


def test_the_network_may_name_sources_only(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = _from_the_network(tmp_path, "[bootstrap]\nmin_witnesses = 1\n")
    settings = load(write(file, SOURCE))
    assert settings.bootstrap.min_witnesses == 2
    assert caplog.messages == [f"{found}: only [[source]] may come from the network: ignored"]


def test_no_sources_may_be_wanted(file: Path) -> None:
    receiver = '[[refclock]]\ndriver = "gps"\n'
    assert load(write(file, receiver)).sources == DEFAULT_SOURCES
    assert load(write(file, "source = []\n" + receiver)).sources == ()
    (file.parent / DROP_INS).mkdir()
    write(file.parent / DROP_INS / "servers.toml", SOURCE)
    assert len(load(file.as_posix()).sources) == 1, "a drop-in adds some"
    write(file, receiver)
    write(file.parent / DROP_INS / "servers.toml", "source = []")
    assert load(file.as_posix()).sources == ()


def test_own_clock_needs_no_sources(file: Path) -> None:
    assert load(write(file, "[server]\nlocal_stratum = 10\n")).sources == ()


# What is wrong


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[[sources]]", "unknown section [sources]", "did you mean 'source'?"),
        ("[xyz]", "unknown section [xyz]", "known here: source, refclock, output, bootstrap, "),
        ("colour = 1", "unknown section [colour]", "did you mean 'source'?"),
        ("[source]", "[source] must be [[source]]", "double []"),
        ("[[source]]", "[[source]] 1: 'server' is missing", "name or address"),
        ('[[source]]\nserver = ""', "[[source]] 1: server: must not be empty", "name or address"),
        (SOURCE + "ntss = true", "[[source]] 1: unknown key 'ntss'", "did you mean 'nts'?"),
        (SOURCE + "x = 1", "[[source]] 1: unknown key 'x'", "known here: server, nts, "),
        (SOURCE + "nts = 1", "nts: expected true or false, found 1", "authenticate"),
        (SOURCE + 'nts = "yes"', "nts: expected true or false, found 'yes'", ""),
        (SOURCE + "minpoll = true", "minpoll: expected a whole number, found true", "polling"),
        (SOURCE + "minpoll = 6.0", "minpoll: expected a whole number, found 6.0", "polling"),
        (SOURCE + "minpoll = 18", "minpoll: expected 0 to 12, found 18", "polling"),
        (SOURCE + "port = -1", "port: expected 0 to 65535, found -1", "NTP port"),
        (SOURCE + "ca = [1]", "ca: expected a list of strings, found a list", ""),
        (SOURCE + "ca = 2026-01-01", "ca: expected a list of strings, found ", ""),
        (SOURCE + SOURCE, "[[source]] a.test stands there twice", "remove one"),
        (SOURCE + "minpoll = 11", "minpoll 11 is above maxpoll 10", "set both"),
        ("source = [1]", "[[source]] 1: expected a table, found 1", ""),
        ("bootstrap = 1", "[bootstrap]: expected a table, found 1", ""),
        ("[[bootstrap]]", "[bootstrap]: expected a table, found a list", ""),
        (
            '[bootstrap]\nquorum = "majorty"',
            "[bootstrap]: quorum: expected majority or fixed, found 'majorty'",
            "did you mean 'majority'?",
        ),
        ("[bootstrap]\nmax_distance = nan", "expected 0.001 to 16.0, found nan", "interval"),
        ("[bootstrap]\nmax_distance = inf", "expected 0.001 to 16.0, found inf", "interval"),
        ("[bootstrap]\nmax_distance = true", "expected a number, found true", "interval"),
        ("[bootstrap]\nmin_witnesses = 0", "expected 1 to 64, found 0", "one server alone"),
        ('[server]\ncertificate = "x"', "[server] needs both certificate and key", ""),
        ('[server]\ncertificate = "x"\nkey = "y"', "listens nowhere", "set listen"),
        ("[control]\nsocket = {}", "socket: expected a string, found a table", "path"),
        ("[[", "not TOML: ", ""),
        ("a = 1\na = 2", "not TOML: ", ""),
    ],
)
def test_error(file: Path, text: str, message: str, hint: str) -> None:
    error = refused(file, text)
    assert message in str(error)
    assert hint in error.hint


def test_not_utf_8(file: Path) -> None:
    file.write_bytes(b'[[source]]\nserver = "\xff"\n')
    with pytest.raises(ConfigError, match="not TOML"):
        load(str(file))


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(str(tmp_path / name))
    assert str(tmp_path) in str(caught.value)
    assert "-c" in caught.value.hint


def test_command_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-config", write(file, SOURCE + 'operatr = "x"')]) == 2
    assert capsys.readouterr().err == (
        f"pints: {file}: [[source]] 1: unknown key 'operatr'\n  did you mean 'operator'?\n"
    )


# Anything at all

_keys = st.sampled_from([o[1] for o in options()]) | st.text(max_size=8)
_values: st.SearchStrategy[Any] = st.recursive(
    st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.sampled_from(["majority", "fixed", "never", "none", "::1", "a.test"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=8,
)
_tables = st.dictionaries(_keys, _values, max_size=5)
_documents = st.fixed_dictionaries(
    {},
    optional={
        "source": st.lists(_tables | st.builds(lambda t: {"server": "a.test"} | t, _tables))
        | _values,
        "bootstrap": _tables | _values,
        "state": _tables | _values,
        "server": _tables | _values,
        "control": _tables | _values,
        "else": _values,
    },
)


@given(_documents)
def test_any_document_is_a_config_or_an_error(document: dict[str, Any]) -> None:
    settings = Config()
    refusal = ""
    try:
        settings = merge(settings, document, "file")
        check(settings, "file")
    except ConfigError as error:
        refusal = str(error)
    assert refusal.startswith("file: ") or not refusal
    # What there is then is as the table says: types, bounds, choices.
    assert isinstance(settings.control_path, str)
    for source in settings.sources:
        assert source.id
        _check_row(source)
    for table in (settings.bootstrap, settings.state, settings.server, settings.control):
        _check_row(table)


def _check_row(row: Any) -> None:
    for field in fields(row):
        value = getattr(row, field.name)
        if "low" in field.metadata:
            assert field.metadata["low"] <= value <= field.metadata["high"]
        if "choices" in field.metadata:
            assert value in field.metadata["choices"]
        if isinstance(value, tuple):
            assert all(type(item) is str for item in value)
        else:
            assert type(value) is field.type


# Not yet as it should be


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000 + "]" * 5000,
        "[bootstrap]\nmax_distance = 1" + "0" * 400,
        "[bootstrap]\nmax_distance = 1" + "0" * 5000,
        SOURCE + '"x\\ny" = 1',
        '[bootstrap]\nquorum = "a\\nb"',
    ],
    ids=["deep", "past a float", "past Python's digits", "odd key", "odd value"],
)
def test_odd_document(file: Path, text: str) -> None:
    refused(file, text)


@pytest.mark.parametrize(
    "text",
    ['[[source]]\nserver = "a.test"\n', "[[source\n"],
    ids=["twice", "torn"],
)
def test_the_network_cannot_break_the_configuration(file: Path, tmp_path: Path, text: str) -> None:
    _from_the_network(tmp_path, text)
    assert [s.id for s in load(write(file, SOURCE)).sources] == ["a.test"]


@pytest.mark.parametrize(
    "text",
    [
        SOURCE + 'addresses = ["b.test"]',
        '[server]\nlisten = ["localhost"]',
        '[server]\nlisten = ["::"]\nallow = ["192.0.2.0/33"]',
    ],
    ids=["addresses", "listen", "allow"],
)
def test_what_has_to_be_an_address(file: Path, text: str) -> None:
    refused(file, text)


def test_every_option_has_a_text_and_a_default_within_its_bounds() -> None:
    for section, key, kind, _, text in options():
        assert text, (section, key)
        assert kind in ("true or false", "a whole number", "a number", "a string",
                        "a list of strings")  # fmt: skip


# --- receivers -------------------------------------------------------------------------------


def refclocks(file: Path, *rows: str) -> tuple[RefclockConfig, ...]:
    return load(write(file, "".join(f"[[refclock]]\n{row}\n" for row in rows))).refclocks


@pytest.mark.parametrize("lock", ["gps", "gps /dev/ttyAMA0"])
def test_a_lock_names_another_receiver(file: Path, lock: str) -> None:
    gps, pps = refclocks(
        file, 'driver = "gps"\ndevice = "/dev/ttyAMA0"', f'driver = "pps"\nlock = "{lock}"'
    )
    assert locks(pps, (gps, pps)) == [gps.id]
    assert locks(gps, (gps, pps)) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (('driver = "pps"\nlock = "gps"',), "lock: no other receiver 'gps'"),
        (('driver = "pps"\nlock = "pps"',), "lock: no other receiver 'pps'"),
        (
            (
                'driver = "pps"\nlock = "shm"',
                'driver = "shm"\ndevice = "0"',
                'driver = "shm"\ndevice = "1"',
            ),
            "lock: two receivers 'shm'",
        ),
    ],
)
def test_a_lock_that_names_none(file: Path, rows: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        refclocks(file, *rows)
