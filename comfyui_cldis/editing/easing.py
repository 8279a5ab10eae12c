"""How a movement runs from its start to its end."""

from __future__ import annotations

from typing import Literal, get_args

Easing = Literal["linear", "smooth"]
EASINGS: tuple[str, ...] = get_args(Easing)


def eased(fraction: float, easing: str) -> float:
    """How far a movement is after a share of its time; 0 and 1 stay exactly.

    Args:
        fraction: in [0, 1].
        easing: "linear", or "smooth", which starts and ends slowly.

    Raises:
        ValueError: another easing.
    """
    if easing not in EASINGS:
        raise ValueError(f"easing is {easing!r}. Use one of {', '.join(EASINGS)}.")
    return fraction if easing == "linear" else fraction * fraction * (3 - 2 * fraction)
