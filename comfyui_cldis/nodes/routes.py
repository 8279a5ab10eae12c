"""What the browser asks ComfyUI's server for: sliders, presets, and the picture while one moves.

| route | gives |
|---|---|
| `GET /cldis/sliders?model=` | the sliders of a model (`slider_list`) |
| `POST /cldis/sliders` | the same, after one got another name |
| `GET /cldis/presets?model=` | the presets of a model (`preset_files`) |
| `POST /cldis/presets` | the same, after one was saved |
| `GET /cldis/picture?prompt=&node=&workflow=` | the token of what a node was given in a run |
| `POST /cldis/preview` | a JPEG of the picture of a token with edits (`live`) |

What is wrong comes back as JSON {"error": sentence} with 400 (the request), 404 (no such model, or
no such node in the run), 409 (a newer request came), 410 (the picture has gone), 422 (this model
never draws one) or 500.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image
from torch import Tensor

from . import host
from .checks import parse_edits
from .edit import SHOWN
from .graph_key import upstream_key
from .live import LIVE, GoneError, NoPreviewError, SupersededError
from .preset_files import presets_of, save_preset
from .server import running_server
from .slider_list import name_slider, sliders_of

logger = logging.getLogger(__name__)

QUALITY = 92  # of the JPEG
MAX_BYTES = 1 << 18  # of a request

# Two: one draws, and one may find out meanwhile that it has been superseded.
_workers = ThreadPoolExecutor(2, thread_name_prefix="cldis")


class NotRunError(LookupError):
    """The run is not known, or is of a graph without the node."""


def register() -> None:
    """Adds the routes to ComfyUI's server; does nothing where there is none."""
    instance = running_server()
    if instance is None:
        return
    from aiohttp import web

    def answering(work: Callable[[dict[str, Any]], Any]):
        def finishing(given: dict[str, Any]) -> Any:
            try:
                return work(given)
            except StopIteration as error:  # no Future takes it: the request would never end
                raise RuntimeError("The work stopped half-way. Report it, with the log.") from error

        async def handler(request: web.Request) -> web.Response:
            try:
                given = dict(request.query) if request.method == "GET" else await _sent(request)
                loop = asyncio.get_running_loop()
                result = await loop.run_in_executor(_workers, finishing, given)
            except Exception as error:
                return web.json_response({"error": str(error)}, status=_status(error))
            if isinstance(result, bytes):
                return web.Response(body=result, content_type="image/jpeg")
            return web.json_response(result)

        return handler

    routes = instance.routes
    routes.get("/cldis/sliders")(answering(_sliders))
    routes.post("/cldis/sliders")(answering(_name))
    routes.get("/cldis/presets")(answering(_presets))
    routes.post("/cldis/presets")(answering(_save))
    routes.get("/cldis/picture")(answering(lambda given: _picture(given, instance)))
    routes.post("/cldis/preview")(answering(_preview))


async def _sent(request: Any) -> Any:
    """What a request holds; no more of it is read than it may be long, whatever it says it is."""
    too_large = ValueError("The request is larger than 256 kB. Send less.")
    if (request.content_length or 0) > MAX_BYTES:
        raise too_large
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > MAX_BYTES:
            raise too_large
    try:
        return json.loads(body)
    except (RecursionError, ValueError):
        raise ValueError("The request is not JSON that can be read. Send a JSON object.") from None


def _status(error: Exception) -> int:
    for kind, status in (
        (FileNotFoundError, 404),
        (NotRunError, 404),
        (ValueError, 400),
        (SupersededError, 409),
        (GoneError, 410),
        (NoPreviewError, 422),
    ):
        if isinstance(error, kind):
            return status
    logger.error("CL-Dis: a request failed.", exc_info=error)
    return 500


def _sliders(given: dict[str, Any]) -> dict[str, Any]:
    return sliders_of(_text(given, "model"))


def _name(given: dict[str, Any]) -> dict[str, Any]:
    labels = (_text(given, "low", ""), _text(given, "high", ""))
    return name_slider(
        _text(given, "model"),
        _text(given, "slider"),
        _text(given, "name", ""),
        labels,
        given.get("flipped") is True,
    )


def _presets(given: dict[str, Any]) -> dict[str, Any]:
    return presets_of(_text(given, "model"))


def _save(given: dict[str, Any]) -> dict[str, Any]:
    return save_preset(_text(given, "model"), _text(given, "name"), _text(given, "edits"))


def _picture(given: dict[str, Any], server: Any) -> dict[str, Any]:
    graph = host.graph_of(server, _text(given, "prompt"), _text(given, "workflow", ""))
    try:
        key = upstream_key(graph, _text(given, "node"), SHOWN)
    except KeyError:
        raise NotRunError("The node took no part in that run. Run its workflow.") from None
    return LIVE.find(key)


def _preview(given: dict[str, Any]) -> bytes:
    return jpeg(LIVE.draw(_text(given, "token"), parse_edits(_text(given, "edits", "{}"))))


def _text(given: Any, key: str, default: str | None = None) -> str:
    value = given.get(key, default) if isinstance(given, dict) else None
    if not isinstance(value, str):
        raise ValueError(f"The request has no text '{key}'. Send a JSON object with one.")
    return value


def jpeg(pixels: Tensor) -> bytes:
    """(1 or 3, H, W), uint8 or in [0, 1], as the bytes of a JPEG."""
    if pixels.is_floating_point():
        pixels = pixels.mul(255).round().clamp(0, 255).byte()
    array = pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()
