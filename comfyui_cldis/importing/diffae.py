"""A checkpoint of the published Diff-AE code becomes a model file of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..checkpoint import save_checkpoint
from ..diffusion.schedule import NoiseSchedule
from ..editing.editable import ASSUMED, STATISTICS, EditableModel
from ..editing.facts import IMPORTED, ModelFacts, TrainingFacts
from .architecture import Architecture, read_architecture
from .errors import ForeignFileError
from .statistics import read_statistics
from .stored import StoredTensor, as_mapping
from .torch_file import TorchFile
from .weights import load_networks, shapes_of, state_of, stored_weights

OnProgress = Callable[[str, float], object]
"""The name of the stage, and the share of it that is done, in [0, 1]."""


@dataclass(frozen=True)
class Imported:
    """What was imported.

    Attributes:
        model: as it was written.
        architecture: where its architecture is from, and what was assumed.
        statistics: how the statistics of its code are known; see `statistics`.
    """

    model: EditableModel
    architecture: Architecture
    statistics: str


def import_diffae(
    path: Path,
    output: Path,
    *,
    latent: Path | None = None,
    on_progress: OnProgress = lambda _stage, _done: None,
) -> Imported:
    """Reads a checkpoint without running anything in it, and writes a model file.

    Args:
        path: a last.ckpt, which PyTorch Lightning wrote.
        output: a .safetensors file; nothing is written where anything fails.
        latent: its latent.pkl, with the codes of the training images.

    Raises:
        ForeignFileError: a file that is none of these, or that asks for something to be called.
        CheckpointError, OSError: an output that cannot be written.
    """
    with TorchFile(path) as file:
        state = state_of(file.root, file.name)
        weights = stored_weights(state, file.name)
        noise = state.get("x_T")
        shape = noise.shape if isinstance(noise, StoredTensor) else ()
        architecture = read_architecture(file.root, shapes_of(weights), shape, file.name)
        config = architecture.config
        statistics, known = read_statistics(state, file, latent, config.latent_dim)
        if config.latent_net is not None and config.latent_net.is_normalised and known == ASSUMED:
            raise ForeignFileError(
                f"{file.name} has a latent diffusion model, which draws codes less their mean, and "
                "no mean of them. Give the latent.pkl that belongs to it."
            )
        networks = load_networks(
            config, weights, file, lambda done, total: on_progress("reading", done / total)
        )
        facts = _facts(file, architecture, known, latent)
    model = EditableModel(
        networks, NoiseSchedule(architecture.schedule), statistics, directions=(), facts=facts
    )
    on_progress("writing", 0.0)
    save_checkpoint(output, model)
    on_progress("writing", 1.0)
    return Imported(model, architecture, known)


def _facts(
    file: TorchFile, architecture: Architecture, statistics: str, latent: Path | None
) -> ModelFacts:
    """What the file says of its training."""
    root = as_mapping(file.root)
    settings = as_mapping(root.get("hyper_parameters"))
    steps, seed = root.get("global_step"), settings.get("seed")
    batch, parts = settings.get("batch_size"), settings.get("accum_batches", 1)
    is_counted = all(type(number) is int for number in (steps, batch, parts))
    training = TrainingFacts(
        steps=steps if type(steps) is int else None,
        images=steps * batch * parts if is_counted else None,  # type: ignore[operator]
        seed=seed if type(seed) is int else None,
    )
    imported: dict[str, Any] = {
        "kind": "Diff-AE",
        "file": file.name,
        "architecture": architecture.source,
        STATISTICS: statistics,
    }
    if latent is not None:
        imported["latent"] = latent.name
    if architecture.config.latent_net is not None:
        # it was trained last; nothing tells for how long the autoencoder was before
        if training.steps is not None:
            imported["latent_steps"] = training.steps
        training = replace(training, steps=None, images=None)
    if architecture.assumed:
        imported["assumed"] = list(architecture.assumed)
    return ModelFacts(
        name=_text(settings, "name") or Path(file.name).stem,
        data_card=f"A Diff-AE (Preechakul et al. 2022, arXiv:2111.15640), trained on "
        f"'{_text(settings, 'data_name') or 'unknown'}' by its authors' code and imported; its "
        "file does not state a licence.",
        training=training,
        other={IMPORTED: imported},
    )


def _text(settings: Mapping[str, Any], key: str) -> str:
    value = settings.get(key)
    return value[:200] if isinstance(value, str) else ""
