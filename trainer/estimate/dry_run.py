"""What a run will be, before it starts: `python -m trainer ... --dry-run`.

The text is a TOML file: facts and estimates are its comments, and saved to a file it serves as a
preset for the same run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any

import psutil
import torch
from accelerate import PartialState

from comfyui_cldis.wording import counted

from ..config.settings import TrainConfig
from ..data import BUILT_IN_SOURCES, num_held_out
from ..data.sources import require_source
from ..export import SEEN_IMAGES, UNSEEN_IMAGES
from ..report.checks import check_settings
from ..run import RunSettings
from ..training.distributed import part_of_batch
from .costs import (
    GIB,
    MEMORY_MARGIN,
    Costs,
    Memory,
    Timing,
    count_costs,
    count_end_passes,
    estimate_memory,
    state_bytes,
    time_step,
)

HALF_BYTES = 2  # of a number in the exported model
LABEL_WIDTH = 9
WIDTH = 88  # letters of a line that is wrapped
MONTH = 30 * 86400.0  # seconds; what would take longer is not told as a number


def describe_plan(settings: RunSettings) -> str:
    """The settings of a run with what it needs: memory, disk and time, estimated and measured.

    Takes some seconds, with the largest presets a minute: the networks are counted, and a few
    steps are timed on random images where that is quick. Decodes no images and writes nothing.

    Returns:
        TOML; empty on all processes of a distributed run but the first.

    Raises:
        FileNotFoundError: no such data.
        ValueError: fewer than two images, or a batch that the processes cannot share evenly.
    """
    config = settings.config
    process = PartialState(cpu=settings.device == "cpu")
    num_processes = process.num_processes
    part_size = part_of_batch(config.batch_size, num_processes, config.accumulation_steps)
    num_images, images = _images(settings)
    num_trained, num_evaluated = num_images, UNSEEN_IMAGES
    if num_images and settings.data not in BUILT_IN_SOURCES:
        count = num_held_out(num_images, config.held_out)
        num_trained = num_images - count
        num_evaluated = count or min(num_images, SEEN_IMAGES)
        images += f"; {count:,} of them held out of the training" if count else ""
    if not process.is_main_process:
        return ""
    costs = count_costs(config, num_images or 2)
    memory = estimate_memory(config, costs, part_size)
    timing = None
    if num_processes == 1:
        free = _free_memory(settings.device)
        timing = time_step(config, costs, part_size, settings.device, free)
    facts = [
        ("Images", [images]),
        ("Length", _length(config, num_trained)),
        ("Device", _device(config, settings.device, num_processes, part_size)),
        ("Networks", _networks(costs)),
        ("Memory", _memory(config, costs, memory, settings.device, part_size)),
        ("Time", _time(config, costs, timing, num_evaluated, settings.device)),
        ("Disk", _disk(settings, costs, num_images)),
        *(("Warning", wrap(found.text, WIDTH)) for found in check_settings(config.to_dict())),
    ]
    lines = ["# Plan of a run. Nothing was trained and nothing was written.", "#"]
    for label, sentences in facts:
        for index, sentence in enumerate(sentences):
            lines.append(f"# {label if index == 0 else '':{LABEL_WIDTH}} {sentence}".rstrip())
    lines += ["#", "# Saved as a .toml file, this text is a preset of the same run.", ""]
    return "\n".join(lines) + "\n" + to_toml(config.to_dict())


def to_toml(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """A nested mapping as TOML: plain values first, then a table per mapping; None is left out.

    Values may be true, false, numbers, words and lists of numbers.
    """
    lines = [f"[{'.'.join(path)}]"] if path else []
    tables = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            tables.append(to_toml(value, (*path, key)))
        elif value is not None:
            # JSON writes these as TOML does; a number like 1e-05 as well
            lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(["\n".join(lines) + "\n", *tables])


def _images(settings: RunSettings) -> tuple[int | None, str]:
    """How many images there will be, None where only reading them tells; and a sentence."""
    from comfyui_cldis.datasets.registry import is_factor_source

    from ..data.files import open_files

    config, source = settings.config, Path(settings.data).expanduser()
    size = f"{config.model.image_size} x {config.model.image_size} px"
    limit = config.num_images
    if settings.data in BUILT_IN_SOURCES:
        count = limit or _default_count(settings.data)
        return count, f"{counted(count, 'image')} drawn by {settings.data}, {size}"
    require_source(settings.data)
    if is_factor_source(settings.data):
        count = limit or None
        number = counted(count, "image") if count else "all images"
        return count, f"{number} stored in {source.name}, {size}"
    with open_files(source) as files:
        found = len(files.listed)
    if found < 2:
        raise ValueError(
            f"{settings.data} holds {counted(found, 'image file')}. Give a folder or .zip with "
            "two or more."
        )
    count = min(found, limit or found)
    chosen = "" if count == found else f", {count:,} of them used"
    files = counted(found, "image file")
    return count, f"{files} in {source.name}{chosen}, brought to {size}"


def _default_count(name: str) -> int:
    """How many images are drawn when the configuration does not say."""
    if name == "heads":
        from ..data.head_images import DEFAULT_NUM_IMAGES
    else:
        from ..data.factor_images import DEFAULT_NUM_IMAGES
    return DEFAULT_NUM_IMAGES


def _length(config: TrainConfig, num_images: int | None) -> list[str]:
    total = config.steps * config.batch_size
    text = f"{counted(config.steps, 'step')} of {counted(config.batch_size, 'image')}, "
    text += f"{total:,} in all"
    if num_images:
        text += f"; each image {total / num_images:,.1f} times (epochs)"
    warmup = config.copilot_warmup_steps
    if not warmup:
        return [text]
    first = "step trains" if warmup == 1 else f"{warmup:,} steps train"
    return [text, f"the first {first} the co-pilot alone, which is quick"]


def _device(config: TrainConfig, device: str, num_processes: int, part_size: int) -> list[str]:
    if device == "cpu":
        name = f"CPU, {counted(torch.get_num_threads(), 'thread')}"
    else:
        name = f"GPU, {torch.cuda.get_device_name()}"
    if num_processes > 1:
        name = f"{num_processes} processes, each on a {name}"
    share = config.batch_size // num_processes
    text = f"{name}: {counted(share, 'image')} per step" + (" each" if num_processes > 1 else "")
    if config.accumulation_steps > 1:
        text += f", in {config.accumulation_steps} parts of {part_size} one after the other"
    return [text]


def _networks(costs: Costs) -> list[str]:
    parts = [f"{name} {_millions(count)}" for name, count in costs.parameters.items() if count]
    return [f"{_millions(costs.num_parameters)} million parameters: {', '.join(parts)}"]


def _memory(
    config: TrainConfig, costs: Costs, memory: Memory, device: str, part_size: int
) -> list[str]:
    kind = "memory (RAM)" if device == "cpu" else "GPU memory"
    learned = memory.weights + memory.gradients + memory.optimizer + memory.average
    lines = [
        f"about {_gib(memory.total)} GiB of {kind}, an estimate: {_gib(memory.program)} for the "
        f"program, {_gib(learned)} for",
        "weights, gradients, optimizer and average, "
        f"{_gib(memory.activations)} for the {counted(part_size, 'image')} in work",
    ]
    free = _free_memory(device)
    if MEMORY_MARGIN * memory.total <= free:
        return [*lines, f"{_gib(free)} GiB are free"]
    parts = _parts_that_fit(config, costs, memory, part_size, free)
    smaller = "choose a smaller preset"
    remedy = f"add --set accumulation_steps={parts}" if parts else smaller
    return [*lines, f"ONLY {_gib(free)} GiB ARE FREE: {remedy}, or close other programs"]


def _free_memory(device: str) -> int:
    if device == "cpu":
        return psutil.virtual_memory().available
    return torch.cuda.mem_get_info()[0]


def _parts_that_fit(
    config: TrainConfig, costs: Costs, memory: Memory, part_size: int, free: int
) -> int | None:
    """The smallest number of accumulation steps with which it fits."""
    share = part_size * config.accumulation_steps
    rest = memory.total - memory.activations + costs.fixed_bytes
    for parts in range(config.accumulation_steps + 1, share + 1):
        total = rest + share // parts * costs.image_bytes
        if share % parts == 0 and MEMORY_MARGIN * total <= free:
            return parts
    return None


def _time(
    config: TrainConfig, costs: Costs, timing: Timing | None, num_evaluated: int, device: str
) -> list[str]:
    work = costs.operations * config.steps * config.batch_size
    if timing is None:
        return [
            f"not timed with several processes ({work:.1e} operations in all); for an estimate "
            "start",
            "the same command without the launcher and divide by the number of devices",
        ]
    warmup = config.copilot_warmup_steps
    training = warmup * timing.copilot_step + (config.steps - warmup) * timing.step
    end = count_end_passes(config, num_evaluated) * timing.image_pass
    seconds = training + end
    speed = f"{_rounded(config.batch_size / timing.step)} images per second"
    text = (
        f"{_duration(seconds)}, an estimate: {_duration(training)} of training, at "
        f"{_rounded(timing.step)} s per step ({speed}, {work:.1e} operations in all), and up to "
        f"{_duration(end)} at its end for directions, quality and report"
    )
    if config.directions != "axes":
        text += f" (without the search of the finder {config.directions})"
    lines = wrap(text, WIDTH)
    if seconds > MONTH:
        gpu = ", or train on a GPU" if device == "cpu" else ""
        lines.append(f"TOO LONG FOR THIS MACHINE: choose a smaller preset or fewer --steps{gpu}")
    if timing.num_images:
        basis = f"timed just now on {counted(timing.num_images, 'random image')} per step"
        if timing.num_images < config.batch_size:
            basis += f" instead of {config.batch_size}"
        lines.append(basis)
    else:
        lines.append(
            "not timed, because a step here takes too long or too much memory to be tried:"
        )
        lines.append(
            "estimated from the number of operations and the speed of a matrix product on this "
            "machine when idle, very rough"
        )
    if timing.share < 1:
        lines.append(
            f"OTHER PROGRAMS SLOW THIS MACHINE: the timed steps got {100 * timing.share:.0f} % of "
            "the processor's time;"
        )
        lines.append(f"on an idle machine the run takes {_duration(timing.share * seconds)}")
    if config.use_compile and timing.num_images:
        lines.append("timed without torch.compile, which the run uses and which is faster")
    return [*lines, "sample images on the way and saving are not counted"]


def _disk(settings: RunSettings, costs: Costs, num_images: int | None) -> list[str]:
    config, output = settings.config, settings.output
    states = (config.keep_states + 1) * state_bytes(costs)  # one more while it is written
    model = costs.num_parameters * HALF_BYTES
    pixels = config.model.image_size**2 * config.model.in_channels
    cache = (num_images or 0) * pixels
    decoded = f"{_gib(cache)} GiB" if num_images else f"{pixels:,} bytes each"
    lines = [
        f"about {_gib(states + model + cache)} GiB in {output}: {config.keep_states} saved states "
        f"and room for the next {_gib(states)} GiB,",
        f"the model {_gib(model)} GiB, decoded images {decoded}"
        + (f" (in {settings.cache})" if settings.cache else ""),
    ]
    free = shutil.disk_usage(_existing(output)).free
    if free < states + model + cache:
        return [*lines, f"ONLY {_gib(free)} GiB ARE FREE: free space, or choose another --output"]
    return [*lines, f"{_gib(free)} GiB are free"]


def _existing(path: Path) -> Path:
    """The nearest folder above `path` that exists, or `path` itself."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _gib(num_bytes: float) -> str:
    value = num_bytes / GIB
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f}" if count >= 50_000 else f"{count / 1e6:.3f}"


def _rounded(value: float) -> str:
    """The value to two significant figures, without an exponent where it is a common number."""
    if value and not 0.001 <= value < 1e6:
        return f"{value:.1e}"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def _duration(seconds: float) -> str:
    """A time to two significant figures, in the unit in which it is a handy number."""
    if seconds > MONTH:
        return "more than a month"
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"about {_rounded(seconds / length)} {unit}"
    return f"about {_rounded(seconds)} seconds"
