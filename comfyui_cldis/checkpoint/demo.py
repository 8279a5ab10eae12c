"""The bundled demo model and its sample images."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).resolve().parent.parent / "assets"


def demo_model_path() -> Path:
    """Path of the bundled model of 64-pixel heads.

    Raises: FileNotFoundError when this installation came without it.
    """
    path = ASSETS / "heads64.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"The demo model {path} is not part of this installation. "
            "Install the complete package again, or name a model of your own."
        )
    return path


def demo_image_paths() -> list[Path]:
    """Paths of the sample images, which were never used in training, sorted by name.

    Heads of 512 pixels, drawn by `python -m comfyui_cldis.datasets.heads --output DIR --size 512`.

    Raises: FileNotFoundError when this installation came without them.
    """
    paths = sorted((ASSETS / "samples").glob("*.png"))
    if not paths:
        raise FileNotFoundError(
            f"The sample images in {ASSETS / 'samples'} are not part of this installation. "
            "Install the complete package again, or name an image of your own."
        )
    return paths
