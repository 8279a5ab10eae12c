"""Warnings in words: what the statistics of a run show of its health, and what to do.

Pure functions from records (stats.jsonl) to findings. A rule finds something only when the records
hold enough for it; thresholds are constants of this module. C is the co-pilot's capacity and KL
what it stores, both in nats per image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from comfyui_cldis.editing.described import Described
from comfyui_cldis.wording import counted

from ..data import DataReport
from ..training.controller import KL_WEIGHT_RANGE
from ..training.record import TrainingRecord
from .checks import (
    capacity_out_of_reach,
    feedback_unheard,
    few_images,
    joint_capacity,
    nothing_decoded,
)
from .finding import Finding
from .history import (
    END_SHARE,
    MINIMUM_RECORDS,
    USED_DIMENSION,
    Run,
    final_dimensions,
    joint_records,
    last,
    last_change,
    series,
)
from .verdict import no_sliders, nothing_drawn

FEW_DIMENSIONS = 0.3  # share of used dimensions below which there are few
CAPACITY_ERROR = (1.0, 0.2)  # nats, and share of C: KL further from C than both does not follow
LIMIT_TOLERANCE = 0.01
USED_LOW = 0.3
LONG_SHARE = 0.5  # "for long" is half of the records of the second half
STILL_FALLING = 0.05  # relative change between the last two quarters
RISING = 0.05
COPILOT_BETTER = 0.1  # relative change of the co-pilot's pixel error
COPILOT_WORSE = 0.05
CAPACITY_FALL = 0.05  # relative fall of C that explains worse images of the co-pilot
CLIPPED_SHARE = 0.9
ENCODER_FACTOR = 2.0  # KL of the semantic encoder above so many C
WARMUP_SHARE = 0.25  # longest share of a run that the co-pilot's warm-up gets


def diagnose(
    records: Sequence[TrainingRecord],
    config: Mapping[str, Any] | None,
    model: Described | None = None,
    data: DataReport | None = None,
) -> list[Finding]:
    """Findings about a run, warnings first.

    Args:
        records: as in stats.jsonl, in the order of their steps; unknown keys are ignored and a
            rule whose keys are missing stays silent.
        config: nested mapping as in config.json; without it, rules that need it stay silent.
        model: what was exported; None where nothing was.
        data: what became of the images; None where it is not known.
    """
    of_model = [] if model is None else [no_sliders(model), nothing_drawn(model)]
    of_data = [] if data is None else [few_images(data)]
    found = [finding for finding in (*of_model, *of_data) if finding is not None]
    if not records:
        text = "There are no statistics yet. Train for some steps."
        return [*found, Finding("note", "no_records", text)]
    run = Run(records, joint_records(records), config or {})
    found += [finding for rule in RULES if (finding := rule(run)) is not None]
    return sorted(found, key=lambda finding: finding.severity != "warning")


def has_capacity(run: Run) -> bool:
    """Whether a capacity C plays a part in the run; so it is taken where nothing is known."""
    return run.choice("loop", "bottleneck") != "constant" and not stores_entropy(run)


def stores_entropy(run: Run) -> bool:
    """Whether what the records call KL is the entropy of a code that has no KL."""
    return run.choice("objective", "name") == "qlae"


def less_code(run: Run) -> str:
    """The setting that lets the co-pilot store less, as the end of a sentence."""
    if stores_entropy(run):
        return "lower model.latent_dim or objective.num_values in a new run"
    return "lower loop.capacity_maximum" if has_capacity(run) else "raise loop.kl_weight"


def too_few_records(run: Run) -> Finding | None:
    """Why most rules are silent."""
    if run.is_on("loop", "copilot_only"):
        return None
    if not run.joint:
        text = (
            f"Up to step {run.last_step} only the co-pilot was trained. Look at the images after "
            "its warm-up."
        )
        return Finding("note", "warmup_only", text)
    if len(run.joint) < MINIMUM_RECORDS:
        text = (
            f"The run has only {counted(len(run.joint), 'record')} after the co-pilot's warm-up, "
            "too few to assess it. Train longer, or lower log_every_steps."
        )
        return Finding("note", "too_few_records", text)
    return None


def unfinished(run: Run) -> Finding | None:
    """A run that is still going or was stopped."""
    if run.is_finished is not False:
        return None
    text = (
        f"The run is at step {run.last_step:,} of {run.setting('steps'):,.0f}. Started again, it "
        "resumes from the last saved state."
    )
    return Finding("note", "unfinished", text)


def short_run(run: Run) -> Finding | None:
    """A run that leaves its co-pilot less warm-up than configured.

    What counts is the length that it was planned for, which more steps later do not change.
    """
    if run.is_on("loop", "copilot_only"):
        return None  # all of it is the co-pilot's
    length, warmup = run.setting("steps"), run.setting("loop", "copilot_warmup_steps")
    planned = run.records[-1].number("planned_steps")
    steps = length if planned is None else planned
    if steps is None or not warmup or steps * WARMUP_SHARE >= warmup:
        return None
    asked, whole, again = counted(int(warmup), "step"), counted(int(steps), "step"), ""
    if length is not None and steps != length:
        fact, again = f"The run, planned for {whole}, is short for the {asked}", " in a new run"
    elif steps <= warmup:
        fact = f"The whole run of {whole} is shorter than the {asked}"
    else:
        fact = f"The run of {whole} is short for the {asked}"
    text = (
        f"{fact} of warm-up set for the co-pilot, which gets at most a quarter of a run. Use at "
        f"least {warmup / WARMUP_SHARE:.0f} steps{again}, or lower loop.copilot_warmup_steps."
    )
    return Finding("warning", "short_run", text)


def dimensions(run: Run) -> Finding | None:
    """Few, or all, of the co-pilot's dimensions in use."""
    kl = final_dimensions(run.copilot) if len(run.copilot) >= MINIMUM_RECORDS else None
    if kl is None or stores_entropy(run):
        return None
    used, total = int((kl > USED_DIMENSION).sum()), len(kl)
    if used == total and total > 1:
        text = (
            f"The co-pilot uses all of its {total} dimensions, so some sliders may mix several "
            "changes. Try a higher model.latent_dim in a new run."
        )
        return Finding("note", "all_dimensions", text)
    if used >= FEW_DIMENSIONS * total:
        return None
    many = f"{used} of {total} dimensions" if used else f"none of its {counted(total, 'dimension')}"
    highest = run.setting("loop", "capacity_maximum")
    capacity = series(last(run.copilot, END_SHARE), "capacity")
    if not has_capacity(run):
        remedy = "Lower loop.kl_weight, or train longer."
    elif highest is not None and len(capacity) and np.median(capacity) >= 0.95 * highest:
        remedy = f"Raise loop.capacity_maximum (now {highest:g} nats) or train longer."
    else:
        remedy = "Train longer, or raise loop.capacity_maximum so that C grows faster."
    fact = f"The co-pilot uses {many}, and each slider needs one of its own."
    return Finding("warning", "few_dimensions", f"{fact} {remedy}")


