"""A lamp or a pin that shows the trust state: opened when there is something to show, opened again
when it failed.

Guarantees: whatever goes wrong with it is said once, until it works again, and keeps nothing else
waiting; nobody is woken for one that does not change.
"""

from pints import drivers
from pints.config.tables import OutputConfig
from pints.drivers import StatusOutput
from pints.shell.attempts import Attempts
from pints.shell.loop import Alarm, Loop

REOPEN = 60.0
"""Seconds until one that failed is tried again."""


class Output:
    """One that [[output]] names."""

    def __init__(self, loop: Loop, config: OutputConfig, attempts: Attempts) -> None:
        self._config = config
        self._attempts = attempts
        self._shown = ("", "")
        """Trust state and basis."""
        self._driver: StatusOutput | None = None
        self._alarm = Alarm(loop)

    def show(self, state: str, basis: str) -> None:
        """From now on.  Not at once, for opening it may mean to import a library, which takes
        seconds on a small board: whoever is announcing has packets to send."""
        self._shown = state, basis
        self._alarm.set(0.0, self._refresh)

    def close(self) -> None:
        """Nothing is shown any more."""
        self._alarm.stop()
        if self._driver is not None:
            self._driver.close()
            self._driver = None

    def _refresh(self) -> None:
        wait: float | None = REOPEN

        def call() -> None:
            nonlocal wait
            if self._driver is None:
                self._driver = drivers.open_output(self._config)
            wait = self._driver.show(*self._shown)

        if not self._attempts.attempt(self._config.id, call):
            self.close()
        if wait is not None:
            self._alarm.set(wait, self._refresh)
