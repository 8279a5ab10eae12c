"""Which finder of directions to use? All of them on each model, scored with and without labels.

    python -m benchmarks.navigation MODEL ... [--data shapes3d-equivalent] [--steps 300]

For each finder: DCI and MIG of the codes projected on its directions (labels; 2,000 images, fast
protocol), the share of unseen moves that a predictor names, the similarity of effects, and the
content-tracking score with its purity (no labels). `random` is a random basis of the active
dimensions. `flow` are the orthonormal vectors nearest to the curves' mean first steps, `flow paths`
the sliders that the model file gets: their DCI and MIG are of the amounts at which they together
come nearest to a code, their accuracy and similarity those of the curves that each code has.
With --steps 0 nothing is trained: `learned`, `flow`, accuracy and similarity are left out.
With --copilot the codes are those of the co-pilot, which draws them too, for runs without a trained
diffusion branch: nothing is trained, and CTS is without its part A. --finders chooses rows. `auto`
has no row: what it chose, and the separations of its candidates, stand below the table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comfyui_cldis.checkpoint import load_checkpoint
from comfyui_cldis.datasets.registry import open_factor_data
from comfyui_cldis.datasets.space import sample_factors
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.metrics import evaluate, from_arrays
from comfyui_cldis.model import copilot_of
from comfyui_cldis.tracking import FAST, Tracking, track, track_renderer
from trainer.navigation import ModelSpace, NavigationSettings, RendererSpace, find
from trainer.navigation.active import active_dimensions
from trainer.navigation.basis import Basis, place
from trainer.navigation.learned import LearnedSearch
from trainer.navigation.paths import slider_amounts
from trainer.navigation.progress import Watch
from trainer.navigation.rotation import Fixed
from trainer.navigation.space import BATCH
from trainer.training.batches import to_tensor

CLOSED = ("pca", "varimax", "ica", "sparse", "joint", "weights", "jacobian")
PATHS = "flow paths"
ORDER = ("axes", *CLOSED, "learned", "flow", PATHS, "random")
LABELS = ("dci_disentanglement", "dci_completeness", "mig")
NUM_LABELLED = 2000
DATA_SEED = 2027


def labelled(model: EditableModel, data: str) -> tuple[Tensor, np.ndarray]:
    """Images (n, C, S, S) and their factors (n, K)."""
    config = model.networks.config
    source = open_factor_data(data, config.image_size, channels=config.in_channels)
    factors = sample_factors(source.space, NUM_LABELLED, np.random.default_rng(DATA_SEED))
    return to_tensor(source.images(factors)), factors


@torch.no_grad()
def copilot_space(model: EditableModel, images: Tensor) -> RendererSpace:
    """The co-pilot's own codes of images, in their standard deviations, drawn by the co-pilot."""
    copilot = copilot_of(model.networks)
    codes = torch.cat([copilot.encode(copilot.resize(part)).mu for part in images.split(BATCH)])
    mean, std = codes.mean(0), codes.std(0)
    return RendererSpace(lambda u: copilot.decode(mean + std * u).float(), (codes - mean) / std)


