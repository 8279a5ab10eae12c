"""`cldis import-diffae` and `parity`: models of the published Diff-AE code, and how exact."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING

from ..typed_path import typed_path
from ..wording import command_line
from .arguments import add_device
from .loading import load_model
from .terminal import complain, share_bar

if TYPE_CHECKING:
    from pathlib import Path

    from .arguments import Commands

OUT_OF_TOLERANCE = 1  # exit code


def add_commands(commands: Commands) -> None:
    """Add them to the subparsers of `cldis`."""
    imported = commands.add_parser("import-diffae", help="make a model file of a Diff-AE")
    imported.add_argument("checkpoint", type=typed_path, metavar="LAST.ckpt")
    imported.add_argument(
        "--latent", type=typed_path, metavar="LATENT.pkl", help="the codes of its training images"
    )
    imported.add_argument("--output", type=typed_path, metavar="M.safetensors", required=True)
    imported.set_defaults(run=_import)

    parity = commands.add_parser("parity", help="compare a model with arrays of the original code")
    parity.add_argument("model", type=typed_path, metavar="MODEL")
    parity.add_argument("references", type=typed_path, metavar="IO.safetensors")
    parity.add_argument("--json", action="store_true", help="for programs")
    add_device(parity)
    parity.set_defaults(run=_parity)


def _import(options: argparse.Namespace) -> int:
    from ..editing.editable import ASSUMED
    from ..importing import import_diffae

    _check_output(options.output)
    start = time.perf_counter()
    with share_bar() as on_progress:
        imported = import_diffae(
            options.checkpoint, options.output, latent=options.latent, on_progress=on_progress
        )
    config = imported.model.networks.config
    if imported.statistics == ASSUMED:
        complain(
            f"Note: {options.checkpoint.name} has no statistics of its code; amounts are in units "
            "of the code itself. Give --latent, or let `cldis navigate` measure them on --data."
        )
    for assumed in imported.architecture.assumed:
        complain(f"Note: the file does not say so, taken as in the published runs: {assumed}.")
    print(
        f"wrote {options.output} ({config.image_size} x {config.image_size} pixels, "
        f"{config.latent_dim} scalars) in {time.perf_counter() - start:.1f} s"
    )
    words = ("cldis", "navigate", options.output, "--data", "FOLDER", "--output", "NEW")
    print(
        "It has no directions yet: put it into ComfyUI's models/cldis after "
        f"`{command_line(*words)}`."
    )
    return 0


def _check_output(path: Path) -> None:
    """Refuse a file that could not be written, before a large one is read."""
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"--output {path} does not end in .safetensors. Choose such a name.")
    if path.exists():
        raise ValueError(f"The output {path} is there already. Choose another name.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"--output {path} is in no folder that exists. Create it first.")


def _parity(options: argparse.Namespace) -> int:
    from ..importing.parity import compare, read_references

    references = read_references(options.references)
    model = load_model(options.model, options.device)
    with share_bar() as on_progress:
        results = compare(model, references, lambda name: on_progress(name, 0.0))
    if options.json:
        rows = [
            {
                "array": each.name,
                "max_abs_error": each.error if each.error == each.error else None,
                "tolerance": each.tolerance,
                "within": each.is_within,
            }
            for each in results
        ]
        print(json.dumps(rows, indent=2))
    else:
        width = max(len(each.name) for each in results)
        print(f"{'array':<{width}}  max abs error  tolerance")
        for each in results:
            verdict = "" if each.is_within else "  beyond it"
            print(f"{each.name:<{width}}  {each.error:13.2e}  {each.tolerance:9.0e}{verdict}")
    return 0 if all(each.is_within for each in results) else OUT_OF_TOLERANCE
