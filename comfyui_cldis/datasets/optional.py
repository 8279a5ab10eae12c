"""What to raise when an optional package is not installed."""

from __future__ import annotations


def explained(error: ModuleNotFoundError, user: str, *packages: str) -> ModuleNotFoundError:
    """The error, or one that names the package and the remedy if it is one of `packages`.

    A module of our own, or of another package, that is not found is a fault and no reason to ask
    for an installation.

    Args:
        user: what needs the package, such as "'heads'".
    """
    if (error.name or "").partition(".")[0] not in packages:
        return error
    return ModuleNotFoundError(
        f"{user} needs {error.name}, which is not installed. Install it: python -m pip install "
        f"{packages[0]}"
    )
