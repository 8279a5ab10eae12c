"""Runs the `cldis` command from a checkout: `python -m comfyui_cldis`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
