"""The node that shows an image before and after."""

from __future__ import annotations

import pytest
import torch

from tests.pretended_device import DEVICE, pretended


def test_layouts(run, images) -> None:
    after = images.flip(1)
    given = {"before": images, "after": after}
    assert run("CLDIS_Compare", **given).shape == (3, 24, 82, 3)
    split = run("CLDIS_Compare", layout="split", split=0.25, **given)
    assert torch.equal(split[:, :, :10], images[:, :, :10])
    assert torch.equal(split[:, :, 11:], after[:, :, 11:])
    assert float(run("CLDIS_Compare", before=images, after=images, layout="difference").max()) == 0


def test_sizes_batches_and_channels_are_brought_together(run, images) -> None:
    large = torch.nn.functional.interpolate(images.movedim(-1, 1), scale_factor=3).movedim(1, -1)
    found = run("CLDIS_Compare", before=images, after=large[:1], layout="difference")
    assert found.shape == images.shape and float(found[0].mean()) < 0.2
    grey = run("CLDIS_Compare", before=images[:1, ..., :1], after=large)
    assert grey.shape == (3, 24, 82, 3)
    assert torch.equal(grey[1, :, :40], images[0, ..., :1].expand(-1, -1, 3))


@pytest.mark.parametrize("layout", ["side by side", "split", "difference"])
def test_images_on_two_devices_meet_on_that_of_the_first(run, images, layout) -> None:
    wanted = run("CLDIS_Compare", before=images, after=images[:1], layout=layout)
    with pretended():
        far = images[:1].to(DEVICE)
        found = run("CLDIS_Compare", before=images, after=far, layout=layout)
        assert found.device.type == "cpu" and torch.equal(found, wanted)
        other = run("CLDIS_Compare", before=far, after=images, layout=layout)
        assert other.device.type == DEVICE


def test_inputs_are_not_changed(run) -> None:
    before, after = torch.rand(2, 1, 120, 120, 3)
    copies = before.clone(), after.clone()
    for layout in ("side by side", "split", "difference"):
        run("CLDIS_Compare", before=before, after=after, layout=layout)
    assert torch.equal(before, copies[0]) and torch.equal(after, copies[1])


def test_what_is_refused(run, images) -> None:
    with pytest.raises(ValueError, match="before has 3 images and after 2. Connect as many"):
        run("CLDIS_Compare", before=images, after=images[:2])
    with pytest.raises(ValueError, match="layout is 'x'. Use one of: side by side"):
        run("CLDIS_Compare", before=images, after=images, layout="x")
    with pytest.raises(ValueError, match="image has shape"):
        run("CLDIS_Compare", before=images[0], after=images)
