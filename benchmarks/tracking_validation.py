"""Does the content-tracking score rank trained models as labels do? Beside UDR, its rival.

    python -m benchmarks.tracking_validation DIR [DIR ...] --data shapes3d-equivalent
        --output FOLDER [--metrics NAME ...] [--full] [--limit N]

Takes every finished run below DIR (folders ROW/seed_N of `cldis sweep`). Each gives
two models: the diffusion autoencoder, and its co-pilot taken as a model of its own (a VAE); a run
of the co-pilot alone, or one that does not listen to it, gives only the one it is about. Every
model gets the labelled scores (fast protocol, mean codes; those that the sweep recorded where it
scored this model on DATA), every version of the content-tracking score of its code's axes on the
same images, and UDR among the seeds of its row. A model that another run holds too counts once.
--metrics chooses the labelled scores (heads: dci mig, for FactorVAE would draw 64,000 heads for
each code). Writes table.md, table.json and scatter.png, and prints Spearman's rank correlations
with 95 % bootstrap intervals over the runs. What was measured is kept in FOLDER/models, so the same
command resumes after a stop; a model whose file has changed since, or that was measured on other
data, with other labelled scores or with other settings, is measured anew. Rows of the same name in
different sweeps are different rows.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import rankdata

from comfyui_cldis.checkpoint import load_checkpoint
from comfyui_cldis.datasets.registry import open_factor_data
from comfyui_cldis.editing.editable import EditableModel
from comfyui_cldis.imaging.tensors import from_pixels
from comfyui_cldis.metrics import udr
from comfyui_cldis.metrics.evaluation import VERSION as METRICS_VERSION
from comfyui_cldis.model import copilot_of
from comfyui_cldis.tracking import FAST, Tracking, TrackingSettings, track, track_renderer
from comfyui_cldis.tracking.settings import VERSIONS
from trainer.model_quality import explained_variance
from trainer.report.plot_style import BLUE, FAINT_INK, ORANGE, dress, to_png
from trainer.sweep.scores import kept_scores, measured_scores
from trainer.training.checkpoint import read_config

TRUTHS = {"dci": "dci_disentanglement", "factor_vae": "factor_vae", "mig": "mig"}
OF_A_VERSION = ("cts", "separation", "purity", "compactness")
OF_ALL = ("distinctness", "coverage")
RIVALS = (*(f"{part}_{each}" for each in VERSIONS for part in OF_A_VERSION), *OF_ALL, "udr")
NUM_IMAGES = 256
UDR_IMAGES = 2000
RESAMPLES = 2000
SEED = 2027
LABELS = {
    **{f"cts_{each}": f"CTS, version {each}" for each in VERSIONS},
    "udr": "UDR",
    "dci_disentanglement": "DCI D",
    "factor_vae": "FactorVAE",
    "mig": "MIG",
}


def variants(folder: Path) -> list[str]:
    """Which codes of the run in `folder` are models worth comparing: "semantic", "copilot"."""
    loop = read_config(folder).config.loop
    if loop.copilot_only:
        return ["copilot"]
    return ["semantic"] if loop.distillation_weight == 0 else ["semantic", "copilot"]


def track_copilot(
    model: EditableModel, images: np.ndarray, codes: np.ndarray, settings: TrackingSettings
) -> Tracking:
    """The co-pilot as a renderer of its own; A is the share of the variance that it explains."""
    copilot = copilot_of(model.networks)

    @torch.no_grad()
    def render(z: torch.Tensor) -> torch.Tensor:
        return copilot.decode(z).clamp(-1, 1)

    z = torch.from_numpy(codes)
    coverage = explained_share(render(z), copilot.resize(from_pixels(images)))
    return track_renderer(render, z, settings, SEED, deviations=z.std(0), coverage=coverage)


def explained_share(drawn: torch.Tensor, images: torch.Tensor) -> float:
    """Share of the variance of images (n, C, s, s) that drawn ones explain, cut to [0, 1].

    Both are at the co-pilot's size: what is lost on the way to it is not asked of the co-pilot.
    """
    return min(1.0, max(0.0, explained_variance(images, drawn, images.mean(0))))


def encoder(model: EditableModel, codes: str) -> Callable[[np.ndarray], np.ndarray]:
    """uint8 images (n, S, S, C) -> mean codes (n, N) float32."""
    networks = model.networks
    copilot = copilot_of(networks) if codes == "copilot" else None

    @torch.no_grad()
    def encode(images: np.ndarray) -> np.ndarray:
        parts = []
        for chunk in np.array_split(images, max(1, len(images) // 250)):
            x = from_pixels(chunk)
            if copilot is not None:
                parts.append(copilot.encode(copilot.resize(x)).mu)
            else:
                parts.append(networks.encode_semantic(x).mu)
        return torch.cat(parts).numpy()

    return encode


def sweep_of(folder: Path) -> str:
    """Which sweep the run in `folder` (SWEEP/ROW/seed_N) is of: no two places have the same."""
    sweep = folder.resolve().parent.parent
    return f"{sweep.name}-{hashlib.sha256(str(sweep).encode()).hexdigest()[:8]}"


def asked_of(
    model: Path, data: str, metrics: Sequence[str], settings: TrackingSettings
) -> dict[str, Any]:
    """All that the measurement of a model file depends on, JSON-able."""
    asked = {
        "model_time": model.stat().st_mtime_ns,
        "data": data,
        "metrics": sorted(metrics),
        "metrics_version": METRICS_VERSION,
        "tracking": dataclasses.asdict(settings) | {"version": VERSIONS},
        "images": [NUM_IMAGES, UDR_IMAGES],
        "seed": SEED,
    }
    return json.loads(json.dumps(asked))


def kept_measurement(path: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """What `path` holds; None where it does not hold what is asked for, or cannot be read."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return kept if kept["asked"] == asked else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def measure(
    folder: Path, codes: str, data: str, metrics: Sequence[str], settings: TrackingSettings
) -> dict[str, Any]:
    """Everything about one model that needs no other model, and its codes of common images."""
    path = folder / "model.safetensors"
    model = load_checkpoint(path)
    config = model.networks.config
    factor_data = open_factor_data(data, config.image_size, channels=config.in_channels)
    rng = np.random.default_rng(SEED)
    factors = np.stack([rng.integers(0, n, UDR_IMAGES) for n in factor_data.space.sizes], axis=1)
    images = np.asarray(factor_data.images(factors))
    encode = encoder(model, codes)
    tracked, some, began = {}, images[:NUM_IMAGES], time.perf_counter()
    for each in VERSIONS:
        chosen = dataclasses.replace(settings, version=each)
        if codes == "copilot":
            tracked[each] = track_copilot(model, some, encode(some), chosen).to_json()
        else:
            tracked[each] = track(model, some, chosen, SEED).to_json()
    seconds = (time.perf_counter() - began) / len(VERSIONS)
    common = tracked[VERSIONS[0]]
    scores = kept_scores(path, codes, data, metrics)
    scores = scores or measured_scores(path, codes, data, metrics)
    return {
        "asked": asked_of(path, data, metrics, settings),
        "sweep": sweep_of(folder),
        "row": folder.parent.name,
        "seed": folder.name.removeprefix("seed_"),
        "codes": codes,
        **{key: scores.get(key) for key in TRUTHS.values()},
        **{f"{part}_{each}": tracked[each][part] for each in VERSIONS for part in OF_A_VERSION},
        **{part: common[part] for part in OF_ALL},
        "num_active": common["num_active"],
        "seconds": round(seconds, 1),
        "sample_codes": encode(images).round(4).tolist(),
    }


