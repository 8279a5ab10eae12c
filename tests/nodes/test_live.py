"""Pictures that follow a slider: they look like the run, keep no model, and the newest wins."""

from __future__ import annotations

import gc
import io
import sys
import threading
import weakref
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from comfyui_cldis.nodes import live as live_module
from comfyui_cldis.nodes.edit import SHOWN, EditSliders
from comfyui_cldis.nodes.graph_key import upstream_key
from comfyui_cldis.nodes.live import LIVE, GoneError, LivePreviews, SupersededError
from comfyui_cldis.nodes.routes import jpeg
from comfyui_cldis.nodes.sockets import LoadedModel


class Previews(LivePreviews):
    """Offers under a key of their own."""

    def show(self, model, latent) -> str:
        self.offer(str(id(latent)), model, latent)
        return self.find(str(id(latent)))["token"]


@pytest.fixture
def fresh(loaded: LoadedModel) -> LoadedModel:
    return LoadedModel(loaded.label, loaded.editable)


def test_the_picture_is_the_tracked_edit_that_a_run_gives(fresh, latent, run) -> None:
    live = Previews()
    token = live.show(fresh, latent)
    edited = run("CLDIS_EditSliders", model=fresh, latent=latent, edits='{"yaw": 1.5}')
    expected = run("CLDIS_Decode", model=fresh, latent=edited, method="tracked")[0]
    found = live.draw(token, {"yaw": 1.5}).movedim(0, -1).float() / 255
    assert (found - expected).abs().max() < 2.5 / 255  # bytes, not floats
    original = live.draw(token, {}).movedim(0, -1).float() / 255
    assert (original - expected).abs().max() > 0.02


def test_an_earlier_edit_is_in_the_picture(fresh, latent, run) -> None:
    live = Previews()
    moved = run("CLDIS_EditDirection", model=fresh, latent=latent, direction="yaw", amount=1.5)
    chained = live.draw(live.show(fresh, moved), {})
    assert torch.equal(chained, live.draw(live.show(fresh, latent), {"yaw": 1.5}))


def test_the_same_latent_keeps_its_token_and_another_gets_its_own(fresh, latent) -> None:
    live = Previews()
    token, other = live.show(fresh, latent), latent[1:]
    assert live.show(fresh, latent) == token != live.show(fresh, other)


def test_no_model_is_kept(loaded, latent) -> None:
    live = Previews()
    model = LoadedModel(loaded.label, loaded.editable)
    token, there = live.show(model, latent), weakref.ref(model)
    live.draw(token, {"yaw": 1})
    del model
    gc.collect()
    assert there() is None
    with pytest.raises(GoneError, match="Move a slider and run"):
        live.draw(token, {"yaw": 1})
    assert len(live) == 0


def test_what_was_never_offered_is_gone_and_what_is_wrong_is_said(fresh, latent) -> None:
    live = Previews()
    with pytest.raises(GoneError):
        live.draw("guess", {})
    with pytest.raises(ValueError, match="'smile' is not in 'tiny"):
        live.draw(live.show(fresh, latent), {"smile": 1})
    bare = SimpleNamespace(sources=())  # it has nothing to draw
    with pytest.raises(GoneError):
        live.show(fresh, bare)


def test_a_run_that_nobody_watched_costs_nothing_and_has_its_picture(fresh, latent) -> None:
    """A browser that runs the same graph finds the node in ComfyUI's cache: it offers no more."""
    graph = {"edit": {"class_type": "CLDIS_EditSliders", "inputs": {"latent": ["encode", 0]}}}
    EditSliders().execute(fresh, latent, '{"yaw": 1}', unique_id="edit", prompt=graph)
    assert not fresh.previews
    token = LIVE.find(upstream_key(graph, "edit", SHOWN))["token"]
    live = Previews()
    expected = live.draw(live.show(fresh, latent), {"yaw": 1})
    assert torch.equal(LIVE.draw(token, {"yaw": 1}), expected)


def test_of_a_list_the_first_item_is_shown(fresh, latent, monkeypatch) -> None:
    graph = {"edit": {"class_type": "CLDIS_EditSliders", "inputs": {"latent": ["many", 0]}}}
    parts = [latent[:2], latent[2:]]
    for index, part in enumerate(parts):
        context = SimpleNamespace(
            get_executing_context=lambda at=index: SimpleNamespace(list_index=at)
        )
        monkeypatch.setitem(sys.modules, "comfy_execution.utils", context)
        EditSliders().execute(fresh, part, "{}", unique_id="edit", prompt=graph)
    assert LIVE.find(upstream_key(graph, "edit", SHOWN))["images"] == 2
    assert len(fresh.previews) == 1


def test_a_run_that_a_name_stops_tells_its_model(fresh, latent) -> None:
    graph = {"edit": {"class_type": "CLDIS_EditSliders", "inputs": {"latent": ["stopped", 0]}}}
    with pytest.raises(ValueError, match="no-such-name"):
        EditSliders().execute(fresh, latent, '{"no-such-name": 1}', "edit", graph)
    assert LIVE.find(upstream_key(graph, "edit", SHOWN))["model"] == fresh.label


