"""Dense optical flow between two images: a registry of methods, OpenCV's DIS by default.

A method takes two 8-bit images of edges (see `edge_image`) and says where each pixel of the
first lies in the second. Methods must be deterministic.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# first, second (H, W) uint8 -> (H, W, 2) float32, x then y, in pixels: first(p) ~ second(p + f(p)).
Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]

ENLARGEMENT = 2  # flow is found on images this many times larger: small parts move by subpixels
FULL_GRADIENT = 40.0  # CIELAB units per pixel that an edge of full strength has
# Motion counts where there is something to follow: an edge of this strength, in [0, 1], within this
# many pixels. Elsewhere flow only continues what it found at the nearest edge.
EDGE_STRENGTH, EDGE_REACH = 0.15, 2


def edge_image(lab: Tensor) -> np.ndarray:
    """Where the edges are, whatever the hues on their two sides.

    The square root of the length of the CIELAB gradient: it keeps edges between equally bright
    colours, and a change of hue alters an edge's strength but not its place.

    Args:
        lab: (n, 3, H, W).

    Returns:
        (n, ENLARGEMENT * H, ENLARGEMENT * W) uint8, 0 where nothing changes across the pixel.
    """
    large = functional.interpolate(
        lab, scale_factor=ENLARGEMENT, mode="bicubic", align_corners=False
    )
    padded = functional.pad(large, (1, 1, 1, 1), mode="replicate")
    across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) * (ENLARGEMENT / 2)
    down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) * (ENLARGEMENT / 2)
    length = (across.square() + down.square()).sum(1).sqrt()
    strength = (length / FULL_GRADIENT).clamp(0, 1).sqrt()
    return strength.mul(255).round().to(torch.uint8).numpy()


def dense_flow(method: Flow, first: np.ndarray, second: np.ndarray) -> Tensor:
    """Flow from each of the first images to its second, in pixels of the images.

    Args:
        first, second: edge images (n, ENLARGEMENT * H, ENLARGEMENT * W).

    Returns:
        (n, 2, H, W), x then y: first(p) ~ second(p + f(p)).
    """
    with _one_thread():
        found = np.stack([method(a, b) for a, b in zip(first, second, strict=True)])
    flow = torch.from_numpy(found).float().permute(0, 3, 1, 2) / ENLARGEMENT  # (n, 2, 2H, 2W)
    return functional.avg_pool2d(flow, ENLARGEMENT)


def near_edges(edges: np.ndarray) -> Tensor:
    """Where edge images have an edge within EDGE_REACH pixels: (n, H, W) bool."""
    strength = functional.avg_pool2d(torch.from_numpy(edges).float(), ENLARGEMENT)
    window = 2 * EDGE_REACH + 1
    nearby = functional.max_pool2d(strength[:, None], window, stride=1, padding=EDGE_REACH)
    return nearby[:, 0] > EDGE_STRENGTH * 255


def dis() -> Flow:
    """OpenCV's dense inverse search, preset fast: as good here as medium, six times as quick.

    Source: Kroeger et al. 2016 (arXiv:1603.03590).
    """
    cv2 = _opencv()
    finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def find(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return finder.calc(first, second, None)

    return find


def farneback() -> Flow:
    """OpenCV's polynomial expansion, three pyramid levels, windows of 15 pixels.

    Source: Farnebäck 2003 (SCIA).
    """
    cv2 = _opencv()
    finder = cv2.FarnebackOpticalFlow_create(numLevels=3, winSize=15, numIters=5)

    def find(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return finder.calc(first, second, None)

    return find


FLOWS: dict[str, Callable[[], Flow]] = {"dis": dis, "farneback": farneback}


def flow_method(name: str) -> Flow:
    """The registered method of that name, ready to use.

    Raises:
        ValueError: no such method; the message lists those there are.
        ModuleNotFoundError: it needs a package that is not installed.
    """
    if name not in FLOWS:
        raise ValueError(f"The flow method is '{name}'. Use one of: {', '.join(FLOWS)}.")
    return FLOWS[name]()


def _opencv() -> Any:
    try:
        import cv2
    except ModuleNotFoundError as error:
        if error.name != "cv2":
            raise
        raise ModuleNotFoundError(
            "Content tracking finds motion with OpenCV, which is not installed. Run: python -m pip "
            "install opencv-python-headless",
            name="opencv-python-headless",
        ) from error
    return cv2


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV on one thread: DIS gives each thread a stripe, so their number could matter."""
    cv2 = sys.modules.get("cv2")
    if cv2 is None:  # a method that does without
        yield
        return
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
