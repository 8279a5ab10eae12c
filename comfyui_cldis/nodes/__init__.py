"""The nodes that ComfyUI shows: one class per verb, V1 registration, ids permanent once released.

V1 because these plain classes import without ComfyUI and load in every core since 0.3.64.
"""

from __future__ import annotations

import importlib
import logging
from typing import Any

from .packages import BASE, log_missing, missing
from .stand_in import stand_in

logger = logging.getLogger(__name__)

NODES = (
    # id, file and class, title in the node menu, outputs
    ("CLDIS_LoadModel", "load", "LoadModel", "CLDis Load Model", ("CLDIS_MODEL",)),
    ("CLDIS_Encode", "encode", "Encode", "CLDis Encode Image", ("CLDIS_LATENT",)),
    ("CLDIS_EditDirection", "edit", "EditDirection", "CLDis Edit Direction", ("CLDIS_LATENT",)),
    ("CLDIS_EditSliders", "edit", "EditSliders", "CLDis Edit Sliders", ("CLDIS_LATENT",)),
    ("CLDIS_Decode", "decode", "Decode", "CLDis Decode Image", ("IMAGE",)),
    ("CLDIS_Traverse", "traverse", "Traverse", "CLDis Traverse Direction", ("IMAGE",)),
    ("CLDIS_ModelInfo", "info", "ModelInfo", "CLDis Model Info", ("STRING",)),
    (
        "CLDIS_TrackContent",
        "track",
        "TrackContent",
        "CLDis Track Content",
        ("IMAGE", "FLOAT", "STRING"),
    ),
    ("CLDIS_Train", "train", "Train", "CLDis Train Model", ("CLDIS_MODEL",)),
    ("CLDIS_SampleImage", "sample_image", "SampleImage", "CLDis Sample Image", ("IMAGE",)),
    ("CLDIS_LoadPreset", "preset", "LoadPreset", "CLDis Load Preset", ("STRING",)),
    (
        "CLDIS_TransferFactors",
        "transfer",
        "TransferFactors",
        "CLDis Transfer Factors",
        ("CLDIS_LATENT",),
    ),
    ("CLDIS_Interpolate", "interpolate", "Interpolate", "CLDis Interpolate", ("CLDIS_LATENT",)),
    ("CLDIS_Animate", "animate", "Animate", "CLDis Animate", ("IMAGE",)),
    ("CLDIS_Sample", "sample", "Sample", "CLDis Sample", ("CLDIS_LATENT", "IMAGE")),
    ("CLDIS_Compare", "compare", "Compare", "CLDis Compare", ("IMAGE",)),
)


def _node(file: str, name: str, outputs: tuple[str, ...]) -> Any:
    """The node's class, or one that says why it cannot be had, so that no workflow loses it."""
    try:
        return getattr(importlib.import_module(f".{file}", __name__), name)
    except (ImportError, OSError) as error:
        if not missing(BASE):  # else `log_missing` says it once for all nodes
            logger.warning("The CLDis node %s cannot be loaded: %s", name, error)
        return stand_in(outputs, error)


def _register_routes() -> None:
    """Tells ComfyUI's server what the sliders ask for; without it the node shows text."""
    try:
        from .routes import register

        register()
    except (ImportError, OSError) as error:
        if not missing(BASE):
            logger.warning("CLDis Edit Sliders will show text, not sliders: %s", error)


NODE_CLASS_MAPPINGS = {
    node_id: _node(file, name, outputs) for node_id, file, name, _, outputs in NODES
}
NODE_DISPLAY_NAME_MAPPINGS = {node_id: title for node_id, _, _, title, _ in NODES}

log_missing()
_register_routes()
