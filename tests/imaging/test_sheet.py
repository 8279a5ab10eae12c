"""Contact sheets: every image in its place, and wrong rows refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from comfyui_cldis.imaging.sheet import (
    BACKGROUND,
    GAP,
    GROUP_GAP,
    MARGIN,
    Row,
    contact_sheet,
    largest_size,
    to_image,
)


def colours(*values: float, size: int = 16) -> torch.Tensor:
    """One flat grey image (3, size, size) per value."""
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, size, size)


def test_images_lie_in_rows_and_columns_without_labels() -> None:
    rows = [Row("", colours(-1.0, 1.0)), Row("", colours(0.0))]
    sheet = contact_sheet(rows, scale=3)
    side = 16 * 3
    assert sheet.mode == "RGB"
    assert sheet.size == (2 * MARGIN + 2 * side + GAP, 2 * MARGIN + 2 * side + GAP)
    pixels = np.asarray(sheet)
    assert tuple(pixels[0, 0]) == BACKGROUND
    for row, column, value in ((0, 0, 0), (0, 1, 255), (1, 0, 128)):
        top, left = (MARGIN + at * (side + GAP) for at in (row, column))
        tile = pixels[top : top + side, left : left + side]
        assert abs(tile.astype(int) - value).max() <= 1
    empty = pixels[MARGIN + side + GAP + 2 :, MARGIN + side + GAP :]
    assert (empty == BACKGROUND).all()


def test_labels_and_captions_make_room_and_leave_ink() -> None:
    images = colours(0.0, 0.5)
    plain = contact_sheet([Row("", images)])
    labelled = contact_sheet([Row("yaw\nleft ... right", images, ("-1", "+1"))], ["a", "b"])
    assert labelled.width > plain.width
    assert labelled.height > plain.height
    label_side = np.asarray(labelled)[:, : labelled.width - plain.width]
    assert (label_side < 100).any()


@pytest.mark.parametrize("group_size", [None, 2, 5])
@pytest.mark.parametrize("captions", [False, True])
def test_the_size_is_known_before_the_images_are(captions: bool, group_size: int | None) -> None:
    rows = [Row("w" * 99, colours(*[0.0] * 5), ("1",) * 5 * captions) for _ in range(3)]
    labels = ["a"] * 5 if captions else []
    known = {"captions": captions, "column_labels": captions, "group_size": group_size}
    width, height = largest_size(3, 5, 16 * 2, **known)
    sheet = contact_sheet(rows, labels, scale=2, group_size=group_size)
    assert sheet.height == height and 0 <= width - sheet.width < 12  # a letter of the long label


def test_a_line_divides_groups_of_columns() -> None:
    sheet = contact_sheet([Row("", colours(*[0.0] * 5))], scale=1, group_size=2)
    assert sheet.width == 2 * MARGIN + 5 * 16 + 4 * GAP + 2 * GROUP_GAP
    line = np.asarray(sheet)[MARGIN + 8]  # through the images' middle
    is_empty = (line == BACKGROUND).all(axis=1)
    for column in (2, 4):
        end = MARGIN + column * (16 + GAP) + (column // 2 - 1) * GROUP_GAP - GAP
        between = line[end + 1 : end + GAP + GROUP_GAP - 1]
        dark = (between.astype(int) < 150).all(axis=1)
        assert dark.sum() == 1 and abs(int(dark.argmax()) - len(between) // 2) <= 1
    assert is_empty[MARGIN + 16 + 1 : MARGIN + 16 + GAP - 1].all()  # none within a group
    with pytest.raises(ValueError, match="group_size is 0"):
        contact_sheet([Row("", colours(0.0))], group_size=0)


def test_a_long_label_is_shortened() -> None:
    sheet = contact_sheet([Row("very " * 200, colours(0.0))])
    assert sheet.width < 400


def test_grey_images_and_values_outside_the_range() -> None:
    image = to_image(torch.tensor([[[-3.0, 0.0, 3.0]]]))
    assert image.mode == "L"
    assert list(np.asarray(image)[0]) == [0, 128, 255]
    contact_sheet([Row("grey", torch.zeros(2, 1, 8, 8))])


def test_the_images_are_not_changed() -> None:
    images = colours(0.25).clone()
    contact_sheet([Row("x", images)])
    assert torch.equal(images, colours(0.25))


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([], (), "has no rows"),
        ([Row("a", torch.zeros(3, 8, 8))], (), r"Row 'a' has images of shape \(3, 8, 8\)"),
        ([Row("a", torch.zeros(1, 4, 8, 8))], (), "Give .K, 1 or 3"),
        ([Row("a", torch.zeros(0, 3, 8, 8))], (), "Give .K, 1 or 3"),
        (
            [Row("a", colours(0.0)), Row("b", colours(0.0, size=8))],
            (),
            "to one size",
        ),
        ([Row("a", colours(0.0), ("x", "y"))], (), "2 captions for 1 images"),
        ([Row("a", colours(0.0, 1.0))], ("x",), "1 column labels for 2 columns"),
    ],
)
def test_wrong_rows(rows: list[Row], columns: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        contact_sheet(rows, columns)


def test_a_wrong_scale() -> None:
    with pytest.raises(ValueError, match="scale is 0"):
        contact_sheet([Row("a", colours(0.0))], scale=0)
