"""The time left, as a text under a node, with a stand-in for ComfyUI's server and for the clock."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from comfyui_cldis.nodes.remaining import Remaining, duration


class Clock:
    def __init__(self) -> None:
        self.sec = 100.0

    def __call__(self) -> float:
        return self.sec


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def texts(monkeypatch) -> list[tuple[str, str, str]]:
    """What the server was asked to show: text, node, client."""
    sent: list[tuple[str, str, str]] = []
    instance = SimpleNamespace(
        client_id="tab",
        send_progress_text=lambda text, node, client: sent.append((text, node, client)),
    )
    server = SimpleNamespace(PromptServer=SimpleNamespace(instance=instance))
    utils = SimpleNamespace(get_executing_context=lambda: SimpleNamespace(node_id="5:3"))
    monkeypatch.setitem(sys.modules, "server", server)
    monkeypatch.setitem(sys.modules, "comfy_execution.utils", utils)
    return sent


def test_a_long_batch_counts_and_says_the_seconds(texts, clock) -> None:
    remaining = Remaining(8, "image", clock=clock)
    for done in range(1, 9):
        clock.sec += 3
        remaining.show(done)
    remaining.close()
    assert texts[0] == ("2 of 8 images, 18 s left", "5:3", "tab")
    assert [text for text, _, _ in texts[-2:]] == ["7 of 8 images, 3 s left", "8 images in 24 s"]


def test_no_more_than_two_texts_a_second(texts, clock) -> None:
    remaining = Remaining(1000, "step", clock=clock)
    for step in range(1, 1000):
        clock.sec += 0.01
        remaining.show(step)
    assert 14 <= len(texts) <= 16  # of 10 seconds the first 2 are silent


def test_what_is_done_soon_stays_silent(texts, clock) -> None:
    remaining = Remaining(20, "image", clock=clock)
    for done in range(1, 21):
        clock.sec += 0.09
        remaining.show(done)
    remaining.close()
    assert texts == []


def test_a_resumed_run_does_not_take_old_steps_for_speed(texts, clock) -> None:
    remaining = Remaining(2000, "step", clock=clock)
    for step in (1000, 1001, 1002, 1003):
        clock.sec += 1
        remaining.show(step)
    assert texts[0][0] == "1,001 of 2,000 steps, 17 min left"


def test_a_run_that_ends_early_leaves_no_promise(texts, clock) -> None:
    remaining = Remaining(8, "image", clock=clock)
    for done in (1, 2.5):
        clock.sec += 3
        remaining.show(done)
    remaining.close()
    assert texts[-1][0] == "2 of 8 images, stopped"


def test_one_image_shows_the_time_alone(texts, clock) -> None:
    remaining = Remaining(1, "image", clock=clock)
    for done in (0.1, 0.5):
        clock.sec += 4
        remaining.show(done)
    assert texts == [("5 s left", "5:3", "tab")]


@pytest.mark.parametrize("lacking", ["server", "comfy_execution.utils", "client", "method"])
def test_a_core_that_cannot_show_it_is_left_in_peace(texts, clock, monkeypatch, lacking) -> None:
    instance = sys.modules["server"].PromptServer.instance
    if lacking == "client":  # submitted by a program: nobody looks on
        instance.client_id = None
    elif lacking == "method":
        del instance.send_progress_text
    else:
        monkeypatch.delitem(sys.modules, lacking)
    remaining = Remaining(8, "image", clock=clock)
    for done in range(1, 9):
        clock.sec += 3
        remaining.show(done)
    remaining.close()
    assert texts == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (12.4, "12 s"), (99, "99 s"), (240, "4 min"), (4800, "1 h 20 min")],
)
def test_durations(seconds, text) -> None:
    assert duration(seconds) == text
