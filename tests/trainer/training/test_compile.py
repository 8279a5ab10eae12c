"""A run with use_compile in a process of its own, where nothing has been imported or traced."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import sys
from dataclasses import replace
import numpy as np
import torch
from torch import nn
from trainer.config.settings import load_preset
from trainer.training.trainer import Trainer

compiled = nn.Module.compile
nn.Module.compile = lambda module: compiled(module, backend=sys.argv[1])
torch.set_num_threads(1)
images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
config = replace(load_preset("tiny32"), batch_size=4)
config = replace(config, loop=replace(config.loop, copilot_warmup_steps=1))
ends = []
for use_compile in (True, False):  # compiled first: the other would import what tracing may not
    trainer = Trainer(replace(config, use_compile=use_compile), images)
    for _ in range(3):
        trainer.train_step()
    assert trainer.losses is not None
    ends.append(torch.cat([p.detach().flatten() for p in trainer.networks.parameters()]))
torch.testing.assert_close(*ends, rtol=0, atol=1e-4)
frames = torch._dynamo.utils.counters["stats"]["calls_captured"]
assert frames > 100, frames
"""


def run(backend: str, seconds: float) -> None:
    command = [sys.executable, "-c", SCRIPT, backend]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_step_can_be_traced_and_gives_the_same_weights():
    run("eager", 200)


@pytest.mark.slow
def test_a_compiled_step_gives_the_same_weights():
    """Minutes of compiling; needs a C++ compiler."""
    run("inductor", 1500)
