"""Content tracking from end to end: what is drawn, in which order, and how far things are moved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TypeVar

import torch
from torch import Tensor

from ..diffusion.noise import MAXIMUM_SEED
from ..editing.code_path import CodePath
from ..editing.editable import EditableModel
from .calibration import Step, find_step
from .flow import Flow, flow_method
from .generator import Generator, RendererGenerator
from .matching import assignment_solver
from .meter import Meter, Path
from .model import Images, bases_from_images, bases_from_prior, model_paths, model_vectors
from .result import Tracking
from .scoring import Observation, score
from .settings import TrackingSettings
from .vectors import Vectors, axis_vectors, stack_vectors

CALIBRATION_BASES = 4
FRAME_BASES = 3  # bases on which monotonicity is evaluated
FRAMES = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the calibrated step
STAGES = ("encode", "calibrate", "measure", "frames", "coverage")

OnProgress = Callable[[str, float], object]  # one of STAGES, and the fraction of it that is done
Trajectory = Callable[[Tensor], Tensor]
_Item = TypeVar("_Item")


def track(
    model: EditableModel,
    images: Images | None = None,
    settings: TrackingSettings | None = None,
    seed: int = 0,
    *,
    vectors: Vectors | None = None,
    on_progress: OnProgress | None = None,
) -> Tracking:
    """Score how well a model's code is disentangled, without labels.

    With B bases it draws about 2 B + 40 images for each active direction. Equal arguments give
    equal numbers on one device; the global random states are not touched.

    Args:
        images: images at the model's size, float (n, C, S, S) in [-1, 1] or uint8 (n, S, S, C);
            the seed picks bases and images for A. None draws codes from the model's statistics,
            and A is the figure that its file records.
        seed: 0 to 2^64 - 1.
        vectors: name -> direction in standard deviations, in place of `settings.directions`.
        on_progress: an exception raised in it cancels and passes through.

    Raises:
        ValueError: wrong images, directions or seed; a model that does not draw images.
        ModuleNotFoundError: OpenCV or SciPy is missing.
    """
    settings = settings or TrackingSettings()
    check_seed(seed)
    _check_packages(settings)  # before anything is drawn
    paths: Mapping[str, CodePath] = {}
    if vectors is None:
        vectors = model_vectors(model, settings.directions)
        paths = model_paths(model, settings.directions)
    if on_progress is not None:
        on_progress("encode", 0.0)
    if images is None:
        generator = bases_from_prior(model, settings, seed)
    else:
        generator = bases_from_images(model, images, settings, seed)
    if on_progress is not None:
        on_progress("encode", 1.0)
    return measure(generator, vectors, settings, seed, paths=paths, on_progress=on_progress)


def track_renderer(
    render: Callable[[Tensor], Tensor],
    codes: Tensor,
    settings: TrackingSettings | None = None,
    seed: int = 0,
    *,
    deviations: Tensor | None = None,
    vectors: Vectors | None = None,
    coverage: float | None = None,
    on_progress: OnProgress | None = None,
) -> Tracking:
    """The same for any deterministic function from codes (n, N) to images (n, 1 or 3, H, W).

    Args:
        codes: base codes (m, N), of which the first `settings.num_bases` are used.
        deviations: (N,), standard deviations of the codes over the data; 1 without them.
        vectors: name -> direction in standard deviations; the axes without them.
        coverage: A in [0, 1]; without it only `separation` is known.
    """
    settings = settings or TrackingSettings()
    check_seed(seed)
    generator = RendererGenerator(
        render, codes[: settings.num_bases], deviations=deviations, coverage=coverage
    )
    vectors = vectors or axis_vectors(generator.num_codes)
    return measure(generator, vectors, settings, seed, on_progress=on_progress)


def measure(
    generator: Generator,
    vectors: Vectors,
    settings: TrackingSettings,
    seed: int = 0,
    *,
    paths: Mapping[str, CodePath] | None = None,
    method: Flow | None = None,
    on_progress: OnProgress | None = None,
) -> Tracking:
    """The score of a generator's directions; see `track`.

    Args:
        paths: of directions that are bent, by name: their steps follow the path, their shares of
            the pseudo-factors are those of the vector, its straight approximation.
        method: a deterministic flow method of your own in place of `settings.flow`.
    """
    matrix = stack_vectors(vectors, generator.num_codes)
    trajectories = [
        _trajectory(vector, (paths or {}).get(name))
        for name, vector in zip(vectors, matrix, strict=True)
    ]
    meter = Meter(generator, method or flow_method(settings.flow))
    report = on_progress or _ignore
    steps = [
        _calibrate(meter, trajectory, settings.target_change)
        for trajectory in _counted(trajectories, report, "calibrate")
    ]
    active = [index for index, step in enumerate(steps) if step.is_active]
    pairs = {
        index: meter.pairs(generator.num_bases, _ends(trajectories[index], steps[index].amount))
        for index in _counted(active, report, "measure")
    }
    frames = [
        _frames(meter, trajectories[index], step)
        for index, step in _counted(list(enumerate(steps)), report, "frames")
    ]
    report("coverage", 0.0)
    coverage = generator.coverage(seed)
    report("coverage", 1.0)
    used = asdict(settings) | {"seed": seed, "num_bases": generator.num_bases}
    return score(
        [
            Observation(
                name,
                matrix[index].double().numpy(),
                steps[index],
                amounts=tuple(part * steps[index].amount for part in FRAMES),
                pairs=pairs.get(index),
                paths=frames[index],
            )
            for index, name in enumerate(vectors)
        ],
        coverage=coverage,
        version=settings.version,
        seed=seed,
        settings=used if method is None else used | {"flow": "given"},
        num_images=meter.num_images,
    )


def _trajectory(vector: Tensor, path: CodePath | None) -> Trajectory:
    """Amounts (F,) -> displacements (F, N) of a direction: along its path, else its vector (N,)."""
    if path is None:
        return lambda amounts: amounts[:, None] * vector
    return lambda amounts: torch.tensor([path.displacement(float(a)) for a in amounts])


def _calibrate(meter: Meter, trajectory: Trajectory, target: float) -> Step:
    num_bases = min(CALIBRATION_BASES, meter.generator.num_bases)
    return find_step(lambda amount: meter.change(num_bases, _ends(trajectory, amount)), target)


def _frames(meter: Meter, trajectory: Trajectory, step: Step) -> list[Path]:
    """Frames along a direction; of one that is not active one base is enough to see that."""
    num_bases = min(FRAME_BASES, meter.generator.num_bases) if step.is_active else 1
    shifts = trajectory(torch.tensor(FRAMES) * step.amount)
    return [meter.path(item, shifts) for item in range(num_bases)]


def _ends(trajectory: Trajectory, amount: float) -> Tensor:
    """Displacements (2, N) at -amount and at +amount."""
    return trajectory(torch.tensor([-amount, amount]))


def _counted(items: Sequence[_Item], report: OnProgress, stage: str) -> Iterator[_Item]:
    """The items; reports before the first and after each."""
    report(stage, 0.0)
    for index, item in enumerate(items):
        yield item
        report(stage, (index + 1) / len(items))
    if not items:
        report(stage, 1.0)


def _check_packages(settings: TrackingSettings) -> None:
    """Raises ModuleNotFoundError when a package that these settings need is missing."""
    flow_method(settings.flow)
    if settings.version > 1:
        assignment_solver()


def check_seed(seed: int) -> None:
    """Raises a ValueError for a seed that `track` does not take."""
    if not 0 <= seed <= MAXIMUM_SEED:
        raise ValueError(f"The seed is {seed}. Use 0 to {MAXIMUM_SEED}.")


def _ignore(stage: str, fraction: float) -> None:
    pass
