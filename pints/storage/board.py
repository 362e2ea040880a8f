"""Which machine this is: saved keys are bound to it, for cards get cloned."""

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

WHERE = (
    "/etc/machine-id",
    "/sys/firmware/devicetree/base/serial-number",
    "/sys/block/mmcblk0/device/cid",
    "/sys/class/dmi/id/product_uuid",
)
"""The system's id, the board's serial number, the card's; on a PC, the board's UUID."""
_SIV = 16
"""Octets of the synthetic IV (RFC 5297 section 2.6), which is a digest of all that went in."""


def board_id(paths: tuple[str, ...] = WHERE) -> str:
    """A short digest of all that tells this machine from another; hex.  It is made by the
    cipher that is loaded anyway, under no secret: whoever can read it may read the serial
    numbers as well."""
    found = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                found.append(path.encode() + b"\0" + file.read(256).strip(b"\0\n "))
        except OSError:
            continue
    return AESSIV(bytes(32)).encrypt(b"board", [*found, b"pints"])[:_SIV].hex()
