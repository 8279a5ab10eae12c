"""Flow methods, and the edge image that they look at."""

import sys

import numpy as np
import pytest
import torch

pytest.importorskip("cv2")

from comfyui_cldis.imaging.lab import to_lab
from comfyui_cldis.tracking.flow import FLOWS, dense_flow, edge_image, flow_method, near_edges


def texture(seed: int = 0) -> torch.Tensor:
    """A smooth random image as CIELAB (1, 3, 48, 48)."""
    noise = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return to_lab(torch.nn.functional.interpolate(noise, size=48, mode="bicubic").clamp(-1, 1))


@pytest.mark.parametrize("name", FLOWS)
def test_a_shift_is_found_in_pixels_of_the_image(name):
    first = texture()
    second = first.roll((3, -2), dims=(3, 2))  # 3 to the right, 2 up
    flow = dense_flow(flow_method(name), edge_image(first), edge_image(second))
    assert flow.shape == (1, 2, 48, 48)
    inner = flow[0, :, 10:-10, 10:-10].flatten(1).median(dim=1).values
    assert inner.tolist() == pytest.approx([3.0, -2.0], abs=0.15)


@pytest.mark.parametrize("name", FLOWS)
def test_flow_repeats_and_does_not_depend_on_the_threads(name):
    cv2 = pytest.importorskip("cv2")
    first, second = edge_image(texture()), edge_image(texture(seed=1))
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        flows = [dense_flow(flow_method(name), first, second)]
        assert cv2.getNumThreads() == 2  # left as it was
        cv2.setNumThreads(1)
        method = flow_method(name)
        flows += [dense_flow(method, first, second), dense_flow(method, first, second)]
    finally:
        cv2.setNumThreads(before)
    assert torch.equal(flows[0], flows[1]) and torch.equal(flows[1], flows[2])


def test_edges_stay_where_they_are_when_hues_change():
    # Red beside blue, and yellow beside green: other colours, the same edge.
    images = torch.full((2, 3, 32, 32), -1.0)
    images[0, 0, :, :16], images[0, 2, :, 16:] = 1.0, 1.0
    images[1, :2, :, :16], images[1, 1, :, 16:] = 1.0, 1.0
    edges = edge_image(to_lab(images))
    assert edges.shape == (2, 64, 64) and edges.dtype == np.uint8
    for strength in edges:
        row = strength[32]
        assert row[31] == row[32] == 255 and not row[:26].any() and not row[38:].any()


def test_edge_strength_of_a_ramp():
    # L rises by 10 per pixel: sqrt(10 / 40) of 255.
    lab = torch.zeros(1, 3, 16, 16)
    lab[:, 0] = torch.arange(16.0) * 10
    assert edge_image(lab)[0, 16, 16] == round(255 * 0.5)


def test_near_an_edge_means_within_a_few_pixels():
    lab = torch.zeros(2, 3, 64, 64)
    lab[0, 0, :, 30:] = 60.0  # one upright edge, between columns 29 and 30
    near = near_edges(edge_image(lab))
    columns = set(near[0, 5].nonzero().flatten().tolist())
    assert set(range(27, 33)) <= columns <= set(range(25, 35))
    assert not near[1].any()


def test_unknown_method_names_the_known_ones():
    with pytest.raises(ValueError, match="'raft'.*dis, farneback"):
        flow_method("raft")


def test_missing_opencv_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ModuleNotFoundError, match="pip install opencv-python-headless") as e:
        flow_method("dis")
    assert e.value.name == "opencv-python-headless"