def test_a_latent_that_nobody_waits_for_is_not_kept(fresh, latent) -> None:
    live, own = Previews(), latent[:1]
    live.offer("key", fresh, own, is_awaited=False)
    del own
    gc.collect()
    with pytest.raises(GoneError, match="Move a slider and run"):
        live.find("key")
    assert not fresh.previews


def test_a_new_latent_under_a_key_takes_the_place_of_the_old_one(fresh, latent) -> None:
    live = Previews()
    live.offer("key", fresh, latent)
    first = live.find("key")
    assert first == {"token": first["token"], "model": fresh.label, "images": 3}
    live.offer("key", fresh, latent[:1])
    second = live.find("key")
    assert second["token"] != first["token"] and second["images"] == 1 and len(live) == 1
    with pytest.raises(GoneError):
        live.draw(first["token"], {})


def test_two_graphs_that_lead_to_the_same_latent_both_find_it(fresh, latent) -> None:
    """Such as one directly, and one through a node that passes it on."""
    live = Previews()
    live.offer("key", fresh, latent)
    live.offer("other", fresh, latent)
    assert live.find("key") == live.find("other") and len(live) == 1
    live.offer("other", fresh, latent[:1])
    assert live.find("key")["images"] == 3 and live.find("other")["images"] == 1


def test_keys_are_bounded_and_the_newest_stay(fresh, latent) -> None:
    live = Previews()
    for number in range(live_module.MOST_KEYS + 1):
        live.offer(str(number), fresh, latent)
    with pytest.raises(GoneError):
        live.find("0")
    assert live.find("1") == live.find(str(live_module.MOST_KEYS))


def test_previews_are_bounded_and_the_one_used_last_stays(fresh, latent) -> None:
    live = Previews()
    kept = [latent[:1] for _ in range(live_module.MOST + 3)]
    first, second, *_ = [live.show(fresh, each) for each in kept[: live_module.MOST]]
    live.draw(first, {})
    for each in kept[live_module.MOST :]:
        live.show(fresh, each)
    assert len(fresh.previews) == live_module.MOST
    assert first in fresh.previews and second not in fresh.previews


def test_a_preview_that_had_to_go_is_made_again_from_what_comfyui_still_has(fresh, latent) -> None:
    """A run would not do it: it finds the node in ComfyUI's cache, and offers nothing."""
    live = Previews()
    kept = [latent[:1] for _ in range(live_module.MOST + 2)]
    tokens = [live.show(fresh, each) for each in kept]
    assert not fresh.previews.keys() & set(tokens[:2])
    found = live.find(str(id(kept[0])))
    assert found["token"] == tokens[0]
    assert torch.equal(live.draw(tokens[0], {"yaw": 1}), live.draw(tokens[1], {"yaw": 1}))
    assert len(fresh.previews) == live_module.MOST
    gone = next(token for token in tokens if token not in fresh.previews)
    del kept
    gc.collect()
    with pytest.raises(GoneError, match="Move a slider and run"):
        live.draw(gone, {})


def test_offers_are_bounded(fresh, latent) -> None:
    live = Previews()
    kept = [latent[:1] for _ in range(live_module.MOST_OFFERS + 1)]
    for number, each in enumerate(kept):
        live.offer(str(number), fresh, each, is_awaited=False)
    assert len(live) == live_module.MOST_OFFERS
    with pytest.raises(GoneError):
        live.find("0")
    assert live.find("1")["images"] == 1


def test_the_newest_request_wins(fresh, latent) -> None:
    live = Previews()
    token = live.show(fresh, latent)
    started, go_on, results = threading.Event(), threading.Event(), []
    drawing = fresh.previews[token]

    class Slow:
        def draw(self, edits):
            started.set()
            assert go_on.wait(10)
            return drawing.draw(edits)

    fresh.previews[token] = Slow()

    def ask(amount: float) -> None:
        try:
            live.draw(token, {"yaw": amount})
            results.append(amount)
        except SupersededError:
            results.append(None)

    threads = [threading.Thread(target=ask, args=(amount,)) for amount in (1.0, 2.0, 3.0)]
    threads[0].start()
    assert started.wait(10)
    for number, thread in enumerate(threads[1:], start=2):
        thread.start()
        while live.num_requests(token) < number:  # it has taken its place in the queue
            pass
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert sorted(results, key=str) == [1.0, 3.0, None]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_pictures_become_jpegs(channels: int, kind: torch.dtype) -> None:
    pixels = torch.full((channels, 9, 17), 200 if kind == torch.uint8 else 200 / 255, dtype=kind)
    image = Image.open(io.BytesIO(jpeg(pixels)))
    assert (image.format, image.size, image.mode) == ("JPEG", (17, 9), "RGB")
    assert image.getpixel((3, 3)) == (200, 200, 200)
