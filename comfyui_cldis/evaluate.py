"""Scores of a model's codes on a factor data set, or of given arrays: `cldis evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .datasets.registry import open_factor_data
from .metrics import (
    METRICS,
    FactorRepresentation,
    Representation,
    coded_images,
    controls,
    evaluate,
    load_representation,
    sampled_codes,
)

if TYPE_CHECKING:
    from .editing.editable import EditableModel

Progress = Callable[[str, float], None]
CODES = ("semantic", "copilot")
BATCH_SIZE = 256


def evaluate_arrays(
    path: Path,
    metrics: Sequence[str],
    *,
    seed: int = 0,
    fast: bool = False,
    with_controls: bool = True,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Score the arrays `codes` (n, N) and `factors` (n, K) of an .npz file.

    Returns:
        The result of `metrics.evaluate`, and `controls` with those of the two control codes.

    Raises:
        FileNotFoundError, ValueError: no such file, or arrays that cannot be scored.
    """
    representation = load_representation(path)
    return _scored(representation, metrics, seed, fast, with_controls, on_progress)


def evaluate_model(
    model: EditableModel,
    dataset: str,
    metrics: Sequence[str],
    *,
    codes: str = "semantic",
    seed: int = 0,
    fast: bool = False,
    with_controls: bool = True,
    with_sampled: bool = True,
    cache_dir: Path | None = None,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Score the codes that a model gives to the images of a factor data set.

    Args:
        dataset: a name such as "shapes3d-equivalent", or the path of a factor file.
        codes: "semantic" (the diffusion autoencoder's) or "copilot" (the beta-VAE's).
        with_sampled: score draws from the posterior too, beside its mean.
        cache_dir: where a packed factor file is unpacked.

    Returns:
        As `evaluate_arrays`, with `model`, `dataset`, `codes`, and under `sampled` the scores of
        sampled codes.

    Raises:
        ValueError, FileNotFoundError: a data set that does not exist or does not fit the model.
    """
    config = model.networks.config
    data = open_factor_data(
        dataset, config.image_size, channels=config.in_channels, cache_dir=cache_dir
    )
    posterior = _posterior_of(model, codes)

    def mean(images: np.ndarray) -> np.ndarray:
        return posterior(images)[0]

    def both(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = [
            posterior(data.images(values[i : i + BATCH_SIZE]))
            for i in range(0, len(values), BATCH_SIZE)
        ]
        means, deviations = zip(*pairs, strict=True)
        return np.concatenate(means), np.concatenate(deviations)

    sizes = tuple(data.space.sizes)
    source = FactorRepresentation(sizes, coded_images(data.images, mean, BATCH_SIZE), "mean")
    result = _scored(source, metrics, seed, fast, with_controls, on_progress)
    if with_sampled:
        drawn = FactorRepresentation(sizes, sampled_codes(both, seed), "sampled")
        result["sampled"] = evaluate(
            drawn, metrics, seed=seed, fast=fast, on_progress=_named("sampled", on_progress)
        )
    facts = {"model": model.facts.name, "dataset": data.name, "codes": codes}
    return {**facts, "factors": list(data.space.names), **result}


def _scored(
    representation: Representation,
    metrics: Sequence[str],
    seed: int,
    fast: bool,
    with_controls: bool,
    on_progress: Progress | None,
) -> dict[str, Any]:
    result = evaluate(representation, metrics, seed=seed, fast=fast, on_progress=on_progress)
    if with_controls:
        result["controls"] = controls(
            representation, metrics, seed=seed, fast=fast, on_progress=on_progress
        )
    return result


def _posterior_of(
    model: EditableModel, codes: str
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """uint8 images (n, S, S, C) -> means and standard deviations of the code, (n, N) each."""
    import torch

    from .imaging.tensors import from_pixels
    from .model import copilot_of

    networks = model.networks
    if codes not in CODES:
        raise ValueError(f"codes is '{codes}'. Use one of {', '.join(CODES)}.")
    copilot = copilot_of(networks) if codes == "copilot" else None
    if copilot is not None and not model.facts.training.has_copilot_code:
        raise ValueError(
            f"The code of the co-pilot of {model.facts.name or 'this model'} is not in its file: "
            "with the objective that it was trained with, the encoder alone does not give it. "
            "Score the semantic code."
        )

    @torch.no_grad()
    def posterior(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x = from_pixels(images).to(networks.device, networks.dtype)
        if copilot is not None:
            mu, logvar = copilot.encode(copilot.resize(x))
        else:
            mu, logvar, _ = networks.encode_semantic(x)
        return mu.float().cpu().numpy(), (0.5 * logvar.float()).exp().cpu().numpy()

    return posterior


def _named(prefix: str, on_progress: Progress | None) -> Progress | None:
    if on_progress is None:
        return None
    return lambda name, done: on_progress(f"{prefix}: {name}", done)


def score_table(result: dict[str, Any]) -> str:
    """Markdown: one line per metric key; columns for the codes, sampled codes and the controls."""
    columns = {"mean" if "sampled" in result or "dataset" in result else "codes": result}
    if "sampled" in result:
        columns["sampled"] = result["sampled"]
    columns |= {
        name.replace("_", " "): scores for name, scores in result.get("controls", {}).items()
    }
    keys = [key for metric in METRICS.values() for key in metric.keys if key in result]
    lines = [
        f"Protocol: {result['protocol']}, seed {result['seed']}.",
        "",
        "| score | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for key in keys:
        cells = [_cell(scores.get(key)) for scores in columns.values()]
        lines.append(f"| {key} | " + " | ".join(cells) + " |")
    lines += [f"{name} has no value: {why}" for name, why in result["skipped"].items()]
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    if value is None:
        return "none"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
