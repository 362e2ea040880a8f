"""Which machine this is: saved keys are bound to it, for cards get cloned."""

from cryptography.hazmat.primitives.hashes import SHA256, Hash

WHERE = (
    "/etc/machine-id",
    "/sys/firmware/devicetree/base/serial-number",
    "/sys/block/mmcblk0/device/cid",
    "/sys/class/dmi/id/product_uuid",
)
"""The system's id, the board's serial number, the card's; on a PC, the board's UUID."""


def board_id(paths: tuple[str, ...] = WHERE) -> str:
    """A digest of all that tells this machine from another; hex."""
    digest = Hash(SHA256())
    for path in paths:
        try:
            with open(path, "rb") as file:
                digest.update(path.encode() + b"\0" + file.read(256).strip(b"\0\n ") + b"\0")
        except OSError:
            continue
    return digest.finalize().hex()
