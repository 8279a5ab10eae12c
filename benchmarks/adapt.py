"""Does a small code on top of a frozen Diff-AE say what the wide one does not say plainly?

    python -m benchmarks.adapt --output DIR [--data heads] [--backbone-steps 2000] [--steps 2000]

Trains a small Diff-AE of the published layout on drawn images of 32 pixels and adapts it twice,
with an open loop (no image through the frozen decoder) and with a closed one (`--decoded` images of
each batch). It predicts the velocity, on the schedule of our own models: in so few steps a model on
the published schedule learns no colours, and its images do not follow its code.

Scored with labels (2,000 images, fast protocol) are the wide code, as many principal components of
it as the small code has scalars, and the small codes with those of their co-pilots. The last column
is the share of the variance of the normalised wide code that a ridge regression on a code tells, of
images that it was not fitted on. Below, how much of other images is told by those that are drawn
from their codes. What lies in DIR is used again.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from torch import Tensor
from tqdm import trange

from comfyui_cldis.checkpoint import load_checkpoint, save_checkpoint
from comfyui_cldis.datasets.registry import open_factor_data
from comfyui_cldis.datasets.space import sample_factors
from comfyui_cldis.diffusion.samplers import MEASURING_SAMPLER
from comfyui_cldis.diffusion.schedule import NoiseSchedule, ScheduleConfig
from comfyui_cldis.editing.editable import EditableModel, LatentStatistics
from comfyui_cldis.editing.facts import ModelFacts
from comfyui_cldis.editing.pipeline import decode, encode
from comfyui_cldis.metrics import evaluate, from_arrays
from comfyui_cldis.model import AdaptedDiffAE, DiffAE, DiffAEConfig, build_networks
from trainer.config.adapt import load_adapt_preset
from trainer.data import Images, open_images
from trainer.model_quality import explained_by_code, explained_variance
from trainer.run import RunSettings, train
from trainer.training.backbone import read_backbone
from trainer.training.batches import to_tensor

SIZE, NUM_IMAGES, NUM_LABELLED, DATA_SEED = 32, 5000, 2000, 2027
NUM_JUDGED, DRAWING_STEPS = 64, 20
BATCH, RATE, SEED = 16, 1e-3, 0
CONFIG = DiffAEConfig(
    image_size=SIZE,
    latent_dim=64,
    base_channels=32,
    embed_dim=128,
    widths=(32, 64, 64),
    num_res_blocks=1,
    attention_sizes=(8,),
    encoder_widths=(32, 64, 64, 64),
    encoder_num_res_blocks=1,
    encoder_attention_sizes=(8,),
)
LABELS = ("dci_disentanglement", "dci_completeness", "dci_informativeness", "mig")


def train_backbone(images: Images, path: Path, steps: int) -> None:
    """Train a Diff-AE with the simple loss on all noise levels, and write it as an import would."""
    torch.manual_seed(SEED)
    networks, schedule = build_networks(CONFIG), NoiseSchedule(ScheduleConfig())
    assert isinstance(networks, DiffAE)
    optimizer = torch.optim.AdamW(networks.parameters(), lr=RATE)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=RATE / 20)
    rng = np.random.default_rng(SEED)
    with trange(steps, desc="backbone") as bar:
        for _ in bar:
            x0 = to_tensor(images[np.sort(rng.choice(len(images), BATCH, replace=False))])
            t, eps = torch.randint(0, 1000, (BATCH,)), torch.randn_like(x0)
            z = networks.encode_semantic(x0).mu
            prediction = networks.predict(schedule.add_noise(x0, eps, t), t, z)
            loss = (prediction - schedule.target(x0, eps, t)).square().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
            optimizer.step()
            rate.step()
            bar.set_postfix(loss=f"{loss.item():.4f}")
    wide = codes_of(lambda x: networks.encode_semantic(x).mu, to_tensor(np.array(images[:1000])))
    statistics = LatentStatistics.from_codes(torch.from_numpy(wide))
    facts = ModelFacts(name="small Diff-AE")
    save_checkpoint(path, EditableModel(networks, schedule, statistics, (), facts))


@torch.no_grad()
def codes_of(encode: Callable[[Tensor], Tensor], images: Tensor) -> np.ndarray:
    """Codes (n, N) of images (n, C, S, S)."""
    return torch.cat([encode(part).float() for part in images.split(64)]).numpy()


def adapt(path: Path, data: str, output: Path, steps: int, decoded: int) -> EditableModel:
    """The adapted model, from its run in `output`."""
    backbone = read_backbone(path)
    config = load_adapt_preset("cpu", backbone.config, backbone.schedule, backbone.sha256)
    values = {
        "steps": steps,
        "seed": SEED,
        "num_images": NUM_IMAGES,
        "model.latent_dim": 12,
        "model.copilot.base_channels": 16,
        "loop.copilot_warmup_steps": steps // 5,
        "adapt.diffusion_items": decoded,
    }
    settings = RunSettings(
        data, output, config.with_values(values), use_tensorboard=False, backbone=path
    )
    outcome = train(settings, print)
    assert outcome.model is not None, "the run was stopped: start it again"
    return load_checkpoint(outcome.model)


def compare(models: Mapping[str, EditableModel], images: Tensor) -> dict[str, np.ndarray]:
    """Codes of all rows: name -> (n, N)."""
    first = next(iter(models.values())).networks
    assert isinstance(first, AdaptedDiffAE)
    adapter, backbone = first.adapter, first.backbone
    wide = codes_of(lambda x: adapter.normalise(backbone.encode_semantic(x).mu), images)
    small = first.config.latent_dim
    rows = {"wide": wide, f"{small} components": PCA(small, random_state=SEED).fit_transform(wide)}
    for name, model in models.items():
        networks = model.networks
        assert isinstance(networks, AdaptedDiffAE)
        copilot = networks.copilot
        rows[f"small, {name}"] = codes_of(lambda x, n=networks: n.encode_semantic(x).mu, images)
        rows[f"co-pilot, {name}"] = codes_of(lambda x, c=copilot: c.encode(c.resize(x)).mu, images)
    return rows


def told(codes: np.ndarray, wide: np.ndarray) -> float:
    """Share of the variance of the second half's wide codes that a ridge regression tells."""
    half = len(codes) // 2
    scaled = (codes - codes.mean(0)) / (codes.std(0) + 1e-6)
    guess = Ridge().fit(scaled[:half], wide[:half]).predict(scaled[half:])
    error = (wide[half:] - guess).var()
    return float(1 - error / wide[half:].var())