def untrained(
    space: ModelSpace | RendererSpace,
    settings: NavigationSettings,
    seed: int,
    names: Sequence[str] = CLOSED,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Directions of finders that train nothing, of the axes and of a random basis; and the chance.

    Args:
        names: some of CLOSED.
    """
    active = active_dimensions(space, seed)
    count = len(active.dimensions)
    found = {
        name: find(space, NavigationSettings(finder=name), seed).vectors
        for name in CLOSED
        if name in names
    }
    search = LearnedSearch(space, settings, active, count, seed, found)
    codes = space.codes.shape[1]
    for name in ("axes", "random"):
        motion = search.contenders[name].motion
        assert isinstance(motion, Fixed)
        found[name] = place(motion.rows(), active.dimensions, codes)
    return found, {"chance": round(1 / count, 4)}


def trained(
    space: ModelSpace, settings: NavigationSettings, seed: int, closed: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any], Basis]:
    """Directions of `learned` and `flow`, figures of all finders, and the curves of `flow`."""
    active = active_dimensions(space, seed)
    contenders = {name: closed[name] for name in CLOSED}
    began = time.perf_counter()
    curved = find(space, replace(settings, finder="flow"), seed, Watch(on_step=_report))
    contenders["flow"] = curved.vectors
    middle = time.perf_counter()
    search = LearnedSearch(space, settings, active, len(active.dimensions), seed, contenders)
    rows, facts = search.run(Watch(on_step=_report))
    seconds = middle - began, time.perf_counter() - middle
    print(f"flow took {seconds[0]:.0f} s, learned and all predictors {seconds[1]:.0f} s")
    for key in ("accuracy", "similarity"):
        facts[key][PATHS] = curved.facts[key]["learned"]
    print(f"largest rotation {facts['largest_rotation_deg']} degrees; flow bends ", end="")
    print(f"{curved.facts['bend_degrees']}, spread {curved.facts['path_spread']}")
    learned = place(rows, active.dimensions, space.codes.shape[1])
    return {"learned": learned, "flow": curved.vectors}, facts, curved


def _report(done: int, total: int, figures: dict[str, float]) -> None:
    if done % 50 == 0:
        print(f"step {done} of {total}: {figures}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL")
    parser.add_argument("--data", default="shapes3d-equivalent")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--view", default="preview")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-tracking", action="store_true")
    parser.add_argument("--copilot", action="store_true")
    parser.add_argument("--finders", nargs="+", choices=[*ORDER, "auto"], default=[*ORDER, "auto"])
    options = parser.parse_args()
    drawn: dict[int, tuple[Tensor, np.ndarray]] = {}
    for path in options.models:
        model = load_checkpoint(path)
        size = model.networks.config.image_size
        if size not in drawn:
            drawn[size] = labelled(model, options.data)
        print(path)
        compare(model, *drawn[size], options)


def compare(
    model: EditableModel, images: Tensor, factors: np.ndarray, options: argparse.Namespace
) -> None:
    """Print the table of one model."""
    if options.copilot:
        space = copilot_space(model, images)
    else:
        space = ModelSpace.of_images(model, images, view=options.view)
    settings = NavigationSettings(
        finder="learned", steps=options.steps or NavigationSettings().steps, view=options.view
    )
    names = CLOSED if options.steps else options.finders
    found, facts = untrained(space, settings, options.seed, names)
    rows: dict[str, Basis] = {}
    if options.steps and isinstance(space, ModelSpace):
        more, facts, curved = trained(space, settings, options.seed, found)
        found |= more
        rows[PATHS] = curved
    rows |= {name: Basis(name, vectors) for name, vectors in found.items()}
    print(f"{len(found['axes'])} active dimensions; chance {facts['chance']}")
    print("| finder | D | C | MIG | accuracy | similarity | CTS | purity | rotation |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in ORDER:
        if name not in rows or name not in options.finders:
            continue
        basis = rows[name]
        vectors, amounts = basis.vectors, slider_amounts(basis, space.codes).double().numpy()
        scores = evaluate(from_arrays(amounts, factors), ("dci", "mig"), fast=True)
        cells = [f"{scores[key]:.3f}" for key in LABELS]
        cells += [_cell(facts.get(key, {}).get(name)) for key in ("accuracy", "similarity")]
        if options.no_tracking or name == PATHS:  # tracking moves along vectors
            cells += ["-", "-"]
        else:
            score = tracked(model, space, images, vectors, options.seed)
            cells += [_cell(score.separation if score.cts is None else score.cts)]
            cells += [_cell(score.purity)]
        rotation_deg = vectors.abs().amax(1).clamp(max=1).acos().rad2deg().max()
        print(f"| {name} | " + " | ".join(cells) + f" | {float(rotation_deg):.0f} |", flush=True)
    if "auto" in options.finders:
        began = time.perf_counter()
        chosen = find(space, NavigationSettings(finder="auto", view=options.view), options.seed)
        seconds = time.perf_counter() - began
        scores = chosen.facts["separation"]
        print(f"auto chose {chosen.facts['chosen']} in {seconds:.0f} s: separation {scores}")


def tracked(
    model: EditableModel,
    space: ModelSpace | RendererSpace,
    images: Tensor,
    vectors: Tensor,
    seed: int,
) -> Tracking:
    """Content tracking of directions (K, N): with the model's images, or with the co-pilot's."""
    named = {str(index): row for index, row in enumerate(vectors.tolist())}
    if isinstance(space, RendererSpace):
        return track_renderer(space.render, space.codes, FAST, seed, vectors=named)
    return track(model, images, FAST, seed, vectors=named)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
