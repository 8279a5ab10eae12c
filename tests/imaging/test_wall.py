"""Pictures on a wall: each where it belongs, the same every time."""

import numpy as np
import pytest
from PIL import Image

from comfyui_cldis.imaging.wall import FRAME, FRAME_WIDTH, picture_wall

RED, BLUE = Image.new("RGB", (32, 32), (255, 0, 0)), Image.new("L", (8, 8), 255)
BOXES = [(20, 30, 64, 48), (120, 40, 20, 20)]


def test_pictures_hang_in_frames_where_they_are_told_to() -> None:
    wall = picture_wall([RED, BLUE], BOXES, (200, 120))
    assert wall.mode == "RGB" and wall.size == (200, 120)
    pixels = np.asarray(wall)
    assert (pixels[30:78, 20:84] == (255, 0, 0)).all()
    assert (pixels[40:60, 120:140] == 255).all()
    assert tuple(pixels[30 - FRAME_WIDTH // 2, 40]) == FRAME
    assert (pixels == np.asarray(picture_wall([RED, BLUE], BOXES, (200, 120)))).all()


def test_a_wall_without_pictures_darkens_to_the_bottom_right() -> None:
    pixels = np.asarray(picture_wall([], [], (60, 40))).astype(int)
    assert (np.diff(pixels, axis=0) <= 0).all() and (np.diff(pixels, axis=1) <= 0).all()
    assert (pixels[0, 0] > pixels[-1, -1] + 20).all()


@pytest.mark.parametrize("box", [(5, 30, 20, 20), (30, 5, 20, 20), (30, 30, 80, 20)])
def test_frames_that_do_not_fit_are_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit on a wall of 100 x 100"):
        picture_wall([RED], [box], (100, 100))
    with pytest.raises(ValueError, match="1 pictures and 0 boxes"):
        picture_wall([RED], [], (100, 100))
