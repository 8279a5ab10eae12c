"""The `cldis` command: demo, edit, traverse for pictures; info, directions, rename, prune, evaluate
and track for models; and train.

Exit codes: 0; 2 for wrong input, with one or two plain sentences on stderr; 130 after Ctrl-C.
Heavy imports happen inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from . import __version__

if TYPE_CHECKING:
    from torch import Tensor

    from .editing.directions import Direction
    from .editing.editable import EditableModel
    from .editing.framing import Origin

WRONG_INPUT, CANCELLED = 2, 130
DEFAULT_STEPS = 20
NUM_DEMO_ROWS = 6
BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"
SAMPLERS = ("ddim", "dpmpp_2m", "unipc")  # a test compares them with the library's
RESIZE_RULES = ("crop", "pad", "stretch")  # likewise
DIRECTIONS = ("axes", "model")  # likewise


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command (default: with the process's arguments) and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["train"]:  # its flags are the trainer's own, `--help` included
            return _train(arguments[1:])
        options = _parser().parse_args(arguments)
        return options.run(options)
    except KeyboardInterrupt:
        _complain("Cancelled.")
        return CANCELLED
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing in ("", "comfyui_cldis", "trainer"):
            raise  # an error of ours, not of the installation
        _complain(f"The package {missing} is not installed. Run: python -m pip install {missing}")
    except (ValueError, OSError) as error:
        _complain(str(error) or type(error).__name__)
    return WRONG_INPUT


def _demo(options: argparse.Namespace) -> int:
    from .checkpoint import demo_image_paths, demo_model_path
    from .picture import check_output, write_picture
    from .showcase import demo_sheet

    start = time.perf_counter()
    check_output(options.output)
    progress = _progress if sys.stderr.isatty() else _told
    model = _load(demo_model_path(), options.device)
    images = [_framed(model, path, "crop")[0] for path in demo_image_paths()[:NUM_DEMO_ROWS]]
    sheet = demo_sheet(model, images, progress, num_steps=DEFAULT_STEPS)
    write_picture(options.output, sheet)
    _report(options.output, sheet.size, start)
    return 0


def _edit(options: argparse.Namespace) -> int:
    from .editing.framing import unframe
    from .editing.pipeline import decode, edit, encode
    from .picture import write_picture

    start = time.perf_counter()
    edits = _edits(options.set)
    output = _output(options, "edited")
    model = _load(options.model, options.device)
    for name, amount in edits.items():
        _warn_outside(model.direction(name), amount)
    images, origins = _framed(model, options.image, options.resize)
    seed, freedom = _noise(options)
    inversion_steps = 0 if freedom == 1 else options.steps
    with _progress("encode") as on_step:
        latent = encode(
            model, images, inversion_steps=inversion_steps, origins=origins, on_step=on_step
        )
    latent = edit(model, latent, edits)
    with _progress("decode") as on_step:
        edited = decode(
            model,
            latent,
            sampler=options.sampler,
            num_steps=options.steps,
            seed=seed,
            freedom=freedom,
            on_step=on_step,
        )
    result = unframe(edited, latent.origins)[0]
    write_picture(output, result)
    _report(output, (result.shape[-1], result.shape[-2]), start)
    return 0


def _traverse(options: argparse.Namespace) -> int:
    from .picture import write_picture
    from .showcase import traverse_sheet

    start = time.perf_counter()
    output = _output(options, "traverse")
    model = _load(options.model, options.device)
    model.direction(options.direction)  # refuse an unknown name before the picture is read
    image, _ = _framed(model, options.image, options.resize)
    seed, freedom = _noise(options)
    sheet = traverse_sheet(
        model,
        image,
        options.direction,
        _progress,
        num_steps=options.steps,
        seed=seed or 0,
        freedom=0.0 if seed is None else freedom,
    )
    write_picture(output, sheet)
    _report(output, sheet.size, start)
    return 0


def _directions(options: argparse.Namespace) -> int:
    from . import directions_command as command
    from .checkpoint import demo_model_path, read_header
    from .picture import check_output, write_picture

    path = options.model or demo_model_path()
    if options.output is not None and not options.measure:
        raise ValueError("--output stores what --measure finds. Add --measure, or leave it out.")
    if options.sheet is not None:
        check_output(options.sheet)
    command.check_new_file(path, options.output)
    header, measured, sheet = read_header(path), None, None
    if options.sheet is not None and not options.image and not options.measure:
        sheet = command.thumbnail_sheet(header)
    if options.measure or (options.sheet is not None and sheet is None):
        model = _load(path, options.device)
        latent = command.base_latent(
            model, [_framed(model, each, "crop")[0] for each in options.image], options.steps
        )
        if options.measure:
            model, measured = command.measure(model, latent, _progress, num_steps=options.steps)
            header = dataclasses.replace(header, directions=model.directions)
        if options.sheet is not None:
            shown = latent[: command.NUM_SHOWN]
            sheet = command.directions_sheet(model, shown, _progress, num_steps=options.steps)
        if options.output is not None:
            command.write_model(path, model, options.output)
    print(command.directions_table(header, measured))
    if sheet is not None and options.sheet is not None:
        write_picture(options.sheet, sheet)
    for written in filter(None, (options.output, options.sheet)):
        print(f"wrote {written}")
    return 0


def _rename(options: argparse.Namespace) -> int:
    from .directions_command import rename

    labels = tuple(options.labels) if options.labels else None
    print(rename(options.model, options.old, options.new, labels, options.output))
    return 0


def _prune(options: argparse.Namespace) -> int:
    from .directions_command import prune

    print(prune(options.model, options.names, options.below, options.output))
    return 0


def _info(options: argparse.Namespace) -> int:
    from .checkpoint import demo_model_path, read_header
    from .checkpoint.summary import as_json, as_text

    path = options.model or demo_model_path()
    header = read_header(path)
    print(json.dumps(as_json(header), indent=2) if options.json else as_text(header, path.name))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from .evaluating import evaluate_arrays, evaluate_model, score_table
    from .metrics import METRICS

    metrics = options.metrics.split(",") if options.metrics else list(METRICS)
    if (options.model is None) == (options.representation is None):
        raise ValueError(
            "cldis evaluate scores either a model or arrays. Give MODEL with --dataset NAME, or "
            "--representation FILE.npz."
        )
    with tqdm(total=1.0, file=sys.stderr, leave=False, disable=None, bar_format=BAR) as bar:

        def on_progress(name: str, done: float) -> None:
            bar.set_description_str(name)
            bar.n = done
            bar.refresh()

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
            model = _load(options.model, options.device)
            result = evaluate_model(
                model,
                options.dataset,
                metrics,
                codes=options.codes,
                with_sampled=not options.no_sampled,
                **common,
            )
    print(score_table(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        print(f"wrote {options.json}")
    return 0


def _track(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from .picture import check_output, write_picture
    from .tracking import FAST, TrackingSettings, track, tracking_table
    from .tracking.sheet import tracking_sheet
    from .tracking_command import read_folder

    if options.sheet is not None:
        check_output(options.sheet)
    if options.json is not None and (options.json.is_dir() or not options.json.parent.is_dir()):
        raise ValueError(f"--json is {options.json}. Name a file in a folder that exists.")
    settings = dataclasses.replace(
        FAST if options.fast else TrackingSettings(), directions=options.directions
    )
    model = _load(options.model, options.device)
    config, seed = model.networks.config, options.seed or 0
    images = None
    if options.data is not None:
        images = read_folder(options.data, config.image_size, config.in_channels, settings, seed)
    with tqdm(total=1.0, file=sys.stderr, leave=False, disable=None, bar_format=BAR) as bar:

        def on_progress(stage: str, done: float) -> None:
            bar.set_description_str(stage)
            bar.n = done
            bar.refresh()

        result = track(model, images, settings, seed, on_progress=on_progress)
    print(tracking_table(result))
    if options.json is not None:
        facts = {"model": model.name, "data": None if images is None else str(options.data)}
        text = json.dumps(facts | result.to_json(), indent=2)
        options.json.write_text(text + "\n", encoding="utf-8")
        print(f"wrote {options.json}")
    if options.sheet is not None:
        write_picture(options.sheet, tracking_sheet(result))
        print(f"wrote {options.sheet}")
    return 0


def _train(arguments: list[str]) -> int:
    """Hands all arguments to the trainer, which lives beside the package in a checkout."""
    from .trainer_door import load_trainer

    return load_trainer("__main__").main(arguments)


def _load(path: Path | None, device: str) -> EditableModel:
    import torch

    from .checkpoint import demo_model_path, load_checkpoint

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device is cuda, but no CUDA device is there. Use --device cpu.")
    model = load_checkpoint(path or demo_model_path())
    model.networks.to(device)
    return model


def _framed(model: EditableModel, path: Path, rule: str) -> tuple[Tensor, tuple[Origin, ...]]:
    """Reads a picture at the model's size, (1, C, S, S), with what brings it back."""
    from .editing.framing import frame
    from .picture import read_picture

    config = model.networks.config
    if config.in_channels not in (1, 3):
        raise ValueError(
            f"This model works on image latents with {config.in_channels} channels, not on "
            "pictures. Choose a model with 1 or 3 channels."
        )
    return frame(read_picture(path, config.in_channels), config.image_size, rule)


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
                f"--set got '{pair}'; expected NAME=AMOUNT with a finite number, "
                "such as --set 'hair length=1.5'."
            )
        if name in edits:
            raise ValueError(f"--set names '{name}' twice. Give each direction once.")
        edits[name] = amount
    return edits