def capacity_not_followed(run: Run) -> Finding | None:
    """KL away from C, which means that the bottleneck does not bind."""
    bottleneck = run.choice("loop", "bottleneck") or "controller"
    if len(run.records) < MINIMUM_RECORDS or not has_capacity(run):
        return None
    quarter = [
        record
        for record in last(run.records, 0.25)
        if record.number("kl") is not None and record.number("capacity") is not None
    ]
    if not quarter:
        return None
    kl, capacity = series(quarter, "kl"), series(quarter, "capacity")
    least, share = CAPACITY_ERROR
    if np.median(abs(kl - capacity)) <= max(least, share * float(np.median(capacity))):
        return None
    weight = series(quarter, "kl_weight") if bottleneck == "controller" else np.array([])
    low, high = KL_WEIGHT_RANGE
    stores = f"{np.median(kl):.1f} nats"
    allowed = f"{np.median(capacity):.1f} nats"
    if np.median(kl - capacity) > 0:
        fact = f"The co-pilot stores {stores} per image although C allows {allowed}"
        if len(weight) and np.median(weight) >= high * (1 - LIMIT_TOLERANCE):
            fact += f", and kl_weight is at its limit of {high:g}"
            remedy = "Raise loop.capacity_maximum, or lower model.copilot.image_size."
        else:
            remedy = "Train longer; if it stays so, lower copilot_learning_rate."
    else:
        fact = f"The co-pilot stores only {stores} per image of the {allowed} that C allows"
        if len(weight) and np.median(weight) <= low * (1 + LIMIT_TOLERANCE):
            fact += f", although kl_weight is at its lowest, {low:g}"
            remedy = "Lower loop.capacity_maximum: these images give it no more to store."
        else:
            remedy = "Train longer; if it stays so, raise copilot_learning_rate."
    return Finding("warning", "capacity_not_followed", f"{fact}. {remedy}")


def decoder_use(run: Run) -> Finding | None:
    """The image decoder makes use of too little of the code, at most."""
    used = series(last(run.joint, 0.5), "used")
    if len(run.joint) < MINIMUM_RECORDS or not len(used):
        return None
    if (used < USED_LOW).mean() < LONG_SHARE:
        return None
    text = (
        f"The image decoder makes use of at most {100 * np.median(used):.0f} % of what the "
        "co-pilot stores, so sliders will change little. Train longer; if it stays so, "
        + less_code(run)
        + "."
    )
    return Finding("warning", "used_low", text)


