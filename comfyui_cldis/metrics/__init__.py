"""Scores of disentanglement: how well the dimensions of a code match known factors.

`evaluate` scores a `Representation`, given as arrays (`load_representation`, `from_arrays`) or as a
function of the factors (`FactorRepresentation`), with the protocol of disentanglement_lib.
"""

from .arrays import ArrayRepresentation, from_arrays, load_representation
from .evaluation import METRICS, Metric, controls, evaluate, oracle, random_rotation
from .generator import FactorRepresentation, coded_images, sampled_codes, tabulated
from .representation import Labelled, NotApplicable, Representation
from .udr import udr

__all__ = [
    "METRICS",
    "ArrayRepresentation",
    "FactorRepresentation",
    "Labelled",
    "Metric",
    "NotApplicable",
    "Representation",
    "coded_images",
    "controls",
    "evaluate",
    "from_arrays",
    "load_representation",
    "oracle",
    "random_rotation",
    "sampled_codes",
    "tabulated",
    "udr",
]
