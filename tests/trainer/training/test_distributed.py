"""Two processes (gloo) and accumulated parts against one process, with the same whole batch."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import PartialState

from trainer.config.settings import load_preset
from trainer.training.distributed import PROCESS_TIMEOUT, open_accelerator, open_processes
from trainer.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[3]
STEPS = 8
SETTINGS = {
    "steps": STEPS,
    "batch_size": 8,
    "flip": True,
    "warmup_steps": 0,
    "learning_rate": 2e-3,
    "loop.copilot_warmup_steps": 2,
    "loop.copilot_updates": 2,
    "feedback.usage_every_steps": 2,
    "loop.control_every_steps": 2,
    "loop.skip_dropout": 0.2,
    "model.residual_dim": 4,
}
SCRIPT = """
import json, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import test_distributed
for record in test_distributed.train():
    print(json.dumps(record))
print("stopped at", test_distributed.stop_the_second(), flush=True)
import torch.distributed
torch.distributed.barrier()
from trainer.training.distributed import close_processes
close_processes()
assert not torch.distributed.is_initialized()
"""
NAMES = ("diffusion", "reconstruction", "bottleneck", "kl", "gradient_norm")


def open_trainer(**more) -> Trainer:
    config = load_preset("tiny32").with_values({**SETTINGS, **more})
    colours = np.random.default_rng(0).integers(0, 255, (20, 2, 2, 3), dtype=np.uint8)
    return Trainer(config, colours.repeat(16, axis=1).repeat(16, axis=2))


def train(**more) -> list[dict]:
    """Records of a short run; on the main process only."""
    trainer = open_trainer(**more)
    records = [trainer.record(trainer.train_step()).to_json() for _ in range(STEPS)]
    return records if trainer.accelerator.is_main_process else []


def stop_the_second() -> int:
    """The step at which a run ends that only its second process is asked to end at step 2."""
    trainer = open_trainer()
    is_second = trainer.accelerator.process_index == 1
    is_done = trainer.run(
        Path(), lambda record: None, None, lambda: is_second and trainer.step == 2
    )
    assert not is_done
    return trainer.step


WAITING = """
import sys, time
from datetime import timedelta
sys.path.insert(0, sys.argv[1])
import torch
from trainer.training import distributed
distributed.PROCESS_TIMEOUT = timedelta(seconds=2)
if sys.argv[2] == "processes":
    process = distributed.open_processes("cpu")
else:
    process = distributed.open_accelerator(torch.device("cpu"), "fp32", False)
started = time.monotonic()
if process.is_main_process:
    time.sleep(5)  # as if it decoded images
try:
    with process.main_process_first():
        pass
except RuntimeError:
    print(f"gave up after {int(time.monotonic() - started)} s", flush=True)
    raise
"""


@pytest.mark.parametrize("door", ["processes", "accelerator"])
def test_processes_wait_for_the_first_as_long_as_the_timeout(tmp_path, door):
    script = tmp_path / "waiting.py"
    script.write_text(WAITING, encoding="utf-8")
    run = launch(script, str(ROOT), door)
    assert "gave up after 2 s" in run.stdout, run.stderr[-3000:]
    assert timedelta(hours=12) <= PROCESS_TIMEOUT  # images decoded, a model measured: hours


@pytest.mark.parametrize("door", ["processes", "accelerator"])
def test_the_next_run_of_a_process_has_its_own_device(monkeypatch, door):
    with monkeypatch.context() as patch:  # as a run on a graphics card leaves it
        patch.setenv("ACCELERATE_TORCH_DEVICE", "meta")
        PartialState._reset_state()
        assert PartialState().device.type == "meta"
    if door == "processes":
        opened = open_processes("cpu")
    else:
        opened = open_accelerator(torch.device("cpu"), "fp32", has_idle_parts=False)
    assert opened.device.type == "cpu"


def compare(first: list[dict], second: list[dict], names: tuple[str, ...]) -> None:
    assert len(first) == len(second) == STEPS
    for a, b in zip(first, second, strict=True):
        for name in names:
            assert b[name] == pytest.approx(a[name], rel=2e-3, abs=2e-4), (a["step"], name)


def launch(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script in two processes that meet at a free port."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    return subprocess.run(
        [sys.executable, *command, str(script), *arguments],
        cwd=script.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_two_processes_train_like_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    run = launch(script, str(ROOT), str(Path(__file__).parent))
    assert run.returncode == 0, run.stderr[-3000:]
    assert "unused parameters" not in run.stderr  # PyTorch's word on a search for idle parts
    assert run.stdout.count("stopped at 2\n") == 2
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    one = train()
    two = [json.loads(line) for line in lines]
    compare(one, two, (*NAMES, "capacity"))
    # Adam turns the rounding of gradients near 0 into steps of full size, here in the encoder,
    # whose code the decoder does not use yet: equal before its first update, close after it.
    for step, tolerance in ((3, 1e-4), (4, 0.02)):
        assert two[step - 1]["encoder_kl"] == pytest.approx(
            one[step - 1]["encoder_kl"], rel=tolerance
        )
    usage = [each[-1]["usage_per_dimension"] for each in (one, two)]
    assert usage[1] == pytest.approx(usage[0], rel=0.05, abs=0.02)
    assert one[-1]["reconstruction"] != one[0]["reconstruction"]
    assert any(usage[0])  # it was measured and shared


APART = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import test_distributed
from trainer.training.checkpoint import save_state
trainer = test_distributed.open_trainer()
folder = Path(f"of_{trainer.accelerator.process_index}")
folder.mkdir()
assert trainer.resume(folder) is None
if trainer.accelerator.is_main_process:
    trainer.step = 3
    save_state(folder, trainer.state())
try:
    trainer.resume(folder)
except ValueError as error:
    print(f"refused: {error}", flush=True)
from trainer.training.distributed import close_processes
close_processes()
"""


