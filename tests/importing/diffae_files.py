"""Writes checkpoints as the published Diff-AE code and PyTorch Lightning write them."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from tests.importing import diffae_reference as reference
from tests.importing.diffae_reference import DEFAULTS, LATENT_DEFAULTS, Settings, Weights

# Settings of a run -> those of the networks, where both have them.
OUTER = {
    "img_size": "image_size",
    "net_ch": "model_channels",
    "net_beatgans_embed_channels": "embed_channels",
    "style_ch": "enc_out_channels",
    "net_beatgans_resnet_cond_channels": "resnet_cond_channels",
    "net_ch_mult": "channel_mult",
    "net_num_res_blocks": "num_res_blocks",
    "net_num_input_res_blocks": "num_input_res_blocks",
    "net_attn": "attention_resolutions",
    "net_beatgans_attn_head": "num_heads",
    "net_resblock_updown": "resblock_updown",
    "net_enc_channel_mult": "enc_channel_mult",
    "net_enc_num_res_blocks": "enc_num_res_block",
    "net_enc_attn": "enc_attn_resolutions",
}
OUTER_LATENT = {
    "net_latent_layers": "num_layers",
    "net_latent_num_hid_channels": "num_hid_channels",
    "net_latent_skip_layers": "skip_layers",
    "net_latent_time_emb_channels": "num_time_emb_channels",
    "net_latent_num_time_layers": "num_time_layers",
    "net_latent_time_last_act": "time_last_act",
    "net_latent_use_norm": "use_norm",
    "net_latent_condition_bias": "condition_bias",
}


@contextmanager
def foreign_class(module: str, name: str, base: type = object) -> Iterator[Any]:
    """A class of a package that is not installed, for as long as something is pickled."""
    parts = module.split(".")
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    missing = [each for each in names if each not in sys.modules]
    for each in missing:
        sys.modules[each] = ModuleType(each)
    made = type(name, (base,), {"__module__": module})
    setattr(sys.modules[module], name, made)
    try:
        yield made
    finally:
        for each in missing:
            del sys.modules[each]


def weights_of(settings: Settings, latent: Settings | None = None, seed: int = 0) -> Weights:
    """Random averaged weights under the published names."""
    w = Weights(seed)
    size, channels = settings["image_size"], settings["in_channels"]
    x, t = torch.zeros(1, channels, size, size), torch.zeros(1, dtype=torch.long)
    z = reference.encode(w, settings, x)
    reference.predict(w, settings, x, t, z)
    if latent is not None:
        reference.predict_code(w, latent, z, t)
    return w


def hyper_parameters(settings: Settings, latent: Settings | None = None) -> dict[str, Any]:
    """What the published code saves of its settings; enumerations are left out there too."""
    values: dict[str, Any] = {outer: settings[inner] for outer, inner in OUTER.items()}
    values |= {
        "seed": 0,
        "T": 1000,
        "beta_scheduler": "linear",
        "batch_size": 8,
        "accum_batches": 1,
        "data_name": "ffhqlmdb256",
        "name": "tiny_autoenc",
        "net_enc_pool": "adaptivenonzero",
        "net_beatgans_resnet_two_cond": True,
        "net_autoenc_stochastic": False,
        "latent_znormalize": latent is not None,
        "latent_clip_sample": False,
        "latent_beta_scheduler": "linear" if latent is None else "const0.008",
        "net_latent_layers": None,
    }
    if latent is not None:
        values |= {outer: latent[inner] for outer, inner in OUTER_LATENT.items()}
    inner = dict(settings)
    # the published code saves its settings before it makes those of the latent model
    inner |= {"out_channels": 3, "num_heads_upsample": -1, "dims": 2, "latent_net_conf": None}
    inner |= {"enc_pool": "adaptivenonzero", "resnet_two_cond": True, "num_classes": None}
    return {**values, "model_conf": inner}


def checkpoint(
    w: Mapping[str, Tensor],
    settings: Settings,
    latent: Settings | None = None,
    *,
    conds: Tensor | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """The dictionary of a last.ckpt; `changes` replace its entries."""
    size, channels = settings["image_size"], settings["in_channels"]
    state: OrderedDict[str, Tensor] = OrderedDict()
    for prefix, factor in (("model.", 0.5), ("ema_model.", 1.0)):
        for name, tensor in w.items():
            state[prefix + name] = tensor * factor
            if ".linear_emb." in name:  # registered twice
                again = name.replace("linear_emb", "cond_layers.1")
                state[prefix + again] = state[prefix + name]
    state["x_T"] = torch.zeros(2, channels, size, size)
    if conds is not None:
        state["conds_mean"], state["conds_std"] = conds.mean(0)[None], conds.std(0)[None]
    some = next(iter(w.values()))
    return {
        "epoch": 1,
        "global_step": 12,
        "pytorch-lightning_version": "1.4.5",
        "state_dict": state,
        "callbacks": {},
        "optimizer_states": [{"state": {0: {"step": 12, "exp_avg": torch.zeros_like(some)}}}],
        "lr_schedulers": [],
        "hparams_name": "conf",
        "hyper_parameters": hyper_parameters(settings, latent),
        **changes,
    }


def save(path: Path, values: Any, *, is_old: bool = False) -> Path:
    """Writes it as torch.save does, with a callback of a class that is not installed here."""
    with (
        foreign_class(
            "pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint"
        ) as callback,
        foreign_class("pytorch_lightning.utilities.parsing", "AttributeDict", dict) as attributes,
    ):
        if isinstance(values, dict) and "callbacks" in values:
            values = {**values, "callbacks": {callback: {"monitor": "loss", "dirpath": "x"}}}
        if isinstance(values, dict) and isinstance(values.get("hyper_parameters"), dict):
            values["hyper_parameters"] = attributes(values["hyper_parameters"])
        torch.save(values, path, _use_new_zipfile_serialization=not is_old)
    return path


def tiny(**changes: Any) -> dict[str, Any]:
    """Settings of a network that is quick to run."""
    small = {"image_size": 16, "model_channels": 8, "attention_resolutions": (8,)}
    return {**DEFAULTS, **small, **changes}


def tiny_latent(**changes: Any) -> dict[str, Any]:
    return {**LATENT_DEFAULTS, **changes}