def distinct(models: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The models, each code once: two runs may train the same co-pilot beside other decoders."""
    seen: set[str] = set()
    for model in models:
        codes = json.dumps(model["sample_codes"])
        if codes not in seen:
            yield model
        seen.add(codes)


def add_udr(models: list[dict[str, Any]]) -> None:
    """UDR among the seeds of a row; None where there is only one."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for model in models:
        groups.setdefault((model["sweep"], model["row"], model["codes"]), []).append(model)
    for group in groups.values():
        scores: Sequence[float | None] = [None] * len(group)
        if len(group) > 1:
            scores = udr([np.array(model["sample_codes"]) for model in group])
        for model, score in zip(group, scores, strict=True):
            model["udr"] = score


def rank_correlation(pairs: np.ndarray) -> float:
    """Spearman's, of pairs (n, 2)."""
    return float(np.corrcoef(rankdata(pairs, axis=0).T)[0, 1])


def correlation(
    models: Sequence[dict[str, Any]], rival: str, truth: str
) -> tuple[float, float, float, int] | None:
    """Spearman's correlation, its 95 % bootstrap interval over the runs, and how many models.

    Runs are resampled, not models: the two codes of one run are alike.
    """
    known = [m for m in models if m[rival] is not None and m[truth] is not None]
    if len(known) < 5:
        return None
    groups = by_run(known, (rival, truth))
    drawn = [rank_correlation(chosen) for chosen in resampled(groups)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return rank_correlation(np.concatenate(groups)), low, high, len(known)


def gain(models: Sequence[dict[str, Any]], truth: str) -> tuple[float, float, float, int] | None:
    """The same of the newest version's CTS less that of the oldest one's, on the same draws."""
    rivals = [f"cts_{max(VERSIONS)}", f"cts_{min(VERSIONS)}"]
    if len(models) < 5:
        return None
    groups = by_run(models, (*rivals, truth))

    def gained(values: np.ndarray) -> float:
        return rank_correlation(values[:, [0, 2]]) - rank_correlation(values[:, [1, 2]])

    low, high = np.quantile([gained(chosen) for chosen in resampled(groups)], [0.025, 0.975])
    return gained(np.concatenate(groups)), low, high, len(models)


def by_run(models: Sequence[dict[str, Any]], names: Sequence[str]) -> list[np.ndarray]:
    """For each run the named values of its models, (1 or 2, len(names))."""
    runs: dict[tuple[str, ...], list[list[float]]] = {}
    for model in models:
        values = [model[name] for name in names]
        runs.setdefault((model["sweep"], model["row"], model["seed"]), []).append(values)
    return [np.array(values) for values in runs.values()]


def resampled(groups: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Bootstrap draws of the runs, without those in which a value is the same in all."""
    rng = np.random.default_rng(SEED)
    for _ in range(RESAMPLES):
        chosen = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
        if np.ptp(chosen, axis=0).min() > 0:
            yield chosen


def known_truths(models: Sequence[dict[str, Any]]) -> list[str]:
    """The labelled scores that were measured on every model."""
    return [k for k in TRUTHS.values() if all(model[k] is not None for model in models)]


def draw_scatter(models: Sequence[dict[str, Any]]) -> bytes:
    """Each version's CTS and UDR against DCI D, and against FactorVAE or else MIG."""
    rivals = (*(f"cts_{each}" for each in VERSIONS), "udr")
    truths = known_truths(models)[:2]
    shown = [each for each in rivals if any(model[each] is not None for model in models)]
    figure = Figure(figsize=(3 * len(shown), 2.8 * len(truths)))
    for i, truth in enumerate(truths):
        for j, rival in enumerate(shown):
            axes = figure.add_subplot(len(truths), len(shown), i * len(shown) + j + 1)
            for codes, colour, label in (
                ("semantic", BLUE, "diffusion autoencoder"),
                ("copilot", ORANGE, "co-pilot alone"),
            ):
                chosen = [m for m in models if m["codes"] == codes and m[rival] is not None]
                axes.scatter(
                    [m[truth] for m in chosen],
                    [m[rival] for m in chosen],
                    s=18,
                    color=colour,
                    label=label,
                )
            dress(axes, "", LABELS[rival], None, x_label=LABELS[truth])
            axes.grid(True, axis="x", color=FAINT_INK, alpha=0.2, linewidth=0.6)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=2, frameon=False, fontsize=8)
    figure.suptitle(" ")
    return to_png(figure)


def report(models: Sequence[dict[str, Any]], settings: TrackingSettings, data: str) -> str:
    """Markdown: the correlations for all models and for each kind, then every model."""
    speed, truths = "fast" if settings == FAST else "full", known_truths(models)
    lines = [
        f"{date.today()}, {len(models)} models, {data}, {speed} tracking settings, seed {SEED}.",
        "",
        "| models | score | " + " | ".join(f"with {LABELS[truth]}" for truth in truths) + " |",
        "|---|---" + "|---" * len(truths) + "|",
    ]
    kinds = {"all": ("semantic", "copilot"), "diffusion": ("semantic",), "co-pilot": ("copilot",)}
    for kind, codes in kinds.items():
        chosen = [model for model in models if model["codes"] in codes]
        for rival in RIVALS:
            found = [correlation(chosen, rival, truth) for truth in truths]
            lines.append(f"| {kind} | {rival} | " + " | ".join(map(in_words, found)) + " |")
        found = [gain(chosen, truth) for truth in truths]
        lines.append(
            f"| {kind} | newest less oldest CTS | " + " | ".join(map(in_words, found)) + " |"
        )
    names = (*truths, *RIVALS, "num_active", "seconds")
    lines += ["", "| row | seed | codes | " + " | ".join(names) + " |"]
    lines.append("|---" * (len(names) + 3) + "|")
    for model in models:
        cells = ["-" if model[name] is None else f"{model[name]:.3g}" for name in names]
        lines.append(
            f"| {model['row']} | {model['seed']} | {model['codes']} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def in_words(found: tuple[float, float, float, int] | None) -> str:
    return "-" if found is None else "{:.2f} ({:.2f} to {:.2f}), n {}".format(*found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--metrics", nargs="+", choices=TRUTHS, default=list(TRUTHS), help="labelled scores"
    )
    parser.add_argument("--full", action="store_true", help="the default tracking settings")
    parser.add_argument("--limit", type=int, help="measure at most so many models this time")
    options = parser.parse_args()
    settings = TrackingSettings() if options.full else FAST
    kept = options.output / "models"
    kept.mkdir(parents=True, exist_ok=True)
    models, measured = [], 0
    for folder in sorted(p.parent for d in options.folders for p in d.rglob("model.safetensors")):
        for codes in variants(folder):
            name = f"{sweep_of(folder)}-{folder.parent.name}-{folder.name}-{codes}.json"
            path = kept / name
            file = folder / "model.safetensors"
            asked = asked_of(file, options.data, options.metrics, settings)
            found = kept_measurement(path, asked)
            if found is None:
                if options.limit is not None and measured >= options.limit:
                    continue
                found = measure(folder, codes, options.data, options.metrics, settings)
                path.write_text(json.dumps(found), encoding="utf-8")
                measured += 1
                scores = ", ".join(f"CTS {each} {found[f'cts_{each}']}" for each in VERSIONS)
                print(f"{name}: {scores}, D {found['dci_disentanglement']:.3f}", flush=True)
            models.append(found)
    models = list(distinct(models))
    add_udr(models)
    text = report(models, settings, options.data)
    for model in models:
        del model["sample_codes"]
    (options.output / "table.json").write_text(json.dumps(models, indent=1), encoding="utf-8")
    (options.output / "table.md").write_text(text, encoding="utf-8")
    (options.output / "scatter.png").write_bytes(draw_scatter(models))
    print(text)


if __name__ == "__main__":
    main()
