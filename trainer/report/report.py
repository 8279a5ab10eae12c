"""A run on one page: report.html with headline facts, findings, curves and images.

The page needs nothing but itself: styles inline, images embedded, no scripts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from comfyui_cldis.atomic_write import write_text
from comfyui_cldis.checkpoint.quality_text import evaluated_on, explains_nothing
from comfyui_cldis.editing.described import Described
from comfyui_cldis.editing.facts import ModelFacts
from comfyui_cldis.editing.verdict import why_no_sliders
from comfyui_cldis.wording import counted

from ..data import DataReport, read_report
from ..monitor.metrics_file import STATS_NAME, images_per_second, read_records
from ..monitor.progress import describe_duration
from ..monitor.run_log import SAMPLES_NAME
from ..training.checkpoint import CONFIG_NAME
from ..training.record import TrainingRecord, finite
from . import REPORT_NAME
from .diagnosis import diagnose, has_capacity, stores_entropy
from .history import END_SHARE, Run, final_dimensions, last, series, used_dimensions
from .html import (
    render_curves,
    render_details,
    render_directions,
    render_document,
    render_facts,
    render_findings,
    render_images,
    render_title,
    render_words,
)
from .plots import draw_curves


def write_report(
    folder: Path,
    model: Described | None,
    images: Sequence[tuple[str, Image.Image]],
) -> Path:
    """Write `folder`/report.html from the run's statistics, configuration, data and images.

    Args:
        folder: the folder of a run.
        model: what was exported, or the header of its file; None for a run without a model.
        images: named images to show. When there are none, the last sample sheet in
            `folder`/samples is shown.

    Returns:
        The file, at most about 5 MB.

    Raises:
        FileNotFoundError: the folder holds no statistics.
        ValueError: config.json is not valid.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Give the output folder of a run.")
    path = folder / STATS_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no {STATS_NAME} in {folder}. Give the output folder of a run."
        )
    records = read_records(path)
    page = render_page(
        folder.resolve().name,
        records,
        settings_shown(folder / CONFIG_NAME),
        model,
        [*images] or last_sheet(folder),
        read_report(folder),
    )
    report = folder / REPORT_NAME
    # the run, its data or its folder may have a name that is not UTF-8
    write_text(report, page, errors="backslashreplace")
    return report


def settings_shown(path: Path) -> dict[str, Any]:
    """The settings of a run as they were written, unknown ones too; empty when there are none.

    Raises:
        ValueError: the file is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} is damaged: {error}. Restore it or delete it.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path.name} holds no settings. Restore it or delete it.")
    return config


def last_sheet(folder: Path) -> list[tuple[str, Image.Image]]:
    """The newest sheet of sample images, by its step."""
    sheets = sorted(
        (folder / SAMPLES_NAME).glob("step_*.png"), key=lambda path: (len(path.name), path)
    )
    if not sheets:
        return []
    with Image.open(sheets[-1]) as sheet:
        step = sheets[-1].stem.removeprefix("step_").lstrip("0") or "0"
        return [(f"Samples at step {step}", sheet.convert("RGB"))]


def render_page(
    name: str,
    records: Sequence[TrainingRecord],
    config: Mapping[str, Any],
    model: Described | None,
    images: Sequence[tuple[str, Image.Image]],
    data: DataReport | None,
) -> str:
    """The HTML text of a report.

    Args:
        name: of the run, when neither the facts nor the configuration know one.
        data: what became of the images; None where it is not known.
    """
    facts = ModelFacts() if model is None else model.facts
    run = Run(records, [], config)
    name = titled(
        facts.name or Path(str(config.get("data") or name)).name, run.setting("model", "image_size")
    )
    notes = [facts.training.hardware, facts.training.date]
    exported = facts.training.steps
    if records and exported is not None and exported != records[-1].step:
        notes.append(f"the model file and its figures are of step {exported}")
    return render_document(
        f"{name}: training report",
        [
            render_title(f"Training of {name}", " · ".join(str(note) for note in notes if note)),
            render_facts(headline(records, config, model)),
            render_findings(diagnose(records, config, model, data)),
            render_images(images),
            render_directions(model),
            render_curves(draw_curves(records, config)),
            render_words(has_capacity=has_capacity(run), is_entropy=stores_entropy(run)),
            render_details(config, model),
        ],
    )


def titled(name: str, image_size: float | None) -> str:
    """The name with the size of the images: "heads 64" -> "heads, 64 px"."""
    if image_size is None:
        return name
    return f"{name.removesuffix(f' {image_size:g}')}, {image_size:g} px"


def headline(
    records: Sequence[TrainingRecord], config: Mapping[str, Any], model: Described | None
) -> list[tuple[str, str, str]]:
    """(name, value, small print) of the facts on top of the page, as far as they are known."""
    found: list[tuple[str, str, str]] = []
    run = Run(records, [], config)
    if records:
        end = records[-1]
        steps = finite(config.get("steps"))
        found.append(("Steps", f"{end.step:,}", f"of {steps:,.0f}" if steps else ""))
        images, seconds = end.number("images"), end.number("seconds")
        if images is not None:
            updates = run.setting("loop", "copilot_updates")
            more = f"; the co-pilot saw {images * updates:,.0f}" if updates else ""
            found.append(("Images of the steps", f"{images:,.0f}", f"with repeats{more}"))
        if seconds is not None:
            found.append(("Training time", describe_duration(seconds), ""))
        window = last(records, END_SHARE)
        speed = images_per_second(window[0], window[-1])
        if speed is not None:
            found.append(("Speed", f"{speed:,.3g}", "images/s at the end"))
        kl = final_dimensions(records)
        if kl is not None:
            found.append(("Dimensions used", str(used_dimensions(records)), f"of {len(kl)}"))
        capacity, share = series(window, "capacity"), series(window, "used")
        if len(capacity) and has_capacity(run):
            found.append(("Capacity C", f"{np.mean(capacity):.1f}", "nats at the end"))
        if len(share):
            small = "of what is stored, at the end"
            found.append(("Code in use", f"{100 * np.mean(share):.0f} %", small))
    if model is None:
        return found
    found.append(sliders_fact(model))
    quality = model.facts.quality
    explained = quality.code_explains
    if explained is not None and not explains_nothing(explained):
        found.append(("Code explains", f"{100 * explained:.0f} %", f"of {evaluated_on(quality)}"))
    elif explained is not None:
        small = f"of {evaluated_on(quality)}: the mean image is nearer ({explained:.2f})"
        found.append(("Code explains", "nothing", small))
    return found


def sliders_fact(model: Described) -> tuple[str, str, str]:
    """How many sliders a model has, as a fact of the headline."""
    count = len(model.directions)
    if not count:
        return ("Sliders", "none", "no direction with a visible effect")
    if why_no_sliders(model) is not None:
        return ("Sliders", "none yet", f"{counted(count, 'direction')}, see below")
    return ("Sliders", str(count), "")
