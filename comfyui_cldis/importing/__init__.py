"""Models of other projects, read from their own files into ours; nothing in such a file is run."""

from .diffae import Imported, import_diffae
from .errors import ForeignFileError

__all__ = ["ForeignFileError", "Imported", "import_diffae"]