def _output(options: argparse.Namespace, kind: str) -> Path:
    """Where the picture goes: --output, or a name of its own that is still free.

    Raises: ValueError and FileNotFoundError for a place that cannot be used.
    """
    from .picture import check_output, free_name

    output = options.output or Path(f"{options.image.stem}_{kind}.png")
    if options.output is None and not options.force:
        output = free_name(output)
    check_output(output, options.image)
    if output.exists() and not options.force:
        raise ValueError(
            f"The output {output} is there already. Choose another --output, or add --force to "
            "replace it."
        )
    return output


def _noise(options: argparse.Namespace) -> tuple[int | None, float]:
    """Seed and freedom of `decode`: a seed alone means fresh noise, no seed that of 0."""
    if options.freedom is None:
        return options.seed, 1.0 if options.seed is not None else 0.0
    if options.freedom == 0:
        return None, 0.0
    return options.seed or 0, options.freedom


def _warn_outside(direction: Direction, amount: float) -> None:
    if not direction.minimum <= amount <= direction.maximum:
        _complain(
            f"Note: {amount:g} is outside the range of '{direction.name}' seen in training, "
            f"{direction.minimum:.2f} to {direction.maximum:.2f}."
        )


@contextmanager
def _progress(text: str) -> Iterator[Callable[[Any], None]]:
    """A progress bar on stderr, hidden when that is no terminal; yields the `on_step` callback."""
    from tqdm import tqdm

    with tqdm(desc=text, unit="step", file=sys.stderr, leave=False, disable=None) as bar:

        def on_step(step: Any) -> None:
            bar.total = step.total
            bar.update(1)

        yield on_step


