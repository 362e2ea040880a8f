"""What the machine may refuse, as those see it who carry it out."""

from collections.abc import Callable
from typing import Protocol


class Attempt(Protocol):
    """Does what the machine may refuse; whether it was done.  Complains once a part."""

    def __call__(self, part: str, call: Callable[[], None]) -> bool: ...
