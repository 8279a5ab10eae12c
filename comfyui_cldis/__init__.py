"""CL-Dis: factors of images, learned without labels, as sliders.

    import comfyui_cldis as cldis

    model = cldis.load_model()
    latent = model.encode("photo.jpg")
    model.decode(model.edit(latent, {"skin": -1}))[0].save("edited.png")

Everything in `__all__` is imported when it is first used: importing the package costs nothing.

Source: Jin et al. 2024, ECCV (arXiv:2402.02346).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import CheckpointError, Direction, Latent, Model, load_model, sample_images

__version__ = "0.1.0"
__all__ = [
    "CheckpointError",
    "Direction",
    "Latent",
    "Model",
    "__version__",
    "load_model",
    "sample_images",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
