"""Images that were replaced are noticed, wherever they lie, and states of before still resume."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from trainer.config.settings import load_preset
from trainer.data.evenly import evenly
from trainer.data.holdout import ImageRows
from trainer.errors import OutputTaken
from trainer.training.fingerprint import Fingerprint
from trainer.training.trainer import Trainer

CONFIG = replace(load_preset("tiny32"), steps=2, batch_size=2)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """1,100: more than are read at a time."""
    return np.random.default_rng(0).integers(0, 256, (1100, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def changed(images) -> np.ndarray:
    """The same but for one in the middle, which the hash of 256 images does not see."""
    some = images.copy()
    assert 541 not in evenly(len(images), 256)
    some[541] = 255 - some[541]
    return some


def of_256(images: np.ndarray) -> str:
    """The fingerprint in states of before 2026-11-28."""
    pixels = images[evenly(len(images), 256)].tobytes()
    return f"{len(images)} images, {hashlib.sha256(pixels).hexdigest()[:12]}"


def test_a_resume_notices_one_image_of_many(images, changed):
    state = Trainer(CONFIG, images).state()
    other = Trainer(CONFIG, changed)
    with pytest.raises(OutputTaken, match="not those the run was started with .1100 images"):
        other.load(state)
    other.load(state, other_images=True)
    assert other.has_other_images
    same = Trainer(CONFIG, ImageRows(images, np.arange(len(images))))
    same.load(state)
    assert not same.has_other_images


def test_a_state_of_before_resumes_and_is_told_from_others_as_before(images):
    trainer = Trainer(CONFIG, images)
    state = {**trainer.state(), "data": of_256(images)}
    trainer.load(state)
    assert not trainer.has_other_images
    assert trainer.state()["data"] != state["data"]  # the next state is of every pixel
    with pytest.raises(OutputTaken, match="Restore them"):
        Trainer(CONFIG, images[::-1]).load(state)


def test_number_order_and_shape_count(images):
    text = Fingerprint(images).text
    assert text == Fingerprint(images.copy()).text and text.startswith("1100 images, ")
    others = (images[:-1], images[::-1], images.reshape(1100, 16, 64, 3))
    assert text not in {Fingerprint(each).text for each in others}
