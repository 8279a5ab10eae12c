"""The figures of a model as a whole."""

import pytest
import torch

from trainer.model_quality import explained_by_code, explained_variance


def test_what_the_code_does_not_hold_counts_once_however_it_is_made_up():
    """Images of which the code holds 60 %, and draws that make up the rest as a perfect sampler."""
    generator = torch.Generator().manual_seed(0)
    held, rest, *others = torch.randn(4, 64, 3, 32, 32, generator=generator)
    images = 0.6**0.5 * held + 0.4**0.5 * rest
    draws = [0.6**0.5 * held + 0.4**0.5 * other for other in others]
    mean = torch.zeros(3, 32, 32)
    assert explained_by_code(images, (draws[0], draws[1]), mean) == pytest.approx(0.6, abs=0.01)
    assert explained_variance(images, draws[0], mean) == pytest.approx(0.2, abs=0.01)
    exact = (images, images)
    assert explained_by_code(images, exact, mean) == 1
