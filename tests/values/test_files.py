"""The names of saved files, and what is made of a damaged one."""

import json
from collections.abc import Callable

import pytest

from pints import restore
from pints.client.batches import BATCHES
from pints.errors import StateError
from pints.values.files import BELIEF_FILE, QUORUM_FILE, RTC_FILE, batch_file, decoding, json_line

DAMAGED: dict[str, Callable[[], object]] = {
    "no JSON": lambda: json.loads("{"),
    "nested too deep": lambda: json.loads("[" * 100_000),
    "no UTF-8": lambda: json.loads(b'"\xff"'),
    "a key is missing": lambda: json.loads("{}")["boot"],
    "a row is too short": lambda: json.loads("[]")[0],
    "a number in place of a list": lambda: iter(json.loads("7")),
    "a list in place of a document": lambda: json.loads("[]").items(),
    "no finite number": lambda: int(json.loads("1e999")),
}


@pytest.mark.parametrize("decode", DAMAGED.values(), ids=DAMAGED)
def test_whatever_is_damaged_is_one_error_of_one_line(decode: Callable[[], object]) -> None:
    with pytest.raises(StateError, match=r"^record is torn or foreign$"), decoding("record"):
        decode()


def test_a_decoder_may_say_itself_what_is_wrong() -> None:
    with pytest.raises(StateError, match="another version"), decoding("record"):
        raise StateError("another version")


def test_a_device_that_fails_is_no_damaged_file() -> None:
    with pytest.raises(OSError, match="unplugged"), decoding("record"):
        raise OSError("unplugged")


def test_early_boot_forgets_the_files_that_are_written() -> None:
    """It runs without any other module, so it repeats their names."""
    batches = {batch_file(number) for number in range(BATCHES)}
    assert set(restore.FORGOTTEN) == {restore.TIME_FILE, RTC_FILE, QUORUM_FILE} | batches
    assert f"/run/pints/{BELIEF_FILE}" == restore.BELIEF


def test_a_file_is_one_line_of_json() -> None:
    document = {"text": "a\nb\u00e9", "rows": [1, 2.5, None]}
    assert json_line(document).splitlines(keepends=True) == [json_line(document)]
    assert json_line(document).endswith(b"\n")
    assert json.loads(json_line(document)) == document
