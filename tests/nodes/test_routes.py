"""What the server answers the browser, with the status that says what kind of answer it is."""

from __future__ import annotations

import asyncio
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from comfyui_cldis.nodes import routes
from comfyui_cldis.nodes.edit import SHOWN
from comfyui_cldis.nodes.graph_key import upstream_key
from comfyui_cldis.nodes.live import LIVE
from comfyui_cldis.nodes.sockets import LoadedModel

GRAPH = {
    "3": {"class_type": "CLDIS_EditSliders", "inputs": {"latent": ["2", 0], "edits": "{}"}},
    "2": {"class_type": "CLDIS_Encode", "inputs": {"inversion_steps": 7}},
}


class Routes(dict):
    """As aiohttp's: a decorator for each method; keeps the handlers by path."""

    def get(self, path: str):
        return lambda handler: self.setdefault(path, handler)

    post = get


@pytest.fixture
def ask(monkeypatch):
    """`ask(path, **query)` -> status and content, of a server that has run GRAPH as "run"."""
    entry = {"prompt": (0, "run", GRAPH, {"extra_pnginfo": {"workflow": {"id": "mine"}}}, [])}
    queue = SimpleNamespace(
        get_current_queue_volatile=lambda: ([], []),
        get_history=lambda prompt_id, map_function: (
            {"run": map_function(entry)} if prompt_id == "run" else {}
        ),
    )
    server = SimpleNamespace(routes=Routes(), prompt_queue=queue)
    web = SimpleNamespace(
        Request=object,
        Response=lambda body, content_type: (200, body),
        json_response=lambda content, status=200: (status, json.loads(json.dumps(content))),
    )
    monkeypatch.setitem(sys.modules, "aiohttp", SimpleNamespace(web=web))
    prompt_server = SimpleNamespace(instance=server)
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=prompt_server))
    routes.register()

    def answer(
        path: str, parts: list[bytes] | None = None, length: int | None = None, **query: str
    ) -> tuple[int, Any]:
        """A GET, or a POST of `parts` whose header says `length`; None is sent in chunks."""

        async def iter_any():
            for part in parts or []:
                yield part

        request = SimpleNamespace(
            method="GET" if parts is None else "POST",
            query=query,
            content_length=length,
            content=SimpleNamespace(iter_any=iter_any),
        )
        return asyncio.run(asyncio.wait_for(server.routes[path](request), 10))

    return answer


def test_a_picture_is_there_not_yet_or_never(ask, loaded, latent) -> None:
    model, given = LoadedModel(loaded.label, loaded.editable), {"prompt": "run", "node": "3"}
    status, content = ask("/cldis/picture", **given)
    assert status == 410 and "Move a slider and run the workflow" in content["error"]
    key = upstream_key(GRAPH, "3", SHOWN)
    LIVE.offer(key, model, latent)
    status, content = ask("/cldis/picture", workflow="mine", **given)
    assert status == 200 and content["model"] == loaded.label
    without: Any = SimpleNamespace(networks=SimpleNamespace(has_copilot=False))
    LIVE.offer(key, LoadedModel("it", without), latent)
    status, content = ask("/cldis/picture", **given)
    assert status == 422 and "no co-pilot" in content["error"]


@pytest.mark.parametrize(
    "given",
    [
        {"prompt": "other", "node": "3"},
        {"prompt": "run", "node": "4"},
        {"prompt": "run", "node": "3", "workflow": "another"},
    ],
)
def test_a_run_without_the_node_is_not_a_picture_that_has_gone(ask, given) -> None:
    status, content = ask("/cldis/picture", **given)
    assert status == 404 and "took no part" in content["error"]


def test_what_is_missing_in_a_request_is_named(ask) -> None:
    assert ask("/cldis/picture")[0] == 400
    assert ask("/cldis/sliders", model="none.safetensors")[0] == 404


def test_work_that_stops_an_iteration_is_answered_too(ask, monkeypatch, caplog) -> None:
    """No Future can hold a StopIteration: a browser would wait for ever."""

    def stopping(model: str):
        return next(iter(()))

    monkeypatch.setattr(routes, "presets_of", stopping)
    status, content = ask("/cldis/presets", model="any")
    assert status == 500 and "Report it" in content["error"]


def test_what_is_sent_is_read_whole(ask) -> None:
    text = '{"model": "Évora.safetensors", "slider": "a"}'.encode()
    status, content = ask("/cldis/sliders", [text[:12], text[12:]])
    assert status == 404 and content["error"].startswith("Model 'Évora.safetensors' is not in")


@pytest.mark.parametrize("body", [[], [b"{"], [b"\xff"], [b"[" * 200_000]])
def test_what_is_no_json_is_refused(ask, body) -> None:
    status, content = ask("/cldis/preview", body)
    assert status == 400 and content["error"].endswith("Send a JSON object.")


@pytest.mark.parametrize("length", [None, 10, 1 << 19])
def test_a_request_is_no_longer_than_it_may_be_whatever_it_says(ask, length) -> None:
    part = b" " * (1 << 16)
    status, content = ask("/cldis/preview", 8 * [part], length)
    assert status == 400 and content["error"] == "The request is larger than 256 kB. Send less."
    status, content = ask("/cldis/preview", [b"{}", *3 * [part]])
    assert status == 400 and "no text 'token'" in content["error"]
