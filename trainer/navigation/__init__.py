"""Navigation: interpretable directions in the code of a trained model, found without labels.

docs/navigation.md gives formulas, sources and deviations.
"""

from .basis import Basis
from .progress import Watch
from .search import find
from .settings import FINDERS, STEPPED, NavigationSettings
from .space import ModelSpace, RendererSpace, Space

__all__ = [
    "FINDERS",
    "STEPPED",
    "Basis",
    "ModelSpace",
    "NavigationSettings",
    "RendererSpace",
    "Space",
    "Watch",
    "find",
]