def told_by_images(model: EditableModel, images: Tensor, mean: Tensor) -> str:
    """What the images drawn from the codes of others explain of them, in words.

    With the residual code, which sliders keep, and without it.
    """
    parts = []
    for name, keeps in (("with the residual code", True), ("the code alone", False)):
        latent = encode(model, images, inversion_steps=0)
        if latent.residual is None and keeps:
            continue
        if not keeps:
            latent = replace(latent, residual=None)
        draws = [
            decode(model, latent, sampler=MEASURING_SAMPLER, num_steps=DRAWING_STEPS, seed=seed)
            for seed in (0, NUM_JUDGED)
        ]
        code = explained_by_code(images, (draws[0], draws[1]), mean)
        draw = explained_variance(images, draws[0], mean)
        parts.append(f"{name} explains {code:.2f}, one draw {draw:.2f}")
    return "; ".join(parts)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--data", default="heads")
    parser.add_argument("--backbone-steps", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--decoded", type=int, default=8)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    images = open_images(
        options.data, SIZE, cache_dir=options.output / "cache", num_images=NUM_IMAGES, seed=SEED
    ).images
    path = options.output / "backbone.safetensors"
    if not path.is_file():
        train_backbone(images, path, options.backbone_steps)
    models = {
        name: adapt(path, options.data, options.output / name, options.steps, decoded)
        for name, decoded in (("open", 0), ("closed", options.decoded))
    }
    source = open_factor_data(options.data, SIZE)
    factors = sample_factors(source.space, NUM_LABELLED, np.random.default_rng(DATA_SEED))
    rows = compare(models, to_tensor(source.images(factors)))
    print(f"\n| code | scalars | {' | '.join(LABELS)} | of the wide code |")
    print("|---" * (len(LABELS) + 3) + "|")
    for name, codes in rows.items():
        result = evaluate(from_arrays(codes, factors), ["dci", "mig"], seed=SEED, fast=True)
        cells = " | ".join(f"{result.get(key, float('nan')):.2f}" for key in LABELS)
        share = told(codes, rows["wide"])
        print(f"| {name} | {codes.shape[1]} | {cells} | {share:.2f} |")
    print()
    mean = to_tensor(np.array(images[:NUM_JUDGED])).mean(0)
    shown = to_tensor(source.images(factors[:NUM_JUDGED]))
    for name, model in {"backbone": load_checkpoint(path), **models}.items():
        print(f"{name}: {len(model.directions)} directions; {told_by_images(model, shown, mean)}")


if __name__ == "__main__":
    main()
