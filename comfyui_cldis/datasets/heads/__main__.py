"""Write heads as PNG files.

python -m comfyui_cldis.datasets.heads --output DIR --count 8 --seed 2026
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from PIL import Image

from ...typed_path import typed_path
from .factors import sample_factors
from .generator import render_heads


def main(argv: Sequence[str] | None = None) -> int:
    """Render and save; 0, or 2 for wrong input."""
    parser = argparse.ArgumentParser(
        prog="python -m comfyui_cldis.datasets.heads", description=__doc__
    )
    parser.add_argument("--output", type=typed_path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=8, metavar="N")
    parser.add_argument("--seed", type=int, default=2026, metavar="S")
    parser.add_argument("--size", type=int, default=64, metavar="PIXELS")
    options = parser.parse_args(argv)
    try:
        images = render_heads(sample_factors(options.count, options.seed), options.size)
        options.output.mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(images):
            path = options.output / f"head_{index + 1:02d}.png"
            Image.fromarray(image).save(path, optimize=True)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
