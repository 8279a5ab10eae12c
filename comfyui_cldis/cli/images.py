"""`cldis demo`, `edit` and `traverse`: images in, images out."""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..editing.framing import RESIZE_RULES
from ..typed_path import typed_path
from ..wording import command_line
from .arguments import add_device, parse_crop, parse_seed, parse_share, parse_steps
from .loading import encoded, load_model, open_photograph
from .terminal import complain, progress_bar, progress_lines, report

if TYPE_CHECKING:
    from ..editing.direction import Direction
    from ..editing.editable import EditableModel
    from .arguments import Commands

DEFAULT_STEPS = 20
NUM_DEMO_ROWS = 6
LONGEST_TILE, LONGEST_FRAME = 256, 512  # pixels of an image on a sheet, and in an animation
# A test compares these with the library's, which would load PyTorch.
SAMPLERS = ("ddim_2m", "ddim", "dpmpp_2m", "unipc")
METHODS = ("auto", "tracked", "decoded")
SIZES = ("original", "model")
SEPARATORS = ",; "
PAIR = re.compile(rf"[^=]+= *[-+.\deE]+(?:[{SEPARATORS}]+|$)")  # one of several in a text


def add_commands(commands: Commands) -> None:
    """Add them to the subparsers of `cldis`."""
    demo = commands.add_parser("demo", help="draw what the bundled model can do, in one image")
    demo.add_argument(
        "--output", type=typed_path, metavar="FILE", help="default: cldis_demo.png, or a free name"
    )
    demo.add_argument("--force", action="store_true", help="replace a file that is there")
    demo.set_defaults(run=_demo)

    edit = commands.add_parser("edit", help="move factors of an image")
    edit.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=AMOUNT",
        help="direction and amount in standard deviations; may be given again",
    )
    edit.add_argument(
        "--mask",
        type=typed_path,
        metavar="FILE",
        help="image that is white where the edit may act and black where not",
    )
    edit.add_argument(
        "--strength",
        type=parse_share,
        default=1.0,
        metavar="S",
        help="0 to 1: share of the edit (default: 1)",
    )
    edit.add_argument(
        "--size",
        choices=SIZES,
        default="original",
        help="original: the whole image with the edit in it; model: the model's small square",
    )
    edit.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default=SAMPLERS[0],
        help="how the image is drawn; with up to 12 steps ddim is closest to it",
    )
    edit.set_defaults(run=_edit)

    traverse = commands.add_parser("traverse", help="draw an image along one direction")
    traverse.add_argument("--direction", required=True, metavar="NAME")
    traverse.add_argument(
        "--animate",
        action="store_true",
        help="write the slider as a looping animation, .webp (the default) or .gif",
    )
    traverse.set_defaults(run=_traverse)

    for command in (edit, traverse):
        command.add_argument("image", type=typed_path, metavar="IMAGE")
        command.add_argument(
            "--model",
            type=typed_path,
            metavar="MODEL",
            help="a .safetensors file; else the demo model",
        )
        command.add_argument(
            "--output",
            type=typed_path,
            metavar="OUT",
            help="image file to write; else a free name",
        )
        command.add_argument("--force", action="store_true", help="replace a file that is there")
        command.add_argument(
            "--seed",
            type=parse_seed,
            metavar="N",
            help="draw the square anew, from fresh noise of this seed",
        )
        command.add_argument(
            "--steps", type=parse_steps, default=DEFAULT_STEPS, metavar="N", help="diffusion steps"
        )
        command.add_argument(
            "--resize",
            choices=RESIZE_RULES,
            default="crop",
            help="how an image that is not square fits the model",
        )
        command.add_argument(
            "--crop",
            type=parse_crop,
            metavar="X,Y,W,H",
            help="edit this part of the image, in pixels from its upper left corner",
        )
        command.add_argument(
            "--method",
            choices=METHODS,
            default="auto",
            help="how the edit gets into the image: tracked in a quick preview, decoded by the "
            "diffusion decoder, or auto, whichever can be trusted where",
        )
    add_device(demo, edit, traverse)


def _demo(options: argparse.Namespace) -> int:
    from ..checkpoint import demo_image_paths, demo_model_path
    from ..imaging.writing import check_output, write_image
    from .sheets import demo_sheet

    start = time.perf_counter()
    output = _place(options, Path("cldis_demo.png"))
    check_output(output)
    _check_free(output, options.force)
    progress = progress_bar if sys.stderr.isatty() else progress_lines
    model = load_model(demo_model_path(), options.device)
    originals = [open_photograph(model, path).pixels for path in demo_image_paths()[:NUM_DEMO_ROWS]]
    sheet = demo_sheet(model, originals, progress, num_steps=DEFAULT_STEPS)
    write_image(output, sheet)
    report(output, sheet.size, start)
    return 0


