"""What is raised when an optional package is not installed."""

from __future__ import annotations

from typing import NoReturn


def raise_explained(error: ModuleNotFoundError, user: str, *packages: str) -> NoReturn:
    """Raises the error of an import, with the remedy if one of `packages` is missing.

    A module of our own, or of another package, that is not found is a fault and no reason to ask
    for an installation. The error with the remedy has no `name`; its cause has the package's.

    Args:
        user: what needs the package, such as "'heads'".
    """
    if (error.name or "").partition(".")[0] not in packages:
        raise error
    raise ModuleNotFoundError(
        f"{user} needs {error.name}, which is not installed. Install it: python -m pip install "
        f"{packages[0]}"
    ) from error
