"""Where training images come from: folders and zip files, procedural heads, factor data sets."""

from .holdout import Images, Split, hold_out, num_held_out
from .images import ImageSet, open_images
from .report import DataReport
from .report_files import read_report, write_report
from .sources import BUILT_IN_SOURCES, SOURCES, Source

__all__ = [
    "BUILT_IN_SOURCES",
    "DataReport",
    "SOURCES",
    "ImageSet",
    "Images",
    "Source",
    "Split",
    "hold_out",
    "num_held_out",
    "open_images",
    "read_report",
    "write_report",
]
