"""The loader: a model file, or the bundled model, becomes a CLDIS_MODEL."""

from __future__ import annotations

import logging

import torch

from ..checkpoint import load_checkpoint
from ..editing.verdict import no_sliders_text
from . import host
from .checks import accepted
from .model_files import BUNDLED, find_model, fingerprint, model_names
from .packages import BASE, require
from .sockets import CATEGORY_LOADERS, MODEL, LoadedModel

logger = logging.getLogger(__name__)

# "auto" is float32 on every device, for the reasons and figures in docs/precision.md.
DTYPES = {
    "auto": torch.float32,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}


class LoadModel:
    DESCRIPTION = (
        "Loads a CL-Dis model: the one bundled with the pack (64-pixel heads), or a .safetensors "
        "file from models/cldis."
    )
    CATEGORY = CATEGORY_LOADERS
    SEARCH_ALIASES = [
        "cldis loader",
        "disentangled model",
        "diffusion autoencoder loader",
        "face edit model",
        "attribute sliders",
    ]
    RETURN_TYPES = (MODEL,)
    RETURN_NAMES = ("model",)
    OUTPUT_TOOLTIPS = ("The model, for the model inputs of all CLDis nodes.",)
    FUNCTION = "execute"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model_name": (
                    model_names(),
                    {
                        "default": BUNDLED,
                        "tooltip": (
                            "A file in models/cldis (or in a folder under the key cldis in "
                            "extra_model_paths.yaml), or the model bundled with the pack."
                        ),
                    },
                ),
                "dtype": (
                    list(DTYPES),
                    {
                        "default": "auto",
                        "tooltip": (
                            "Number format of the weights. auto is fp32, the most faithful; fp16 "
                            "and bf16 halve the memory and follow the original less exactly."
                        ),
                    },
                ),
            }
        }

    @classmethod
    def VALIDATE_INPUTS(cls, model_name):
        return accepted(model_name, find_model)

    @classmethod
    def IS_CHANGED(cls, model_name, dtype):
        return f"{model_name} {fingerprint(model_name)} {dtype}"

    def execute(self, model_name: str, dtype: str) -> tuple[LoadedModel]:
        require(BASE)
        editable = load_checkpoint(find_model(model_name), dtype=DTYPES[dtype])
        model = LoadedModel(model_name, editable, host.manage(editable.networks))
        if dtype == "fp16" and host.is_on_cpu(model):
            logger.warning(
                "%s computes in fp16 on a CPU, which takes many times as long as fp32. Choose "
                "dtype auto in CLDis Load Model.",
                model_name,
            )
        if editable.directions and (text := no_sliders_text(editable)):
            logger.warning("CL-Dis: %s: %s", model_name, text)
        return (model,)
