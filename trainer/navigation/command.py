"""`cldis navigate`: finds directions in a trained model and writes a copy with them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from comfyui_cldis.checkpoint import load_checkpoint, read_header
from comfyui_cldis.checkpoint.rewrite import check_new_file, write_model
from comfyui_cldis.diffusion.noise import MAXIMUM_SEED
from comfyui_cldis.diffusion.samplers import MEASURING_SAMPLER
from comfyui_cldis.editing.editable import EditableModel, are_assumed
from comfyui_cldis.editing.pipeline import encode
from comfyui_cldis.importing.statistics import with_measured
from comfyui_cldis.wording import counted, printable

from ..data import BUILT_IN_SOURCES, open_images
from ..data.evenly import evenly
from ..data.sources import require_source
from ..model_quality import EVALUATION_BASES, INVERSION_STEPS
from ..training.distributed import choose_device
from ..training.signals import stop_on_signals
from . import STEPPED, Basis, ModelSpace, NavigationSettings, Watch, find
from .auto import describe_choice
from .learned import remove_state
from .progress import on_bar
from .result import with_basis
from .search import REPORTING, check_images, check_packages
from .space import spread_images

DRAWN_IMAGES = 128  # where there are none, and the model draws them itself


def run(options: Namespace, log: Callable[[str], None]) -> int:
    """Run the command; 0 when the model is written.

    Raises:
        ValueError, FileNotFoundError: what was given cannot be used.
        KeyboardInterrupt: stopped; its text says how to resume.
    """
    settings = settings_of(options)
    check_output(options.output)
    check_new_file(options.model, options.output)
    if not 0 <= options.seed <= MAXIMUM_SEED:
        raise ValueError(f"--seed is {options.seed}. Use 0 to {MAXIMUM_SEED}.")
    check_packages(settings.finder)
    check_images(settings.finder, options.data is not None)
    header = read_header(options.model)
    if settings.directions > header.latent_dim:
        raise ValueError(
            f"--directions is {settings.directions}, but the code of {options.model.name} has "
            f"{header.latent_dim} dimensions. Ask for {header.latent_dim} or fewer."
        )
    try:
        search(options, settings, log)
    except KeyboardInterrupt as stop:
        if settings.finder in STEPPED:
            raise
        raise KeyboardInterrupt(
            f"Stopped; nothing is written. The finder {settings.finder} begins anew next time."
        ) from stop
    return 0


def search(options: Namespace, settings: NavigationSettings, log: Callable[[str], None]) -> None:
    """Find, measure and write the directions that a command line asks for."""
    model = load_checkpoint(options.model)
    model.networks.to(choose_device(options.device))
    space, origin = open_space(model, options.data, settings, options.seed)
    if space.model is not model:
        log(f"Measured the statistics of the code, which {model.name} did not have, {origin}.")
        model = space.model
    log(f"Looking for directions of {model.name} with the finder {settings.finder}, {origin}.")
    folder = options.output.with_suffix(".navigation")
    basis = find_with_progress(space, settings, options.seed, folder)
    for sentence in describe_choice(basis):
        log(sentence)
    shown = space.images[evenly(len(space.images), EVALUATION_BASES)].cpu()
    bases = encode(model, shown, inversion=MEASURING_SAMPLER, inversion_steps=INVERSION_STEPS)
    facts = {"seed": options.seed, "images": origin}
    if settings.finder in STEPPED:
        facts["steps"] = settings.steps
    with tqdm(total=2 * len(basis.vectors), desc="measuring directions", unit="look") as bar:
        result = with_basis(
            model, space, basis, bases, facts, lambda _: bar.update(), lambda *_: bar.update()
        )
    write_model(options.model, result, options.output)
    if settings.finder in STEPPED:
        remove_state(folder)
    for direction in result.directions:
        share = direction.quality.monotone
        monotone = "" if share is None else f", monotone on {100 * share:.0f} % of the images"
        log(
            f"  {direction.name}: {direction.minimum:+.1f} to {direction.maximum:+.1f} sd, "
            f"effect {direction.effect:.3f}{monotone}"
        )
    if basis.paths is not None:
        bent = sum(direction.path is not None for direction in result.directions)
        log(
            f"{bent} of them are bent: their sliders follow a path, the mean of the curves through "
            f"{basis.paths.shape[1]} codes."
        )
    log(f"Wrote {options.output} with {len(result.directions)} directions.")


def settings_of(options: Namespace) -> NavigationSettings:
    """The settings of a command line. Raises: ValueError."""
    if options.steps is not None and options.finder not in STEPPED:
        raise ValueError(
            f"--steps is given for the finder '{options.finder}', which takes none. Leave it out, "
            f"or use one of {', '.join(STEPPED)}."
        )
    steps = NavigationSettings().steps if options.steps is None else options.steps
    return NavigationSettings(
        finder=options.finder, directions=options.directions, view=options.view, steps=steps
    )


def check_output(path: Path) -> None:
    """Refuse a file that could not be written, before anything is computed."""
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"--output {path} does not end in .safetensors. Choose such a name.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(f"--output {path} is no file in a folder that exists. Choose another.")


def open_space(
    model: EditableModel, data: str | None, settings: NavigationSettings, seed: int
) -> tuple[ModelSpace, str]:
    """The model's code space on images of `data`, or on its own, and in words which.

    The statistics of an imported model that came without any are measured on the images; the
    space's model then has them.

    Raises:
        ValueError, FileNotFoundError: data that cannot be used.
    """
    if data is None:
        space = ModelSpace.of_prior(model, DRAWN_IMAGES, seed, view=settings.view)
        return space, f"on {DRAWN_IMAGES} images that it draws itself"
    require_source(data)
    config = model.networks.config
    # Windows removes no file that is mapped, which an error may leave it
    with TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        found = open_images(
            data,
            config.image_size,
            cache_dir=Path(cache),
            num_images=spread_images(config.latent_dim),
            seed=seed,
            channels=config.in_channels,
            resize=model.facts.training.resize,
        )
        space = ModelSpace.of_data(model, found.images, view=settings.view)
        if are_assumed(model):
            # codes were measured in standard deviations of 1 about 0, so they are raw
            space = space.with_model(with_measured(model, space.spread))
        del found  # or else they would still be mapped
    name = data if data in BUILT_IN_SOURCES else printable(Path(data).name)
    return space, f"on {counted(len(space.spread), 'image')} from {name}"


def find_with_progress(
    space: ModelSpace, settings: NavigationSettings, seed: int, folder: Path | None
) -> Basis:
    """`find`, with a progress line for finders that report; signals stop it after a step."""
    if settings.finder not in REPORTING:
        return find(space, settings, seed)
    with tqdm(desc=settings.finder, unit="step") as bar, stop_on_signals() as stop:
        watch = Watch(on_bar(bar), lambda: stop.requested, folder)
        return find(space, settings, seed, watch)
