"""Where training pictures come from: folders and zip files of pictures, or procedural heads."""

from .images import ImageSet, open_images
from .report import DataReport

__all__ = ["DataReport", "ImageSet", "open_images"]
