"""What the pack adds to ComfyUI's start, as a share of what torch, NumPy and Pillow took.

A share, because seconds of a processor depend on what else runs on its chip. A sixth is usual,
about 0.25 s; diffusers alone would be twelve times that.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_SHARE = 0.3
TRIALS = 3

# The collector is off because its rounds over torch's objects fall anywhere.
LOADER = """
import gc, importlib.util, sys, time, warnings
start = time.process_time()
import numpy, PIL.Image, torch
before = time.process_time() - start
gc.disable()
warnings.simplefilter("error")
start = time.process_time()
spec = importlib.util.spec_from_file_location("odd_x_pack", sys.argv[1] + "/__init__.py")
module = importlib.util.module_from_spec(spec)
sys.modules["odd_x_pack"] = module
spec.loader.exec_module(module)
for node in module.NODE_CLASS_MAPPINGS.values():
    node.INPUT_TYPES()
print((time.process_time() - start) / before)
late = {"diffusers", "kornia", "scipy", "sklearn", "transformers"} & set(sys.modules)
assert not late, late
"""


def test_the_nodes_are_there_at_once_and_without_a_warning() -> None:
    shares = []
    for _ in range(TRIALS):
        done = subprocess.run(
            [sys.executable, "-c", LOADER, str(ROOT)], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        shares.append(float(done.stdout))
    assert min(shares) < LIMIT_SHARE, shares
