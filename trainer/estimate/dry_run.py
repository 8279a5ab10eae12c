"""What a run will be, before it starts: `cldis train ... --dry-run`.

The text is a TOML file: facts and estimates are its comments, and saved to a file it serves as a
preset for the same run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import psutil
import torch
from accelerate import PartialState

from comfyui_cldis.wording import counted

from ..assemble import SEEN_IMAGES, UNSEEN_IMAGES
from ..config.settings import TrainConfig
from ..data import SOURCES, num_held_out
from ..data.sources import require_source
from ..data.split import few_images
from ..lock import check_folder
from ..report.checks import check_settings
from ..run import RunSettings
from ..training.distributed import part_of_batch
from ..training.feedback import usage_passes
from ..training.objectives import smallest_batch
from .costs import STEP_FACTOR, Costs, StepTime, count_costs, count_end_passes, time_step

HALF_BYTES = 2  # of a number in the exported model
WIDTH = 88  # letters of a line that is wrapped
WITHOUT_LAUNCHER = (
    "for an estimate start the same command without the launcher and divide by the number of "
    "devices"
)
BUSY_SHARE = 0.5  # of the processors in the last minute, from which on a time is a bad guess
MONTH = 30 * 86400.0  # seconds; what would take longer gets no number


@dataclass(frozen=True)
class Plan:
    """What a run will be, in numbers.

    Attributes:
        num_processes, part_size: processes, and the images that each computes at a time.
        smallest_part: fewest images at a time that the objective can do with.
        source: where the images come from, a clause.
        num_images: how many there will be; None where only reading them tells.
        num_trained, num_evaluated: of them those trained on; those that quality is measured on.
        time: of a step; None where it is not known.
        program_bytes: memory that the program holds without a model, 0 for that of a GPU.
        free_memory: bytes that are free on the device without the model.
        free_disk: bytes that are free for the output.
        is_busy: whether programs kept the processor busy before it was timed.
    """

    settings: RunSettings
    num_processes: int
    part_size: int
    smallest_part: int
    source: str
    num_images: int | None
    num_trained: int | None
    num_evaluated: int
    costs: Costs
    time: StepTime | None
    program_bytes: int
    free_memory: int
    free_disk: int
    is_busy: bool


def make_plan(settings: RunSettings) -> Plan:
    """Count what a run needs, and try a few steps on random images where that is quick.

    Takes some seconds, with large presets half a minute. Decodes no images and writes nothing.

    Raises:
        FileNotFoundError: no such data.
        ValueError: fewer than two images, a batch that the processes cannot share evenly or in
            parts too small for the objective, or an output folder that is a file.
        OSError: an output folder on a drive that is not there.
    """
    check_folder(settings.output)
    disk = _existing(settings.output)
    config, device = settings.config, settings.device
    num_processes = PartialState(cpu=device == "cpu").num_processes
    smallest = smallest_batch(config.objective, config.model.latent_dim)
    part_size = part_of_batch(config.batch_size, num_processes, config.accumulation_steps, smallest)
    num_images, source = count_images(settings)
    num_trained, num_evaluated = num_images, UNSEEN_IMAGES
    if num_images and settings.data not in SOURCES:
        held_out = num_held_out(num_images, config.held_out)
        num_trained, num_evaluated = num_images - held_out, held_out or min(num_images, SEEN_IMAGES)
        source += f"; {held_out:,} of them held out of the training" if held_out else ""
    costs, is_cpu = count_costs(config), device == "cpu"
    program = psutil.Process().memory_info().rss if is_cpu else 0
    free = psutil.virtual_memory().available if is_cpu else torch.cuda.mem_get_info()[0]
    load = psutil.getloadavg()[0] / (psutil.cpu_count() or 1)  # of the minute before the trial
    timed = None if num_processes > 1 else time_step(config, costs, part_size, device, free)
    return Plan(
        settings=settings,
        num_processes=num_processes,
        part_size=part_size,
        smallest_part=smallest,
        source=source,
        num_images=num_images,
        num_trained=num_trained,
        num_evaluated=num_evaluated,
        costs=costs,
        time=timed,
        program_bytes=program,
        free_memory=free,
        free_disk=shutil.disk_usage(disk).free,
        is_busy=is_cpu and load > BUSY_SHARE,
    )


def describe_plan(settings: RunSettings) -> str:
    """The text of a run's plan; empty on all processes of a distributed run but the first.

    Raises: as `make_plan`.
    """
    if not PartialState(cpu=settings.device == "cpu").is_main_process:
        return ""
    return write_plan(make_plan(settings))


def write_plan(plan: Plan) -> str:
    """The plan as TOML: what was found as comments, then the settings."""
    settings = plan.settings.config.to_dict()
    found = [
        ("Images", plan.source),
        ("Length", _length(plan)),
        ("Device", _device(plan)),
        ("Networks", _networks(plan.costs)),
        ("Memory", _memory(plan)),
        ("Time", _time(plan)),
        ("Disk", _disk(plan)),
        *((each.severity.capitalize(), each.text) for each in check_settings(settings)),
    ]
    return plan_text("a run", found, "a preset of the same run", settings)


def plan_text(
    of_what: str, found: Sequence[tuple[str, str]], saved: str, settings: Mapping[str, Any]
) -> str:
    """A plan as TOML: what was found out in comments, a label each, above the settings.

    Args:
        saved: what the text is when it is saved as a file.
    """
    lines = [f"# Plan of {of_what}. Nothing was trained and nothing was written.", "#"]
    for label, text in found:
        for index, line in enumerate(wrap(text, WIDTH)):
            lines.append(f"# {label if index == 0 else '':9} {line}")
    lines += ["#", f"# Saved as a .toml file, this text is {saved}.", ""]
    return "\n".join(lines) + "\n" + to_toml(settings)


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


def count_images(settings: RunSettings) -> tuple[int | None, str]:
    """How many images there will be, None where only reading them tells; and where from.

    Raises: FileNotFoundError, ValueError, as `make_plan`.
    """
    from comfyui_cldis.datasets.registry import is_factor_source

    from ..data.files import open_files
    from ..data.folder import nothing_usable

    config, source = settings.config, Path(settings.data)
    size = f"{config.model.image_size} x {config.model.image_size} px"
    limit = config.num_images
    if settings.data in SOURCES:
        count = limit or SOURCES[settings.data].num_images
        return count, f"{counted(count, 'image')} drawn by {settings.data}, {size}"
    require_source(settings.data)
    if is_factor_source(settings.data):
        number = counted(limit, "image") if limit else "all images"
        return limit or None, f"{number} stored in {source.name}, {size}"
    with open_files(source) as files:
        found = len(files.listed)
        if not found:
            raise ValueError(nothing_usable(settings.data, 0, files.unreadable, files))
    if found < 2:
        raise ValueError(
            f"{settings.data} holds {counted(found, 'image file')}. Give a folder or .zip with "
            "two or more."
        )
    count = min(found, limit or found)
    chosen = "" if count == found else f", {count:,} of them used"
    few = few_images(count)
    text = f"{counted(found, 'image file')} in {source.name}{chosen}, brought to {size}"
    return count, f"{text}. {few}" if few else text


def _length(plan: Plan) -> str:
    config = plan.settings.config
    total = config.steps * config.batch_size
    text = f"{counted(config.steps, 'step')} of {counted(config.batch_size, 'image')}, "
    text += f"{total:,} in all"
    if plan.num_trained:
        text += f"; each image {total / plan.num_trained:,.1f} times (epochs)"
    if config.copilot_warmup_steps:
        first = counted(config.copilot_warmup_steps, "step")
        text += f"; the co-pilot alone is trained in the first {first}, which is quick"
    return text


def _device(plan: Plan) -> str:
    config, count = plan.settings.config, plan.num_processes
    name = f"CPU, {counted(torch.get_num_threads(), 'thread')}"
    if plan.settings.device != "cpu":
        name = f"GPU, {torch.cuda.get_device_name()}"
    text = name if count == 1 else f"{count} processes, each on a {name}"
    text += f": {counted(config.batch_size // count, 'image')} per step"
    text += " each" if count > 1 else ""
    if config.accumulation_steps > 1:
        text += f", in {config.accumulation_steps} parts of {plan.part_size} one after the other"
    return text


def _networks(costs: Costs) -> str:
    parts = [f"{name} {_millions(count)}" for name, count in costs.parameters.items() if count]
    return f"{_millions(costs.num_parameters)} million parameters: {', '.join(parts)}"


def _memory(plan: Plan) -> str:
    costs, part_size = plan.costs, plan.part_size
    kind = "memory (RAM)" if plan.settings.device == "cpu" else "GPU memory"
    needed, images = costs.step_bytes(part_size), part_size * costs.image_bytes
    program = f"{_gib(plan.program_bytes)} for the program, " if plan.program_bytes else ""
    text = (
        f"about {_gib(plan.program_bytes + needed)} GiB of {kind}, an estimate: {program}"
        f"{_gib(needed - images)} for weights, gradients, optimizer and average, "
        f"{_gib(images)} for the {counted(part_size, 'image')} in work; "
    )
    if costs.fits(part_size, plan.free_memory):
        return f"{text}{_gib(plan.free_memory)} GiB are free"
    parts = _parts_that_fit(plan)
    remedy = f"set accumulation_steps to {parts}" if parts else "choose a smaller preset"
    return f"{text}ONLY {_gib(plan.free_memory)} GiB ARE FREE: {remedy}, or close other programs"


def _parts_that_fit(plan: Plan) -> int | None:
    """The smallest number of accumulation steps with which it fits."""
    now = plan.settings.config.accumulation_steps
    share = plan.part_size * now
    for parts in range(now + 1, share // plan.smallest_part + 1):
        if share % parts == 0 and plan.costs.fits(share // parts, plan.free_memory):
            return parts
    return None


def _time(plan: Plan) -> str:
    config, costs, timed = plan.settings.config, plan.costs, plan.time
    measured = usage_passes(config).decoder * (config.steps - config.copilot_warmup_steps)
    pass_operations = (costs.operations - costs.copilot_operations) / STEP_FACTOR
    operations = costs.operations * config.steps * config.batch_size + measured * pass_operations
    work = f"{operations:.1e} operations in all"
    if timed is None and plan.num_processes > 1:
        return f"not timed with several processes ({work}); {WITHOUT_LAUNCHER}"
    if timed is None:
        return f"not timed, because not even 2 images fit into the memory ({work})"
    step = timed.seconds
    diffusion = 1 - costs.copilot_operations / costs.operations  # share of a step
    image_pass = diffusion * step / STEP_FACTOR / config.batch_size
    training = step * (config.steps - diffusion * config.copilot_warmup_steps)
    training += measured * image_pass
    end = count_end_passes(config, plan.num_evaluated) * image_pass
    seconds = training + end
    text = (
        f"{about(seconds)}, an estimate: {about(training)} of training, at "
        f"{rounded(step)} s per step ({rounded(config.batch_size / step)} images per "
        f"second, {work}), and "
    )
    if config.loop.copilot_only:
        text += "next to nothing at its end, since the co-pilot alone is not measured"
    else:
        text += f"up to {about(end)} at its end for directions, quality and report"
    text += without_finder(config)
    if seconds > MONTH:
        gpu = ", or train on a GPU" if plan.settings.device == "cpu" else ""
        text += f"; TOO LONG FOR THIS MACHINE: choose a smaller preset or fewer steps{gpu}"
    if timed.num_images:
        text += f"; timed just now on {counted(timed.num_images, 'random image')} per step"
        if timed.num_images < config.batch_size:
            text += f" instead of {config.batch_size}"
    else:
        text += "; a step takes too long to be tried: rough, from the speed of the encoder just now"
    if plan.is_busy:
        text += "; the processor was busy in the last minute, and an idle one is quicker"
    if config.use_compile and timed.num_images:
        text += "; timed without torch.compile, which the run uses where it works"
    return f"{text}; sample images on the way and saving are not counted"


def without_finder(config: TrainConfig) -> str:
    """What `count_end_passes` leaves out, in brackets; empty where that is nothing."""
    if config.directions in ("axes", "auto") or config.loop.copilot_only:
        return ""
    return f" (without the search of the finder {config.directions})"


def _disk(plan: Plan) -> str:
    config, output, cache_folder = plan.settings.config, plan.settings.output, plan.settings.cache
    states = (config.keep_states + 1) * plan.costs.state_bytes  # one more while it is written
    model = plan.costs.num_parameters * HALF_BYTES
    pixels = config.model.image_size**2 * config.model.in_channels
    cache = (plan.num_images or 0) * pixels
    decoded = f"{_gib(cache)} GiB" if plan.num_images else f"{pixels:,} bytes each"
    needed = states + model + cache
    text = (
        f"about {_gib(needed)} GiB in {output}: {config.keep_states} saved states and room for the "
        f"next {_gib(states)} GiB, the model {_gib(model)} GiB, decoded images {decoded}"
        + (f" (in {cache_folder})" if cache_folder else "")
    )
    if plan.free_disk < needed:
        remedy = "free space, or choose another output folder"
        return f"{text}; ONLY {_gib(plan.free_disk)} GiB ARE FREE: {remedy}"
    return f"{text}; {_gib(plan.free_disk)} GiB are free"


def _existing(path: Path) -> Path:
    """The nearest folder above `path` that exists, or `path` itself.

    Raises:
        OSError: there is none, as on a drive that is not there.
    """
    above = path.absolute()
    found = next((each for each in (above, *above.parents) if each.exists()), None)
    if found is None:
        raise OSError(
            f"The folder {path} cannot be made: its drive is not there. Choose another output "
            "folder."
        )
    return found


def _gib(num_bytes: float) -> str:
    value = num_bytes / 2**30
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f}" if count >= 50_000 else f"{count / 1e6:.3f}"


def rounded(value: float) -> str:
    """The value to two significant figures, without an exponent where it is a common number."""
    if value and not 0.001 <= value < 1e6:
        return f"{value:.1e}"
    number = float(f"{value:.2g}")
    return f"{number:,.0f}" if number >= 10 else f"{number:g}"


def about(seconds: float) -> str:
    """A time to two significant figures, in the unit in which it is a handy number."""
    if seconds > MONTH:
        return "more than a month"
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"about {rounded(seconds / length)} {unit}"
    return f"about {rounded(seconds)} seconds"
