"""The `cldis` command."""

from .main import main

__all__ = ["main"]