@contextmanager
def _told(text: str) -> Iterator[Callable[[Any], None]]:
    """A line on stderr at every quarter of the work, for where a bar cannot be drawn."""
    said = 0

    def on_step(step: Any) -> None:
        nonlocal said
        quarter = 4 * (step.index + 1) // step.total
        if quarter > said:
            said = quarter
            _complain(f"{text}: {25 * quarter} %")

    yield on_step


def _report(path: Path, size: tuple[int, int], start: float) -> None:
    print(f"wrote {path} ({size[0]} x {size[1]}) in {time.perf_counter() - start:.1f} s")


def _complain(text: str) -> None:
    print(text, file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Reports wrong arguments as one sentence, like every other wrong input."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{self.prog}: {message}. Run `{self.prog} --help` for the usage.")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="cldis", description="Move the factors of a picture.")
    parser.add_argument("--version", action="version", version=f"cldis {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    demo = commands.add_parser("demo", help="draw what the bundled model can do, in one picture")
    demo.add_argument("--output", type=Path, default=Path("cldis_demo.png"), metavar="FILE")
    demo.set_defaults(run=_demo)

    edit = commands.add_parser("edit", help="move factors of a picture")
    edit.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=AMOUNT",
        help="direction and amount in standard deviations; may be given again",
    )
    edit.add_argument(
        "--sampler", choices=SAMPLERS, default="ddim", help="how the picture is drawn"
    )
    edit.set_defaults(run=_edit)

    traverse = commands.add_parser("traverse", help="draw a picture along one direction")
    traverse.add_argument("--direction", required=True, metavar="NAME")
    traverse.set_defaults(run=_traverse)

    for command in (edit, traverse):
        command.add_argument("image", type=Path, metavar="IMAGE")
        command.add_argument(
            "--model", type=Path, metavar="MODEL", help="a .safetensors file; else the demo model"
        )
        command.add_argument(
            "--output", type=Path, metavar="OUT", help="picture file to write; else a free name"
        )
        command.add_argument("--force", action="store_true", help="replace a file that is there")
        command.add_argument(
            "--seed",
            type=_seed,
            metavar="N",
            help="draw fresh noise from this seed instead of keeping the picture's own",
        )
        command.add_argument(
            "--freedom",
            type=_share,
            metavar="F",
            help="0 to 1: how far the picture's own noise moves towards that of --seed; 0 (the "
            "default) keeps its details, 0.2 to 0.5 lets a large edit go further",
        )
        command.add_argument(
            "--steps", type=_steps, default=DEFAULT_STEPS, metavar="N", help="diffusion steps"
        )
        command.add_argument(
            "--resize",
            choices=RESIZE_RULES,
            default="crop",
            help="how a picture that is not square fits the model",
        )
    for command in (demo, edit, traverse):
        command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")

    info = commands.add_parser("info", help="say what a model file holds")
    info.add_argument("model", nargs="?", type=Path, metavar="MODEL")
    info.add_argument("--json", action="store_true", help="for programs")
    info.set_defaults(run=_info)

    evaluate = commands.add_parser("evaluate", help="score how well the code matches known factors")
    evaluate.add_argument("model", nargs="?", type=Path, metavar="MODEL")
    evaluate.add_argument(
        "--dataset",
        metavar="NAME|FILE",
        help="shapes3d-equivalent, dsprites-equivalent, heads, or a file of a factor data set",
    )
    evaluate.add_argument(
        "--representation", type=Path, metavar="FILE.npz", help="arrays `codes` and `factors`"
    )
    evaluate.add_argument("--metrics", metavar="A,B,...", help="all by default")
    evaluate.add_argument("--fast", action="store_true", help="fewer samples; labelled as such")
    evaluate.add_argument("--codes", choices=("semantic", "copilot"), default="semantic")
    evaluate.add_argument("--no-controls", action="store_true", help="leave out the two controls")
    evaluate.add_argument("--no-sampled", action="store_true", help="score the mean codes only")
    evaluate.add_argument("--seed", type=_seed, metavar="N")
    evaluate.add_argument("--json", type=Path, metavar="OUT", help="for programs")
    evaluate.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    evaluate.set_defaults(run=_evaluate)

    track = commands.add_parser("track", help="score disentanglement without labels")
    track.add_argument("model", nargs="?", type=Path, metavar="MODEL")
    track.add_argument("--data", type=Path, metavar="FOLDER", help="pictures; else drawn codes")
    track.add_argument("--directions", choices=DIRECTIONS, default="axes", help="what to score")
    track.add_argument("--fast", action="store_true", help="fewer bases and steps")
    track.add_argument("--seed", type=_seed, metavar="N")
    track.add_argument("--json", type=Path, metavar="OUT", help="for programs")
    track.add_argument("--sheet", type=Path, metavar="OUT.png", help="what each direction does")
    track.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    track.set_defaults(run=_track)

    directions = commands.add_parser("directions", help="list a model's directions, or draw them")
    directions.add_argument("model", nargs="?", type=Path, metavar="MODEL")
    directions.add_argument(
        "--sheet", type=Path, metavar="OUT.png", help="a row for each direction"
    )
    directions.add_argument(
        "--image",
        type=Path,
        action="append",
        default=[],
        metavar="IMAGE",
        help="a picture to move; may be given again. Without: thumbnails, or drawn codes",
    )
    directions.add_argument(
        "--measure", action="store_true", help="measure quality anew, and say what seems to change"
    )
    directions.add_argument(
        "--output", type=Path, metavar="FILE", help="model file with what --measure found"
    )
    directions.add_argument("--steps", type=_steps, default=10, metavar="N", help="diffusion steps")
    directions.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    directions.set_defaults(run=_directions)

    rename = commands.add_parser("rename", help="give a direction of a model file another name")
    rename.add_argument("model", type=Path, metavar="MODEL")
    rename.add_argument("old", metavar="OLD")
    rename.add_argument("new", metavar="NEW")
    rename.add_argument(
        "--labels", nargs=2, metavar=("NEGATIVE", "POSITIVE"), help="what the two ends look like"
    )
    rename.set_defaults(run=_rename)

    prune = commands.add_parser("prune", help="drop directions of a model file")
    prune.add_argument("model", type=Path, metavar="MODEL")
    prune.add_argument("names", nargs="*", metavar="NAME")
    prune.add_argument("--below", type=_effect, metavar="EFFECT", help="those that change less")
    prune.set_defaults(run=_prune)

    for command in (rename, prune):
        command.add_argument(
            "--output", type=Path, metavar="FILE", help="a new model file; else MODEL is replaced"
        )

    commands.add_parser("train", help="train a model; the flags are those of `python -m trainer`")
    return parser


def _steps(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"got '{text}'; expected a whole number from 1 to 1000")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"got '{text}'; expected a number from 0 to 1")
    return value


def _effect(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 2:
        raise argparse.ArgumentTypeError(f"got '{text}'; expected a number above 0, at most 2")
    return value


def _seed(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= value < 2**64:
        raise argparse.ArgumentTypeError(f"got '{text}'; expected a whole number from 0 to 2^64-1")
    return value
