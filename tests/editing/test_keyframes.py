"""Keyframes: what is read, what is refused, and the amounts between."""

import json

import pytest

from comfyui_cldis.editing.keyframes import (
    MAXIMUM_FRAMES,
    Keyframe,
    amounts_at_frames,
    count_frames,
    keyframes_from,
    parse_keyframes,
)

THERE = (Keyframe(0, {}), Keyframe(4, {"turn": 2.0}))


def values(name, *arguments, **options):
    return [each[name] for each in amounts_at_frames(*arguments, **options)]


def test_amounts_go_from_keyframe_to_keyframe():
    assert values("turn", THERE) == [0, 0.5, 1, 1.5, 2]
    both = (Keyframe(0, {"skin": 1}), Keyframe(2, {"turn": 2}), Keyframe(4, {"turn": 1}))
    assert values("skin", both) == [1, 0.5, 0, 0, 0]  # a direction that is missing is 0
    assert values("turn", both) == [0, 1, 2, 1.5, 1]


def test_amounts_stay_before_the_first_and_after_the_last():
    late = (Keyframe(2, {"turn": 1.0}), Keyframe(3, {"turn": 2.0}))
    assert values("turn", late, 6) == [1, 1, 1, 2, 2, 2]
    assert values("turn", THERE, 3) == [0, 0.5, 1]
    assert values("turn", late[:1]) == [1, 1, 1] and values("turn", late[:1], 2) == [1, 1]


def test_easing_bends_the_way_and_not_the_keyframes():
    smooth = values("turn", THERE, easing="smooth")
    assert smooth[0] == 0 and smooth[2] == 1 and smooth[4] == 2 and smooth[1] < 0.5
    with pytest.raises(ValueError, match="easing is 'bounce'"):
        amounts_at_frames(THERE, easing="bounce")


def test_a_loop_goes_back_to_the_first_keyframe():
    assert values("turn", THERE, loop=True) == [0, 0.5, 1, 1.5, 2, 1.5, 1, 0.5]
    assert values("turn", THERE, 6, loop=True) == [0, 0.5, 1, 1.5, 2, 1]
    late = (Keyframe(1, {}), Keyframe(3, {"turn": 2.0}))
    # From frame 3 to frame 1 of the next round, which is frame 7.
    assert values("turn", late, 6, loop=True) == pytest.approx([0.5, 0, 1, 2, 1.5, 1])
    assert values("turn", late[1:], loop=True) == [2] * 4
    with pytest.raises(ValueError, match="loop has 4 frames and its last keyframe is at frame 4"):
        amounts_at_frames(THERE, 4, loop=True)


def test_the_number_of_frames():
    assert count_frames(THERE) == 5 and count_frames(THERE, 9) == 9
    assert count_frames(THERE, loop=True) == 8
    far = (Keyframe(0, {}), Keyframe(MAXIMUM_FRAMES - 1, {}))
    assert count_frames(far, loop=True) == MAXIMUM_FRAMES
    for frames in (-1, MAXIMUM_FRAMES + 1):
        with pytest.raises(ValueError, match="frames is .*Use 0 to"):
            count_frames(THERE, frames)


def test_keyframes_are_read_and_sorted():
    text = '[{"frame": 4, "edits": {"turn": 2}}, {"edits": {}, "frame": 0.0}]'
    assert parse_keyframes(text) == THERE == keyframes_from(json.loads(text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "keyframes is not valid JSON: Expecting value at line 1, column 1. Write a list"),
        ("[{frame: 0}]", "keyframes is not valid JSON"),
        ("{}", "keyframes is no list of keyframes. Write one such as"),
        ("[]", "keyframes is no list of keyframes. Write one such as"),
        ("[3]", "The keyframe 3 is no object of frame and edits. Write the list"),
        ('[{"frame": 0}]', "is no object of frame and edits"),
        ('[{"frame": 0, "edits": {}, "ease": 1}]', "is no object of frame and edits"),
        ('[{"frame": -1, "edits": {}}]', "A keyframe is at frame -1. Use whole numbers from 0"),
        ('[{"frame": 1.5, "edits": {}}]', "A keyframe is at frame 1.5. Use whole"),
        ('[{"frame": true, "edits": {}}]', "A keyframe is at frame true. Use whole"),
        ('[{"frame": "1", "edits": {}}]', 'A keyframe is at frame "1". Use whole'),
        ('[{"frame": 1e999, "edits": {}}]', "A keyframe is at frame Infinity. Use whole"),
        ('[{"frame": 4096, "edits": {}}]', "A keyframe is at frame 4096. Use whole"),
        ('[{"frame": 0, "edits": []}]', "The edits at frame 0 are no object of directions. Write"),
        ('[{"frame": 0, "edits": {"a": NaN}}]', "amount of direction 'a' is nan. Give a finite"),
        ('[{"frame": 0, "edits": {"a": "1"}}]', "amount of direction 'a' is '1'. Give a number"),
        ('[{"frame": 0, "edits": {"a": 1, "a": 2}}]', "'a' stands twice in one object"),
        (
            '[{"frame": 0, "edits": {}}, {"frame": 0, "edits": {}}]',
            "two keyframes at frame 0",
        ),
    ],
)
def test_keyframes_that_are_refused(text, sentence):
    with pytest.raises(ValueError) as caught:
        parse_keyframes(text)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_json_that_is_nested_too_deeply_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="thousands of brackets"):
        parse_keyframes("[" * 100_000)
