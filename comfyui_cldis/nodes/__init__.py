"""The nodes that ComfyUI shows: one class per verb, V1 registration, ids permanent once released.

V1 because these plain classes import without ComfyUI and load in every core since 0.3.64.
"""

from __future__ import annotations

from .decode import Decode
from .edit import EditDirection, EditSliders
from .encode import Encode
from .info import ModelInfo
from .load import LoadModel
from .track import TrackContent
from .train import Train
from .traverse import Traverse

NODES = (
    # id                     class          title in the node menu
    ("CLDIS_LoadModel", LoadModel, "CLDis Load Model"),
    ("CLDIS_Encode", Encode, "CLDis Encode Image"),
    ("CLDIS_EditDirection", EditDirection, "CLDis Edit Direction"),
    ("CLDIS_EditSliders", EditSliders, "CLDis Edit Sliders"),
    ("CLDIS_Decode", Decode, "CLDis Decode Image"),
    ("CLDIS_Traverse", Traverse, "CLDis Traverse Direction"),
    ("CLDIS_ModelInfo", ModelInfo, "CLDis Model Info"),
    ("CLDIS_TrackContent", TrackContent, "CLDis Track Content"),
    ("CLDIS_Train", Train, "CLDis Train Model"),
)

NODE_CLASS_MAPPINGS = {node_id: node for node_id, node, _ in NODES}
NODE_DISPLAY_NAME_MAPPINGS = {node_id: title for node_id, _, title in NODES}