def image_loss(run: Run) -> Finding | None:
    """The diffusion loss at the end: still falling, or rising."""
    change = last_change(series(run.joint, "diffusion"))
    if change is None or not change.is_significant or change.before <= 0:
        return None
    relative = change.after / change.before - 1
    if relative >= RISING:
        text = (
            f"The image loss rose by {100 * relative:.0f} % over the last quarter of the run. "
            "Lower learning_rate in a copy of the preset."
        )
        return Finding("warning", "diffusion_rising", text)
    if relative <= -STILL_FALLING and run.is_finished is not False:
        text = (
            f"The image loss still fell by {-100 * relative:.0f} % over the last quarter of the "
            "run. Train longer for sharper images."
        )
        return Finding("note", "diffusion_falling", text)
    return None


def copilot_error(run: Run) -> Finding | None:
    """The co-pilot's reconstruction at the end: much better, or worse.

    Its loss is D/2 (ln(2 pi MSE) + 1) over D values, so a change of d nats multiplies the root
    mean square error by exp(d / D).
    """
    size = run.setting("model", "copilot", "image_size")
    channels = run.setting("model", "in_channels")
    change = last_change(series(run.copilot, "reconstruction"))
    if change is None or not change.is_significant or not size or not channels:
        return None
    relative = math.expm1((change.after - change.before) / (channels * size**2))
    if relative >= COPILOT_WORSE:
        fact = (
            f"The co-pilot's images got worse: their error grew by {100 * relative:.0f} % over "
            "the last quarter of the run"
        )
        capacity = last_change(series(run.copilot, "capacity"))
        has_fallen = capacity and capacity.after < capacity.before * (1 - CAPACITY_FALL)
        if capacity and has_fallen and has_capacity(run):
            fact += f", in which C fell from {capacity.before:.1f} to {capacity.after:.1f} nats"
            remedy = "Train longer; if it persists, raise loop.capacity_minimum."
        else:
            remedy = "Lower copilot_learning_rate."
        return Finding("warning", "copilot_worse", f"{fact}. {remedy}")
    if relative <= -COPILOT_BETTER and run.is_finished is not False:
        text = (
            f"The co-pilot was still learning: the error of its images fell by "
            f"{-100 * relative:.0f} % over the last quarter of the run. Train longer for more, and "
            "cleaner, sliders."
        )
        return Finding("note", "copilot_better", text)
    return None


def clipped(run: Run) -> Finding | None:
    """Gradients cut nearly always, so that the learning rate means little."""
    clip_norm = run.setting("clip_norm")
    norms = series(last(run.joint, 0.5), "gradient_norm")
    if not clip_norm or len(run.joint) < MINIMUM_RECORDS or not len(norms):
        return None
    share = float((norms > clip_norm).mean())
    if share < CLIPPED_SHARE:
        return None
    text = (
        f"In {100 * share:.0f} % of the later records the gradient was longer than clip_norm "
        f"({clip_norm:g}) and was cut. Lower learning_rate, or raise clip_norm."
    )
    return Finding("warning", "clipped", text)


def encoder_explodes(run: Run) -> Finding | None:
    """The semantic encoder stores far more than the co-pilot's capacity."""
    end = last(run.joint, END_SHARE)
    target, verb = ("capacity", "is held at") if has_capacity(run) else ("kl", "stores")
    kl, level = series(end, "encoder_kl"), series(end, target)
    if len(run.joint) < MINIMUM_RECORDS or not len(kl) or not len(level):
        return None
    if run.setting("loop", "distillation_weight") == 0:
        return None  # nothing ties the encoder to the co-pilot, on purpose
    if np.median(kl) <= ENCODER_FACTOR * np.median(level):
        return None
    text = (
        f"The encoder that the sliders move stores {np.median(kl):.0f} nats per image, the "
        f"co-pilot {verb} {np.median(level):.0f}. Raise loop.distillation_weight, "
        "which ties the two together."
    )
    return Finding("warning", "encoder_explodes", text)


RULES: tuple[Callable[[Run], Finding | None], ...] = (
    short_run,
    dimensions,
    capacity_not_followed,
    decoder_use,
    joint_capacity,
    capacity_out_of_reach,
    feedback_unheard,
    nothing_decoded,
    encoder_explodes,
    image_loss,
    copilot_error,
    clipped,
    too_few_records,
    unfinished,
)
