"""What the machine may refuse: tried, complained of once, and said when it works again."""

import logging
from collections.abc import Callable

from pints.errors import DeviceError

log = logging.getLogger("pints")


class Attempts:
    """What the machine has refused, part by part."""

    def __init__(self) -> None:
        self.failing: dict[str, tuple[str, str]] = {}
        """Parts whose last attempt failed, with why and what mends it."""

    def attempt(self, part: str, call: Callable[[], None]) -> bool:
        """Whether it was done; complains once until it works again."""
        try:
            call()
        except DeviceError as e:
            known = part in self.failing
            self.failing[part] = str(e), e.hint
            if not known:
                log.error("%s%s", e, f" ({e.hint})" if e.hint else "")
            return False
        if part in self.failing:
            del self.failing[part]
            log.info("%s works again", part)
        return True
