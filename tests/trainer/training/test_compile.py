"""A run with use_compile: in a process of its own, where nothing has been imported or traced, and
where torch.compile does not work.
"""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trainer.config.settings import load_preset
from trainer.run import RunSettings, train
from trainer.training.compiling import LONGEST_REASON, why_not_compiled

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import sys
from dataclasses import replace
import numpy as np
import torch
from trainer.config.settings import load_preset
from trainer.training.trainer import Trainer

compiled = torch.compile
torch.compile = lambda function: compiled(function, backend=sys.argv[1])
torch.set_num_threads(1)
images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
config = replace(load_preset("tiny32"), batch_size=4)
config = replace(config, loop=replace(config.loop, copilot_warmup_steps=1))
ends = []
for use_compile in (True, False):  # compiled first: the other would import what tracing may not
    trainer = Trainer(replace(config, use_compile=use_compile), images)
    assert trainer.compile() == ""
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


TRITON = (
    "backend='inductor' raised:\nRuntimeError: Cannot find a working triton installation. "
    + "x" * 200
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TRITON, "RuntimeError: Cannot find a working triton installation. ..."),
        ("InvalidCxxCompiler: No working C++ compiler found\n\nSet X=1", "InvalidCxxCompiler: No"),
        ("", "NotImplementedError"),
    ],
)
def test_why_it_does_not_work_is_said_in_a_few_words(monkeypatch, text, reason):
    def fail(function):
        raise NotImplementedError(text)

    monkeypatch.setattr(torch, "compile", fail)
    told = why_not_compiled("cpu")
    assert told.startswith(reason) and len(told) <= LONGEST_REASON and "\n" not in told


def test_a_run_trains_without_torch_compile_where_that_does_not_work(tmp_path, monkeypatch):
    def fail(function):
        def call(*arguments):
            raise RuntimeError("Cannot find a working triton installation.")

        return call

    data = tmp_path / "images"
    data.mkdir()
    for index, image in enumerate(np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3))):
        Image.fromarray(image.astype(np.uint8)).save(data / f"{index}.png")
    config = replace(load_preset("tiny32"), steps=2, batch_size=4, sample_every_steps=0)
    config = replace(config, loop=replace(config.loop, copilot_only=True))
    monkeypatch.setattr(torch, "compile", fail)
    for use_compile in (True, False):
        said: list[str] = []
        settings = RunSettings(
            str(data),
            tmp_path / f"compiled {use_compile}",
            replace(config, use_compile=use_compile),
            use_tensorboard=False,
        )
        assert train(settings, said.append).finished
        notes = [text for text in said if "torch.compile" in text]
        assert len(notes) == use_compile
        assert not notes or "(Cannot find a working triton installation.)" in notes[0]


@pytest.mark.slow  # twelve seconds
@pytest.mark.skipif(sys.platform == "win32", reason="there the compiler is found in other ways")
def test_without_a_compiler_the_cpu_says_so(tmp_path):
    script = "from trainer.training.compiling import *; print(why_not_compiled('cpu'))"
    places = {"CXX": str(tmp_path / "g++"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "compiler" in done.stdout and done.stdout.count("\n") == 1
