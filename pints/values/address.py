"""Where packets go."""

from pints.lean import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """Where a packet goes: a numeric address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
