"""Names that Windows takes for devices, so that no file or folder can have them."""

from __future__ import annotations

DEVICES = {"con", "prn", "aux", "nul", "conin$", "conout$"}
DEVICES |= {port + digit for port in ("com", "lpt") for digit in "0123456789\u00b9\u00b2\u00b3"}


def is_device(name: str) -> bool:
    """Whether Windows takes a name for a device: in any case, and whatever comes after a dot."""
    return name.partition(".")[0].rstrip(" ").lower() in DEVICES
