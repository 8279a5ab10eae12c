"""How even the steps of sliders are: the largest visible step over the smallest, before and after.

    python -m benchmarks.even_sliders [MODEL]

Eight equal steps over the range of each slider, without a scale and on one that is measured here,
whatever scale the file gives it. On 16 codes drawn about the mean that the scale was not measured
on; a step is the mean CIELAB change between the previews at its ends.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from comfyui_cldis.checkpoint import demo_model_path, load_checkpoint
from comfyui_cldis.directions.even import even_direction, straight_direction, visible_steps
from comfyui_cldis.directions.quality import drawn_latent

NUM_STEPS, NUM_CODES = 8, 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=demo_model_path())
    model = load_checkpoint(parser.parse_args().model)
    measured, unseen = (drawn_latent(model, NUM_CODES, seed) for seed in (0, 100))
    print("| slider | straight range | largest over smallest step | even range | the same |")
    print("|---|---|---|---|---|")
    for direction in model.directions:
        even = even_direction(model, measured, direction)
        cells = [direction.name]
        for each in (straight_direction(direction), even):
            amounts = np.linspace(each.minimum, each.maximum, NUM_STEPS + 1)
            steps = visible_steps(model, unseen, each, amounts.tolist())
            cells += [
                f"{each.minimum:+.2f} to {each.maximum:+.2f}",
                f"{max(steps) / min(steps):.2f}",
            ]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
