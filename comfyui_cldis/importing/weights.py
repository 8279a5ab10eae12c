"""The averaged weights of a Diff-AE checkpoint, under the names that our networks give them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..checkpoint.differences import MAX_LISTED, Shape, differences
from ..model.diffae import DiffAE, DiffAEConfig
from ..wording import printable
from .errors import ForeignFileError, unreadable
from .stored import StoredTensor, as_mapping
from .torch_file import TorchFile

EMA, TRAINED = "ema_model.", "model."
TIME = "time_embed."  # stands twice in front of the layers of the time embedding
# The published code registers each of these layers a second time, under another name.
REPEATED = re.compile(r"latent_net\.layers\.\d+\.cond_layers\.\d+\.(weight|bias)")


def stored_weights(state: Mapping[str, Any], file: str) -> dict[str, StoredTensor]:
    """The averaged weights by their published names, without the prefix.

    Raises: ForeignFileError where there are none, or not those of a diffusion autoencoder.
    """
    weights = {
        key.removeprefix(EMA): value
        for key, value in state.items()
        if isinstance(key, str) and key.startswith(EMA) and isinstance(value, StoredTensor)
    }
    if not weights:
        if any(str(key).startswith(TRAINED) for key in state):
            raise ForeignFileError(
                f"{file} has no averaged weights (its names that begin with '{EMA}' are missing), "
                "and the others draw worse. Choose the last.ckpt that the training wrote."
            )
        raise ForeignFileError(
            f"{file} holds no Diff-AE: none of its {len(state)} tensors is one of '{EMA}*'. "
            "Choose the last.ckpt of an autoencoder."
        )
    if not any(key.startswith("encoder.") for key in weights):
        raise ForeignFileError(
            f"{file} holds a diffusion model without a semantic encoder, so there is no code to "
            "edit. Choose the last.ckpt of an autoencoder."
        )
    return {key: value for key, value in weights.items() if not REPEATED.fullmatch(key)}


def shapes_of(weights: Mapping[str, StoredTensor]) -> dict[str, Shape]:
    """Their shapes, nothing read."""
    return {key: value.shape for key, value in weights.items()}


def our_name(published: str) -> str:
    """Our name of a weight."""
    if published.startswith(("encoder.", "latent_net.")):
        return published
    return "unet." + published.replace(TIME + TIME, TIME, 1)


def published_name(ours: str) -> str:
    """The name of a weight in the published code."""
    if not ours.startswith("unet."):
        return ours
    name = ours.removeprefix("unet.")
    return TIME + name if name.startswith(TIME) else name


def load_networks(
    config: DiffAEConfig,
    weights: Mapping[str, StoredTensor],
    file: TorchFile,
    on_tensor: Callable[[int, int], object],
) -> DiffAE:
    """Networks with the weights of a file as float32, in inference mode, read one at a time.

    Args:
        on_tensor: called with how many are read, and of how many.

    Raises: ForeignFileError for weights that do not fit the architecture, all of them by name, or
        that are larger than the file, because they share their values.
    """
    if sum(stored.num_bytes for stored in weights.values()) > file.size:
        raise unreadable(file.name, "its averaged weights are larger than the file")
    networks = _empty(config, file.name)
    expected = {published_name(key): tuple(t.shape) for key, t in networks.state_dict().items()}
    unlike = differences(expected, shapes_of(weights))
    if unlike:
        raise ForeignFileError(
            f"The averaged weights of {file.name} do not fit the architecture that it describes "
            f"({unlike}). Choose a checkpoint of the published code."
        )
    loaded: dict[str, Tensor] = {}
    for index, (key, stored) in enumerate(weights.items()):
        tensor = file.read(stored)
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise ForeignFileError(
                f"{file.name} has values in '{EMA}{key}' that are no finite numbers. Download it "
                "again, or choose an earlier checkpoint."
            )
        loaded[our_name(key)] = tensor.float()
        on_tensor(index + 1, len(weights))
    networks.load_state_dict(loaded, strict=True, assign=True)
    return networks.requires_grad_(False).train(False)


def _empty(config: DiffAEConfig, name: str) -> DiffAE:
    """Networks without memory for weights."""
    try:
        with torch.device("meta"):
            return DiffAE(config)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ForeignFileError(
            f"{name} describes networks that cannot be built: {reason}. Choose another checkpoint."
        ) from error


def state_of(root: Any, file: str) -> Mapping[str, Any]:
    """The dictionary of all tensors of a Lightning checkpoint.

    Raises: ForeignFileError for a file that is none.
    """
    state = as_mapping(as_mapping(root).get("state_dict"))
    if not state:
        keys = ", ".join(sorted(printable(str(key)[:40]) for key in as_mapping(root))[:MAX_LISTED])
        raise ForeignFileError(
            f"{file} is no checkpoint of PyTorch Lightning: it has no 'state_dict' "
            f"(it holds {keys or 'no dictionary'}). Choose the last.ckpt of a Diff-AE."
        )
    return state
