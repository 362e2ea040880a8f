"""The project's errors: a small tree whose branches say who is at fault.

Every message is one line that names what was wrong and where.  `hint` is what the reader can
do about it: a command, a key of the configuration; the command line prints it below.
"""


class PintsError(Exception):
    """Root of the tree: something that is not a bug of pints."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(PintsError, ValueError):
    """The configuration is at fault: names file, key, what was expected."""


class PeerError(PintsError):
    """The other end of the network is at fault, or unreachable."""


class WireError(PeerError, ValueError):
    """Bytes that are not what the protocol allows.  All that a parser ever raises."""


class ChainError(PeerError):
    """A certificate chain that is bad for another reason than its dates (rule R5)."""


class DeviceError(PintsError, OSError):
    """This machine is at fault: clock, disk, a device."""


class StateError(PintsError):
    """A file of saved state is torn or foreign."""


class UntrustedTimeError(PintsError):
    """A time that no rule allows to be believed."""

    def __init__(self, rule: str, message: str, hint: str = "") -> None:
        super().__init__(f"{rule}: {message}", hint)
        self.rule = rule


class NotAnchoredError(PintsError):
    """What was asked for takes anchored time (R7)."""

    def __init__(self) -> None:
        super().__init__("the time is not anchored yet", "pints wait --for anchored")