def test_processes_that_share_no_folder_do_not_resume(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(APART, encoding="utf-8")
    run = launch(script, str(ROOT), str(Path(__file__).parent))
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count("at different steps (3, 0), so they do not share it. Give") == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"objective.name": "plain", "loop.distillation_weight": 0.0},
        {"objective.name": "plain", "model.decoder.conditioner": "adagn"},
        {"objective.name": "factor", "objective.discriminator_width": 16},
        {"feedback.parts": ["second_decoder"]},
        {"feedback.parts": ["second_unet"]},
        {"feedback.parts": ["gradient", "per_dimension", "per_timestep"]},
        {"objective.name": "joint", "objective.discrete_sizes": [3]},
        {"objective.name": "qlae", "loop.bottleneck": "constant"},
    ],
)
def test_only_passes_of_the_copilot_leave_parts_idle(settings):
    """Processes wait for the gradient of every other parameter after each whole pass."""
    config = load_preset("tiny32").with_values({"steps": 8, "batch_size": 2, **settings})
    trainer = Trainer(config, np.zeros((4, 32, 32, 3), np.uint8))
    never = 2 if config.objective.name == "qlae" else 0  # weight and bias of the logvar
    shared_only = list(trainer.diffusion_parameters)
    if "second_unet" in config.feedback.parts:
        shared_only += trainer.feedback.parameters()
    for copilot_only in (True, False):
        trainer._backward(copilot_only)
        idle = [
            p
            for part in (trainer.networks, trainer.objective, trainer.feedback)
            for p in part.parameters()
            if p.grad is None
        ]
        assert len(idle) == never + (len(shared_only) if copilot_only else 0)


def test_accumulated_parts_give_the_same_diffusion_branch():
    """Every part has an optimal sigma of its own, so the co-pilot is not exactly the same."""
    alone = {"loop.distillation_weight": 0.0, "feedback.parts": []}
    whole, parts = train(**alone), train(accumulation_steps=4, **alone)
    compare(whole, parts, ("diffusion", "gradient_norm"))
    usage = whole[-1]["usage_per_dimension"]
    assert any(usage)
    assert parts[-1]["usage_per_dimension"] == pytest.approx(usage, rel=0.05, abs=0.02)


@pytest.mark.parametrize(
    "objective",
    [
        {"objective.name": "dip_i"},
        {"objective.vne_weight": 1.0},
        {"objective.interaction_weight": 0.1},
    ],
)
def test_parts_too_small_for_the_objective_are_a_sentence(objective):
    """Before the first step, and with a remedy that makes them larger."""
    state = torch.get_rng_state()
    words = r"is 1 image at a time, .* compares 2 or more\. Use fewer accumulation steps or proc"
    with pytest.raises(ValueError, match=words):
        open_trainer(accumulation_steps=8, **objective)
    open_trainer(accumulation_steps=4, **objective)
    open_trainer(accumulation_steps=8)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_that_cannot_be_shared_is_a_sentence():
    with pytest.raises(ValueError, match=r"batch_size 9 is not divisible by accumulation_steps 2"):
        train(batch_size=9, accumulation_steps=2)
