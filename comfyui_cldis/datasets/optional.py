"""Whether an import failed because an optional package is not installed."""

from __future__ import annotations


def is_missing(error: ModuleNotFoundError, *packages: str) -> bool:
    """True when the module that was not found belongs to one of `packages`.

    A module of our own, or of another package, that is not found is a fault and no reason to ask
    for an installation.
    """
    return (error.name or "").partition(".")[0] in packages
