"""`cldis evaluate` and `track`: scores with and without labels."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..atomic_write import write_text
from ..typed_path import expand, typed_path
from .arguments import add_device, parse_seed
from .loading import load_model
from .terminal import share_bar

if TYPE_CHECKING:
    from .arguments import Commands

DIRECTIONS = ("axes", "model")  # a test compares them with the library's
VERSIONS = (1, 2)  # likewise
OF_A_MODEL = {  # options of evaluate that say how a model is scored, and what they are if not given
    "dataset": None,
    "codes": None,
    "no_sampled": False,
    "cache": None,
    "device": "auto",
}


def add_commands(commands: Commands) -> None:
    """Add them to the subparsers of `cldis`."""
    evaluate = commands.add_parser("evaluate", help="score how well the code matches known factors")
    evaluate.add_argument("model", nargs="?", type=typed_path, metavar="MODEL")
    evaluate.add_argument(
        "--dataset",
        type=expand,
        metavar="NAME|FILE",
        help="shapes3d-equivalent, dsprites-equivalent, heads, or a file of a factor data set",
    )
    evaluate.add_argument(
        "--representation", type=typed_path, metavar="FILE.npz", help="arrays `codes` and `factors`"
    )
    evaluate.add_argument("--metrics", metavar="A,B,...", help="all by default")
    evaluate.add_argument("--fast", action="store_true", help="fewer samples; labelled as such")
    evaluate.add_argument("--codes", choices=("semantic", "copilot"), help="semantic by default")
    evaluate.add_argument("--no-controls", action="store_true", help="leave out the two controls")
    evaluate.add_argument("--no-sampled", action="store_true", help="score the mean codes only")
    evaluate.add_argument("--seed", type=parse_seed, metavar="N")
    evaluate.add_argument("--json", type=typed_path, metavar="OUT", help="for programs")
    evaluate.add_argument(
        "--cache",
        type=typed_path,
        metavar="DIR",
        help="keep a packed factor file unpacked there; else it is unpacked each time",
    )
    add_device(evaluate)
    evaluate.set_defaults(run=_evaluate)

    track = commands.add_parser("track", help="score disentanglement without labels")
    track.add_argument("model", nargs="?", type=typed_path, metavar="MODEL")
    track.add_argument("--data", type=typed_path, metavar="FOLDER", help="images; else drawn codes")
    track.add_argument("--directions", choices=DIRECTIONS, default="axes", help="what to score")
    track.add_argument("--fast", action="store_true", help="fewer bases and steps")
    track.add_argument(
        "--score-version",
        type=int,
        choices=VERSIONS,
        default=VERSIONS[0],
        help="of the score; 2: the same on all images",
    )
    track.add_argument("--seed", type=parse_seed, metavar="N")
    track.add_argument("--json", type=typed_path, metavar="OUT", help="for programs")
    track.add_argument(
        "--sheet", type=typed_path, metavar="OUT.png", help="what each direction does"
    )
    add_device(track)
    track.set_defaults(run=_track)


def _evaluate(options: argparse.Namespace) -> int:
    from ..evaluate import evaluate_arrays, evaluate_model, score_table
    from ..metrics import METRICS

    _check_json(options.json)
    metrics = options.metrics.split(",") if options.metrics else list(METRICS)
    if (options.model is None) == (options.representation is None):
        raise ValueError(
            "cldis evaluate scores either a model or arrays. Give MODEL with --dataset NAME, or "
            "--representation FILE.npz."
        )
    if options.representation is not None:
        _check_arrays_alone(options)
    with share_bar() as on_progress:
        common: dict[str, Any] = {
            "seed": options.seed or 0,
            "fast": options.fast,
            "with_controls": not options.no_controls,
            "on_progress": on_progress,
        }
        if options.representation is not None:
            result = evaluate_arrays(options.representation, metrics, **common)
        else:
            if options.dataset is None:
                raise ValueError(
                    "No data set was given. Add --dataset shapes3d-equivalent, "
                    "dsprites-equivalent, heads, or the path of a factor file."
                )
            model = load_model(options.model, options.device)
            with _cache_folder(options.cache) as cache:
                result = evaluate_model(
                    model,
                    options.dataset,
                    metrics,
                    codes=options.codes or "semantic",
                    with_sampled=not options.no_sampled,
                    cache_dir=cache,
                    **common,
                )
    if options.json is not None:
        write_text(options.json, json.dumps(result, indent=2) + "\n")
    print(score_table(result))
    if options.json is not None:
        print(f"wrote {options.json}")
    return 0


def _check_arrays_alone(options: argparse.Namespace) -> None:
    """Refuses options that say how a model is scored beside arrays.

    Raises: ValueError.
    """
    given = [
        f"--{name.replace('_', '-')}"
        for name, absent in OF_A_MODEL.items()
        if getattr(options, name) != absent
    ]
    if given:
        raise ValueError(
            f"The arrays of --representation are scored without a model, which "
            f"{' and '.join(given)} would be for. Leave {'it' if len(given) == 1 else 'them'} out, "
            "or give MODEL with --dataset NAME instead."
        )


def _check_json(path: Path | None) -> None:
    """Refuses a place where no file can be, before the work.

    Raises: ValueError.
    """
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise ValueError(f"--json is {path}. Name a file in a folder that exists.")


@contextmanager
def _cache_folder(chosen: Path | None) -> Iterator[Path]:
    """The chosen folder, or one that is gone afterwards."""
    if chosen is not None:
        yield chosen
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows: files still mapped
        yield Path(folder)


def _track(options: argparse.Namespace) -> int:
    from ..imaging.writing import check_output, check_size, write_image
    from ..tracking import FAST, TrackingSettings, track, tracking_table
    from ..tracking.model import model_vectors
    from ..tracking.sheet import tracking_sheet, tracking_sheet_size
    from .tracking import read_folder

    if options.sheet is not None:
        check_output(options.sheet)
    _check_json(options.json)
    settings = dataclasses.replace(
        FAST if options.fast else TrackingSettings(),
        directions=options.directions,
        version=options.score_version,
    )
    model = load_model(options.model, options.device)
    config, seed = model.networks.config, options.seed or 0
    if options.sheet is not None:
        num_directions = len(model_vectors(model, options.directions))
        check_size(options.sheet, *tracking_sheet_size(num_directions, config.image_size))
    images = None
    if options.data is not None:
        images = read_folder(
            options.data,
            config.image_size,
            config.in_channels,
            settings,
            seed,
            model.facts.training.resize,
        )
    with share_bar() as on_progress:
        result = track(model, images, settings, seed, on_progress=on_progress)
    if options.json is not None:
        facts = {"model": model.name, "data": None if images is None else str(options.data)}
        text = json.dumps(facts | result.to_json(), indent=2)
        write_text(options.json, text + "\n")
    if options.sheet is not None:
        write_image(options.sheet, tracking_sheet(result))
    print(tracking_table(result))
    for written in filter(None, (options.json, options.sheet)):
        print(f"wrote {written}")
    return 0
