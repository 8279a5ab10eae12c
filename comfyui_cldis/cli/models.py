"""`cldis info`, `directions`, `rename` and `prune`: what a model file holds, put in order."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from ..typed_path import typed_path
from .arguments import add_device, parse_effect, parse_steps
from .loading import framed, load_model
from .terminal import progress_bar

if TYPE_CHECKING:
    from .arguments import Commands


def add_commands(commands: Commands) -> None:
    """Add them to the subparsers of `cldis`."""
    info = commands.add_parser("info", help="show what a model file holds")
    info.add_argument("model", nargs="?", type=typed_path, metavar="MODEL")
    info.add_argument("--json", action="store_true", help="for programs")
    info.set_defaults(run=_info)

    directions = commands.add_parser("directions", help="list a model's directions, or draw them")
    directions.add_argument("model", nargs="?", type=typed_path, metavar="MODEL")
    directions.add_argument(
        "--sheet", type=typed_path, metavar="OUT.png", help="a row for each direction"
    )
    directions.add_argument(
        "--image",
        type=typed_path,
        action="append",
        default=[],
        metavar="IMAGE",
        help="an image to move; may be given again. Without: thumbnails, or drawn codes",
    )
    directions.add_argument(
        "--measure",
        action="store_true",
        help="measure quality anew on --image or 4 drawn images; name what seems to change",
    )
    directions.add_argument(
        "--output", type=typed_path, metavar="FILE", help="model file with what --measure found"
    )
    directions.add_argument(
        "--steps", type=parse_steps, default=10, metavar="N", help="diffusion steps"
    )
    add_device(directions)
    directions.set_defaults(run=_directions)

    rename = commands.add_parser("rename", help="give a direction of a model file another name")
    rename.add_argument("model", type=typed_path, metavar="MODEL")
    rename.add_argument("old", metavar="OLD")
    rename.add_argument("new", metavar="NEW")
    rename.add_argument(
        "--labels", nargs=2, metavar=("NEGATIVE", "POSITIVE"), help="what the two ends look like"
    )
    rename.add_argument(
        "--reverse",
        action="store_true",
        help="turn the slider round; --labels are then the ends as they are afterwards",
    )
    rename.set_defaults(run=_rename)

    prune = commands.add_parser("prune", help="drop directions of a model file")
    prune.add_argument("model", type=typed_path, metavar="MODEL")
    prune.add_argument("names", nargs="*", metavar="NAME")
    prune.add_argument(
        "--below", type=parse_effect, metavar="EFFECT", help="those that change less"
    )
    prune.set_defaults(run=_prune)

    for command in (rename, prune):
        command.add_argument(
            "--output",
            type=typed_path,
            metavar="FILE",
            help="a new model file; else MODEL is replaced",
        )


def _info(options: argparse.Namespace) -> int:
    from ..checkpoint import demo_model_path, read_header
    from ..checkpoint.summary import as_json, as_text

    path = options.model or demo_model_path()
    header = read_header(path)
    print(json.dumps(as_json(header), indent=2) if options.json else as_text(header, path.name))
    return 0


def _directions(options: argparse.Namespace) -> int:
    from ..checkpoint import demo_model_path, read_header
    from ..checkpoint.rewrite import check_new_file, write_model
    from ..imaging.writing import check_output, check_size, write_image
    from . import directions as command

    path = options.model or demo_model_path()
    if options.output is not None and not options.measure:
        raise ValueError("--output stores what --measure finds. Add --measure, or leave it out.")
    if options.sheet is not None:
        check_output(options.sheet)
    check_new_file(path, options.output)
    header, measured, sheet = read_header(path), None, None
    if options.sheet is not None and not options.image and not options.measure:
        sheet = command.thumbnail_sheet(header)
    if options.measure or (options.sheet is not None and sheet is None):
        if options.sheet is not None:
            num_images = min(len(options.image) or command.NUM_SHOWN, command.NUM_SHOWN)
            check_size(options.sheet, *command.directions_sheet_size(header, num_images))
        model = load_model(path, options.device, is_quiet=True)  # the table says it
        latent = command.base_latent(
            model, [framed(model, each) for each in options.image], options.steps
        )
        if options.measure:
            model, measured = command.measure(model, latent, progress_bar, num_steps=options.steps)
            header = dataclasses.replace(header, directions=model.directions)
        if options.sheet is not None:
            shown = latent[: command.NUM_SHOWN]
            sheet = command.directions_sheet(model, shown, progress_bar, num_steps=options.steps)
        if options.output is not None:
            write_model(path, model, options.output)
    if sheet is not None and options.sheet is not None:
        write_image(options.sheet, sheet)
    print(command.directions_table(header, measured))
    for written in filter(None, (options.output, options.sheet)):
        print(f"wrote {written}")
    return 0


def _rename(options: argparse.Namespace) -> int:
    from .directions import rename

    labels = tuple(options.labels) if options.labels else None
    output, reverse = options.output, options.reverse
    print(rename(options.model, options.old, options.new, labels, output, reverse=reverse))
    return 0


def _prune(options: argparse.Namespace) -> int:
    from .directions import prune

    print(prune(options.model, options.names, options.below, options.output))
    return 0
