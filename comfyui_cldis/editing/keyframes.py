"""Edits at some frames of an animation, and what they are at all frames."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any, SupportsIndex

from ..typed_json import read_json
from .direction import check_amount
from .easing import eased

MAXIMUM_FRAMES = 4096
EXAMPLE = '[{"frame": 0, "edits": {}}, {"frame": 12, "edits": {"name": 1.5}}]'


@dataclass(frozen=True)
class Keyframe:
    """Edits at one frame.

    Attributes:
        frame: number of the frame, from 0.
        edits: direction name -> amount, as `pipeline.edit` takes them; one that is missing is 0.
    """

    frame: int
    edits: Mapping[str, float]


def parse_keyframes(text: str) -> tuple[Keyframe, ...]:
    """Reads a JSON list of objects {"frame": number, "edits": {direction: amount}}.

    Returns:
        At least one keyframe, in the order of their frames.

    Raises:
        ValueError: text that is none such, a frame or a name given twice, or a number that is out
            of range.
    """
    found = read_json(
        text,
        "keyframes",
        f"Write a list such as {EXAMPLE}.",
        lambda key: f"'{key}' stands twice in one object of keyframes. Keep one of them.",
    )
    if not isinstance(found, list) or not found:
        raise ValueError(f"keyframes is no list of keyframes. Write one such as {EXAMPLE}.")
    return keyframes_from(found)


def keyframes_from(items: Sequence[Any]) -> tuple[Keyframe, ...]:
    """The same from mappings in the place of text."""
    keyframes = sorted((_keyframe(item) for item in items), key=lambda each: each.frame)
    if not keyframes:
        raise ValueError(f"There are no keyframes. Give at least one, such as {EXAMPLE}.")
    for before, after in zip(keyframes, keyframes[1:], strict=False):
        if before.frame == after.frame:
            raise ValueError(f"There are two keyframes at frame {after.frame}. Keep one of them.")
    return tuple(keyframes)


def count_frames(keyframes: Sequence[Keyframe], frames: int = 0, *, loop: bool = False) -> int:
    """How many frames there are.

    Args:
        frames: 0: until the last keyframe, and in a loop back again, as long as the way from the
            last but one.

    Raises:
        ValueError: a number out of range, or a loop that ends before its last keyframe.
    """
    last = keyframes[-1].frame
    if not 0 <= frames <= MAXIMUM_FRAMES:
        raise ValueError(f"frames is {frames}. Use 0 to {MAXIMUM_FRAMES}.")
    if loop and len(keyframes) > 1:
        if 0 < frames <= last:
            raise ValueError(
                f"The loop has {frames} frames and its last keyframe is at frame {last}. Use more "
                "than that, so that it can go back to the first."
            )
        return frames or min(last + last - keyframes[-2].frame, MAXIMUM_FRAMES)
    return frames or last + 1


def amounts_at_frames(
    keyframes: Sequence[Keyframe], frames: int = 0, *, easing: str = "linear", loop: bool = False
) -> list[dict[str, float]]:
    """The edits at each frame.

    Between two keyframes every amount goes from the one to the other. Before the first and after
    the last it stays; in a loop it goes on from the last to the first, which would come again
    right after the end.

    Args:
        keyframes: in the order of their frames, as `keyframes_from` gives them.
        frames: see `count_frames`.
        easing: one of `EASINGS`, from keyframe to keyframe.

    Returns:
        One mapping for each frame, each with all directions.

    Raises:
        ValueError: as `count_frames`, or an unknown easing.
    """
    eased(0, easing)
    count = count_frames(keyframes, frames, loop=loop)
    names = list(dict.fromkeys(name for each in keyframes for name in each.edits))
    track = list(keyframes)
    if loop:
        first, last = keyframes[0], keyframes[-1]
        track.insert(0, Keyframe(last.frame - count, last.edits))
        track.append(Keyframe(first.frame + count, first.edits))
    places = [each.frame for each in track]
    return [_between(track, places, frame, names, easing) for frame in range(count)]


def _between(
    track: Sequence[Keyframe], places: Sequence[int], frame: int, names: list[str], easing: str
) -> dict[str, float]:
    after = bisect_right(places, frame)
    start, end = track[max(after - 1, 0)], track[min(after, len(track) - 1)]
    length = end.frame - start.frame
    share = eased((frame - start.frame) / length, easing) if length else 0.0
    return {
        name: (1 - share) * start.edits.get(name, 0.0) + share * end.edits.get(name, 0.0)
        for name in names
    }


def _keyframe(item: Any) -> Keyframe:
    if not isinstance(item, Mapping) or item.keys() != {"frame", "edits"}:
        shown = json.dumps(item, default=repr)[:60]
        raise ValueError(
            f"The keyframe {shown} is no object of frame and edits. Write the list such as "
            f"{EXAMPLE}."
        )
    frame, edits = item["frame"], item["edits"]
    if isinstance(frame, float) and frame.is_integer():
        frame = int(frame)
    if isinstance(frame, SupportsIndex) and not isinstance(frame, bool):
        frame = index(frame)
    if type(frame) is not int or not 0 <= frame < MAXIMUM_FRAMES:
        raise ValueError(
            f"A keyframe is at frame {json.dumps(frame, default=repr)[:40]}. Use whole numbers "
            f"from 0 to {MAXIMUM_FRAMES - 1}."
        )
    if not isinstance(edits, Mapping):
        raise ValueError(
            f"The edits at frame {frame} are no object of directions. Write the list such as "
            f"{EXAMPLE}."
        )
    return Keyframe(frame, {name: check_amount(name, amount) for name, amount in edits.items()})