def _edit(options: argparse.Namespace) -> int:
    from ..editing.pipeline import edit
    from ..editing.render import render
    from ..imaging.mask import read_mask
    from ..imaging.sheet import to_image
    from ..imaging.writing import check_size, write_image

    start = time.perf_counter()
    edits = _edits(options.set)
    output = _output(options, "edited")
    model = load_model(options.model, options.device)
    edits = {name: _limited(_known(model, name, amount), amount) for name, amount in edits.items()}
    kept_in = output if options.size == "original" else None
    photograph = open_photograph(model, options.image, kept_in)
    height, width = photograph.pixels.shape[1:]
    if options.size == "original":
        check_size(output, width, height)
    mask = None if options.mask is None else read_mask(options.mask, width, height)
    latent = encoded(model, photograph.pixels, options.resize, options.crop)
    with progress_bar("draw") as on_step:
        (result,) = render(
            model,
            edit(model, latent, edits),
            method=options.method,
            size=options.size,
            strength=options.strength,
            mask=mask,
            sampler=options.sampler,
            num_steps=options.steps,
            seed=options.seed,
            on_step=on_step,
        )
    if options.size == "original":
        photograph.save(output, result)
        if note := _left_out(width, height, options):
            complain(note)
    else:
        write_image(output, to_image(result * 2 - 1))
    report(output, (result.shape[2], result.shape[1]), start)
    return 0


def _traverse(options: argparse.Namespace) -> int:
    from ..imaging.animation import write_animation
    from ..imaging.writing import write_image
    from .sheets import traverse_frames, traverse_sheet

    start = time.perf_counter()
    output = _output(options, "traverse")
    model = load_model(options.model, options.device)
    model.direction(options.direction)  # refuse an unknown name before the image is read
    photograph = open_photograph(model, options.image)
    longest = LONGEST_FRAME if options.animate else LONGEST_TILE
    latent = encoded(model, photograph.pixels, options.resize, options.crop, longest)
    draw = traverse_frames if options.animate else traverse_sheet
    drawn = draw(
        model,
        latent,
        options.direction,
        progress_bar,
        method=options.method,
        num_steps=options.steps,
        seed=options.seed,
    )
    if isinstance(drawn, list):
        write_animation(output, drawn)
        report(output, drawn[0].size, start)
    else:
        write_image(output, drawn)
        report(output, drawn.size, start)
    return 0


def _edits(pairs: Sequence[str]) -> dict[str, float]:
    """Parses NAME=AMOUNT texts; a name may hold spaces and equals signs."""
    if not pairs:
        raise ValueError(
            "No edit was given. Add --set NAME=AMOUNT; `cldis info` lists the names and ranges."
        )
    edits: dict[str, float] = {}
    for pair in pairs:
        name, _, text = pair.rpartition("=")
        name = name.strip()
        try:
            amount = float(text)
        except ValueError:
            amount = math.nan
        if not name or not math.isfinite(amount):
            raise ValueError(
                f"--set {pair!r} is not NAME=AMOUNT with a finite number. Write it such as "
                "--set 'hair length=1.5'."
            )
        if name in edits:
            raise ValueError(f"--set names '{name}' twice. Give each direction once.")
        edits[name] = amount
    return edits


def _known(model: EditableModel, name: str, amount: float) -> Direction:
    """The direction called `name`; ValueError without it, also where one --set holds several."""
    try:
        return model.direction(name)
    except ValueError:
        given = f"{name}={amount:g}"
        pairs = PAIR.findall(given)
        if len(pairs) < 2 or "".join(pairs) != given:
            raise
    words = [word for pair in pairs for word in ("--set", pair.strip(SEPARATORS))]
    raise ValueError(
        f"--set {given!r} holds {len(pairs)} amounts. Give one amount per slider, each on its "
        f"own: {command_line(*words)}."
    )


def _output(options: argparse.Namespace, kind: str) -> Path:
    """Where the image goes: --output, or a name of its own that is still free.

    Raises: ValueError and FileNotFoundError for a place that cannot be used.
    """
    from ..imaging.animation import ANIMATION_FORMATS
    from ..imaging.writing import OUTPUT_FORMATS, check_output

    ending = ".png"
    if kind == "edited" and options.image.suffix.lower() in OUTPUT_FORMATS:
        ending = options.image.suffix  # a photograph stays what it is
    is_animation = getattr(options, "animate", False)
    if is_animation:
        ending = ".webp"
    output = _place(options, Path(f"{options.image.stem}_{kind}{ending}"))
    check_output(output, options.image, ANIMATION_FORMATS if is_animation else OUTPUT_FORMATS)
    _check_free(output, options.force)
    return output


def _place(options: argparse.Namespace, usual: Path) -> Path:
    """--output, or the usual name; with a number where that is taken and not to be replaced."""
    from ..imaging.writing import free_name

    if options.output is not None:
        return options.output
    return usual if options.force else free_name(usual)


def _check_free(output: Path, force: bool) -> None:
    if output.exists() and not force:
        raise ValueError(
            f"The output {output} is there already. Choose another --output, or add --force to "
            "replace it."
        )


def _left_out(width: int, height: int, options: argparse.Namespace) -> str:
    """A note where only the central square of an image can change, else ""."""
    side = min(width, height)
    if width == height or options.crop is not None or options.resize != "crop":
        return ""
    return (
        f"Note: only the central {side} x {side} pixels of {width} x {height} can change. Choose "
        "another part with --crop, or show the model all of it with --resize pad."
    )


def _limited(direction: Direction, amount: float) -> float:
    """The amount, or the farthest that the direction can be moved; says so outside of the range."""
    if note := direction.beyond_range(amount):
        complain(f"Note: {note}")
    return direction.limited(amount)
