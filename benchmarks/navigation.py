"""Which finder of directions to use? All of them on one model, scored with and without labels.

    python -m benchmarks.navigation MODEL [--data shapes3d-equivalent] [--steps 300] [--view NAME]

For each finder: DCI and MIG of the codes projected on its directions (labels; 2,000 pictures, fast
protocol), the share of unseen moves that a predictor names, the likeness of effects, and the
content-tracking score with its purity (no labels). `random` is a random basis of the live
dimensions; the curves of `flow` are scored by their mean first steps.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from comfyui_cldis.checkpoint import load_checkpoint
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.metrics import evaluate, from_arrays
from comfyui_cldis.tracking import FAST, track
from trainer.batches import to_tensor
from trainer.data.factors import open_factor_data, sample_factors
from trainer.navigation import ModelSpace, NavigationSettings, find
from trainer.navigation.basis import Basis, place
from trainer.navigation.learned import LearnedSearch
from trainer.navigation.live import live_dimensions
from trainer.navigation.rotation import Fixed
from trainer.navigation.watch import Watch

CLOSED_FORMS = ("pca", "varimax", "ica", "weights", "jacobian")
LABELS = ("dci_disentanglement", "dci_completeness", "mig")
NUM_LABELLED = 2000
DATA_SEED = 2027


def labelled(model: EditableModel, data: str) -> tuple[Tensor, np.ndarray]:
    """Pictures (n, C, S, S) and their factors (n, K)."""
    config = model.networks.config
    source = open_factor_data(data, config.image_size, channels=config.in_channels)
    factors = sample_factors(source.space, NUM_LABELLED, np.random.default_rng(DATA_SEED))
    return to_tensor(source.images(factors)), factors


def bases(space: ModelSpace, settings: NavigationSettings, seed: int) -> tuple[dict, dict, float]:
    """Directions and figures of every finder, and the seconds that learning took."""
    live = live_dimensions(space, seed)
    count = len(live.dimensions)
    found = {}
    for name in CLOSED_FORMS:
        found[name] = find(space, NavigationSettings(finder=name), seed).vectors
    found["flow"] = find(space, replace(settings, finder="flow"), seed).vectors
    search = LearnedSearch(space, settings, live, count, seed, found)
    began = time.perf_counter()
    rows, facts = search.run(Watch(on_step=_report))
    codes = space.codes.shape[1]
    for name in ("axes", "random"):
        motion = search.contenders[name].motion
        assert isinstance(motion, Fixed)
        found[name] = place(motion.rows(), live.dimensions, codes)
    found["learned"] = place(rows, live.dimensions, codes)
    return found, facts, time.perf_counter() - began


def _report(done: int, total: int, figures: dict[str, float]) -> None:
    if done % 50 == 0:
        print(f"step {done} of {total}: {figures}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", default="shapes3d-equivalent")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--view", default="preview")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-tracking", action="store_true")
    options = parser.parse_args()
    model = load_checkpoint(options.model)
    pictures, factors = labelled(model, options.data)
    space = ModelSpace.of_pictures(model, pictures, view=options.view)
    settings = NavigationSettings(finder="learned", steps=options.steps, view=options.view)
    found, facts, seconds = bases(space, settings, options.seed)
    print(f"{len(found['axes'])} live dimensions; learning took {seconds:.0f} s; chance ", end="")
    print(f"{facts['chance']}; learned turn {facts['largest_turn_degrees']} degrees")
    print("| finder | D | C | MIG | accuracy | likeness | CTS | purity | turn |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in ("axes", *CLOSED_FORMS, "learned", "flow", "random"):
        vectors = found[name]
        amounts = Basis(name, vectors).project(space.codes).double().numpy()
        scores = evaluate(from_arrays(amounts, factors), ("dci", "mig"), fast=True)
        cells = [f"{scores[key]:.3f}" for key in LABELS]
        cells += [f"{facts[key][name]:.3f}" for key in ("accuracy", "likeness")]
        if options.no_tracking:
            cells += ["-", "-"]
        else:
            named = {str(index): row for index, row in enumerate(vectors.tolist())}
            score = track(model, pictures, FAST, options.seed, vectors=named)
            cells += [_cell(score.cts), _cell(score.purity)]
        turn = vectors.abs().amax(1).clamp(max=1).acos().rad2deg().max()
        print(f"| {name} | " + " | ".join(cells) + f" | {float(turn):.0f} |", flush=True)


def _cell(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
