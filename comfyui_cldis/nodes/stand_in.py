"""What stands in the node menu for a node whose file cannot be imported."""

from __future__ import annotations

from typing import Any

from .packages import BASE, require


def stand_in(outputs: tuple[str, ...], error: Exception) -> type:
    """A node class with the right outputs and no inputs; run, it says what is missing or broken.

    Args:
        error: what importing the node's own file raised.
    """

    class StandIn:
        DESCRIPTION = f"This node cannot be loaded ({error}). Run it to see what to install."
        CATEGORY = "CLDis"
        RETURN_TYPES = outputs
        FUNCTION = "execute"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:
            return {"required": {}}

        def execute(self, **inputs: Any) -> None:
            """ComfyUI passes linked inputs, declared or not."""
            require(BASE)
            raise RuntimeError(
                f"This node cannot be loaded ({error}). Install CLDis anew, then restart ComfyUI."
            ) from error

    return StandIn
