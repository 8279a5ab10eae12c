"""Where a training run started by a node keeps its files: its own folder, and the model it makes.

output/cldis_runs/NAME/                     the run: states, statistics, samples, report
output/cldis_runs/NAME/NAME images/         a batch that came over a link, as PNG files
output/cldis_runs/NAME/published.txt        SHA-256 of each model file this run has put out
models/cldis/NAME.safetensors               the finished model
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ..atomic_write import replacing
from ..file_hash import sha256_of
from ..imaging.reading import read_image
from ..imaging.sheet import to_image
from ..typed_path import expand
from .device_names import is_device
from .images import check_images, to_library
from .model_files import EXTENSION, FOLDER, find_model

RUNS = "cldis_runs"
LONGEST_NAME = 64
NAME = re.compile(r"\w([\w .-]*\w)?")

_put_out: set[Path] = set()  # the models that this session's runs have left in models/cldis
_losses: Counter[Path] = Counter()


@dataclass(frozen=True)
class RunFolder:
    """The places of one run; nothing is made before it is needed.

    Attributes:
        name: as given to the node.
        folder: of the run, in ComfyUI's output folder.
        model: the file in models/cldis.
    """

    name: str
    folder: Path
    model: Path

    @property
    def images(self) -> Path:
        """Its last part is what the model file calls the data."""
        return self.folder / f"{self.name} images"

    @property
    def published(self) -> Path:
        return self.folder / "published.txt"


def check_name(name: str) -> None:
    """Raises ValueError unless `name` can name a folder and a file on any system."""
    if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        raise ValueError(
            f"The name '{name}' cannot name a file. Use up to {LONGEST_NAME} letters, digits, "
            "spaces, dots, - or _, with a letter or digit at both ends."
        )
    if is_device(name):
        raise ValueError(
            f"The name '{name}' cannot name a file: Windows takes it for a device. Choose another "
            "name."
        )


def open_run(name: str) -> RunFolder:
    """The places of the run `name`.

    Raises:
        ValueError: a name that cannot be a file's.
        RuntimeError: without ComfyUI, which says where the folders are.
    """
    check_name(name)
    paths = _folder_paths()
    return RunFolder(
        name,
        Path(paths.get_output_directory(), RUNS, name),
        Path(paths.models_dir, FOLDER, name + EXTENSION),
    )


def find_data(text: str, built_in: Collection[str]) -> str:
    """What the input `folder` means: one of the `built_in` data sets, else an absolute path.

    Raises: FileNotFoundError naming the place that was looked at.
    """
    if text in built_in:
        return text
    folder = _folder_paths().get_input_directory()
    path = Path(folder, expand(text.strip(), folder))
    if not path.exists():
        raise FileNotFoundError(
            f"There is no folder or file {path}. Give a folder or .zip of images, by its whole "
            f"path or as it is called in ComfyUI's input folder, or one of {', '.join(built_in)}."
        )
    return str(path)


def keep_images(run: RunFolder, images: Tensor, has_started: bool) -> None:
    """Write a batch into the run's folder, or see that the same batch is there.

    Args:
        images: ComfyUI's (B, H, W, C) in [0, 1].
        has_started: whether the run has a state, so that its images must stay.

    Raises:
        ValueError: fewer than two images, broken ones, or others than the run was started with.
    """
    check_images(images)
    if len(images) < 2:
        raise ValueError(
            f"images holds {len(images)} image; training needs at least 2, and some hundreds to "
            "learn something. Make a batch of more, or give a folder."
        )
    if run.images.is_dir():
        if _holds(run.images, images):
            return
        if has_started:
            raise ValueError(
                f"The run '{run.name}' was started with other images than these "
                f"{len(images)}. Connect the same batch, or choose another name."
            )
        shutil.rmtree(run.images)
    part = run.folder / "images.part"  # so that half a batch never passes for a whole one
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for file_name, image in _images(images):
        image.save(part / file_name)
    os.replace(part, run.images)


def check_free(run: RunFolder) -> None:
    """Raises FileExistsError when the model's name belongs to a file this run has not made."""
    try:
        found = find_model(run.model.name)
    except FileNotFoundError:
        found = run.model  # in the folder, but perhaps not listed yet
    if not found.is_file():
        return
    is_elsewhere = found.resolve() != run.model.resolve()
    if is_elsewhere or sha256_of(found) not in _published(run):
        raise FileExistsError(
            f"{found} is there already, and it is not as the run '{run.name}' made it. Choose "
            "another name, or move that file away; CLDis Load Model opens it as it is."
        )


def publish(run: RunFolder, trained: Path) -> None:
    """Copy the trained model to models/cldis in one move, unless it is there already."""
    _put_out.add(run.model)
    digest = sha256_of(trained)
    if run.model.is_file() and sha256_of(run.model) == digest:
        return
    run.model.parent.mkdir(parents=True, exist_ok=True)
    # Noted first: killed in between, the run knows the file all the same.
    with open(run.published, "a", encoding="ascii") as file:
        file.write(digest + "\n")
    with replacing(run.model) as temporary:
        shutil.copyfile(trained, temporary)


def num_losses(run: RunFolder) -> int:
    """How often the model that this session has published was found to have been deleted since."""
    if run.model in _put_out and not run.model.is_file():
        _put_out.remove(run.model)
        _losses[run.model] += 1
    return _losses[run.model]


def _images(images: Tensor) -> Iterator[tuple[str, Image.Image]]:
    """File names and 8-bit RGB images of a batch, in its order."""
    for index in range(len(images)):
        pixels = to_library(images[index : index + 1], 3, "the trainer")
        yield f"{index:05d}.png", to_image(pixels[0])


def _holds(folder: Path, images: Tensor) -> bool:
    """Whether the folder holds just this batch, pixel by pixel."""
    if len(list(folder.iterdir())) != len(images):
        return False
    for file_name, image in _images(images):
        try:
            stored = read_image(folder / file_name).image
        except (OSError, ValueError):
            return False
        if not np.array_equal(np.asarray(stored), np.asarray(image)):
            return False
    return True


def _published(run: RunFolder) -> set[str]:
    if not run.published.is_file():
        return set()
    return set(run.published.read_text(encoding="ascii", errors="replace").split())


def _folder_paths():
    """ComfyUI's `folder_paths`."""
    found = sys.modules.get("folder_paths")
    if found is None:
        raise RuntimeError(
            "CLDis Train keeps its files in ComfyUI's folders, and ComfyUI is not there. "
            "Run it in ComfyUI, or use the command `cldis train`."
        )
    return found
