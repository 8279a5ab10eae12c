"""Edits drawn while a slider moves: of what the graph encoded last, without running it again.

A run of CLDis Edit Sliders offers its latent under the key of the graph that led to it. The browser
names a run, gets a token for it, and sends that with amounts. This hides nothing: ComfyUI tells
every client the ids of all runs, in its history, and gives out their results.
Nothing here keeps a model: the previews are kept with the `LoadedModel` that they need, and go when
ComfyUI drops it.
"""

from __future__ import annotations

import secrets
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..editing.latent import Latent
from ..editing.pipeline import NotFiniteError
from ..editing.render import TrackedPreview, scaled
from . import host
from .checks import check_directions
from .sockets import LoadedModel

LONGEST = 512  # pixels of the longer side
NO_PREVIEW = (
    "This model has no co-pilot, so there is no picture while a slider moves. Run the workflow to "
    "see the edit."
)
GONE = (  # a run alone may change nothing: ComfyUI runs no node again whose result it still has
    "There is no picture of this in memory, and never is where ComfyUI runs without a cache. Move "
    "a slider and run the workflow."
)
MOST = 32  # previews kept; the one used longest ago goes first
MOST_OFFERS = 1024  # likewise; an offer without its preview is some hundred bytes
MOST_KEYS = 8  # of an offer, likewise


class GoneError(LookupError):
    """There is no such offer, or no longer."""


class NoPreviewError(Exception):
    """The model that was last given draws no previews, now or later."""


class SupersededError(Exception):
    """A newer request for the same picture has come meanwhile."""


@dataclass
class _Offer:
    keys: dict[str, None]  # of the graphs that lead to it, oldest first
    model: weakref.ref[LoadedModel]
    latent: weakref.ref[Latent]
    num_images: int
    newest: int = 0


class LivePreviews:
    """The pictures that browsers may draw edits of; safe to use from several threads."""

    def __init__(self) -> None:
        self._offers: dict[str, _Offer] = {}
        self._undrawn: dict[str, None] = {}  # keys of models that draw no previews, oldest first
        self._lock = threading.Lock()
        self._drawing = threading.Lock()  # one at a time: two would only share the processor

    def __len__(self) -> int:
        return len(self._offers)

    def offer(
        self, key: str, model: LoadedModel, latent: Latent, *, is_awaited: bool = True
    ) -> None:
        """Makes the first image of a latent available, if it keeps its images and the model has a
        co-pilot to draw it with.

        Args:
            is_awaited: whether a browser will ask for it now. If not, nothing is computed or kept
                before one asks, and there is a picture as long as ComfyUI has the latent.
        """
        if not latent.sources:
            return
        if not model.editable.networks.has_copilot:
            with self._lock:
                self._undrawn[key] = None
                while len(self._undrawn) > MOST_OFFERS:
                    del self._undrawn[next(iter(self._undrawn))]
            return
        with self._lock:
            self._undrawn.pop(key, None)
            token = self._token_of(model, latent) or secrets.token_urlsafe(16)
            if token not in self._offers:
                there = weakref.ref(model), weakref.ref(latent)
                self._offers[token] = _Offer({}, *there, len(latent))
            self._lead(key, token)
            while len(self._offers) > MOST_OFFERS:
                self._drop(next(iter(self._offers)))
        if is_awaited:
            # What hinders the picture need not hinder the edit: the browser hears it when it asks.
            with suppress(NotFiniteError):
                self._prepare(token, model, latent)

    def find(self, key: str) -> dict[str, Any]:
        """The offer under a key: its token, the model's name, and how many images there are.

        Raises:
            NoPreviewError: the model has no co-pilot, so that there is never a picture.
            GoneError: nothing was offered under that key, or it has been freed.
        """
        with self._lock:
            if key in self._undrawn:
                raise NoPreviewError(NO_PREVIEW)
            token = next((each for each, offer in self._offers.items() if key in offer.keys), "")
        offer, model = self._offered(token)
        with suppress(NotFiniteError):  # the model is known all the same; `draw` says it
            self._ready(token)
        return {"token": token, "model": model.label, "images": offer.num_images}

    def num_requests(self, token: str) -> int:
        """How many requests for a picture have come so far."""
        return self._offers[token].newest

    def draw(
        self, token: str, edits: Mapping[str, float] | Sequence[Mapping[str, float]]
    ) -> Tensor:
        """The offered image with edits, (C, H, W), uint8 or float32 in [0, 1].

        Args:
            edits: as `parse_edits` gives them; of a list, the first image's.

        Raises:
            GoneError: nothing was offered under that token, or ComfyUI has freed its model, or
                its latent after the preview had to go.
            SupersededError: another request came while this one waited.
            ValueError: an unknown direction, or the co-pilot overflows.
        """
        with host.finite():
            offer, model, preview = self._ready(token)
        amounts = edits if isinstance(edits, Mapping) else (edits[0] if edits else {})
        check_directions(model, amounts)
        limited = {
            name: model.editable.direction(name).limited(amount) for name, amount in amounts.items()
        }
        with self._lock:
            offer.newest += 1
            ticket = offer.newest
        with self._drawing:
            if ticket != offer.newest:
                raise SupersededError
            with host.unmoved(), host.finite(), torch.inference_mode():
                return preview.draw(limited)[0].cpu()

    def _token_of(self, model: LoadedModel, latent: Latent) -> str | None:
        for token, offer in self._offers.items():
            if offer.latent() is latent and offer.model() is model:
                return token
        return None

    def _ready(self, token: str) -> tuple[_Offer, LoadedModel, TrackedPreview]:
        """An offer with all that it takes to draw it. Raises GoneError where something lacks."""
        offer, model = self._offered(token)
        preview = self._prepare(token, model, offer.latent())
        if preview is None:
            raise self._gone(token)
        return offer, model, preview

    def _offered(self, token: str) -> tuple[_Offer, LoadedModel]:
        """An offer whose model is there still. Raises GoneError."""
        offer = self._offers.get(token)
        model = None if offer is None else offer.model()
        if offer is None or model is None:
            raise self._gone(token)
        return offer, model

    def _gone(self, token: str) -> GoneError:
        with self._lock:
            self._drop(token)
        return GoneError(GONE)

    def _prepare(
        self, token: str, model: LoadedModel, latent: Latent | None
    ) -> TrackedPreview | None:
        """The preview of an offer, made unless there is one; None where it cannot be made."""
        if token not in model.previews and latent is not None:
            with self._drawing, host.unmoved(), torch.inference_mode():
                if token not in model.previews:
                    model.previews[token] = TrackedPreview(model.editable, _light(latent[:1]))
        preview = model.previews.get(token)
        with self._lock:
            if token not in self._offers:  # dropped meanwhile
                model.previews.pop(token, None)
                return None
            self._offers[token] = self._offers.pop(token)  # used last, dropped last
            there = [(each, offer.model()) for each, offer in self._offers.items()]
            kept = [(each, own) for each, own in there if own is not None and each in own.previews]
            for each, own in kept[:-MOST]:
                del own.previews[each]
        return preview

    def _lead(self, key: str, token: str) -> None:
        """From now on a key leads to this offer. Those that no key leads to any more, and those
        whose model has gone, are dropped."""
        for other, offer in list(self._offers.items()):
            offer.keys.pop(key, None)
            if other != token and (not offer.keys or offer.model() is None):
                self._drop(other)
        keys = self._offers[token].keys
        keys[key] = None
        while len(keys) > MOST_KEYS:
            del keys[next(iter(keys))]

    def _drop(self, token: str) -> None:
        offer = self._offers.pop(token, None)
        model = None if offer is None else offer.model()
        if model is not None:
            model.previews.pop(token, None)


def _light(latent: Latent) -> Latent:
    """The same latent with images as they are shown: small, and of a byte for each value."""
    shown = [scaled(source.pixels, LONGEST) for source in latent.sources]
    pixels = [
        image if image.dtype == torch.uint8 else image.mul(255).round().to(torch.uint8)
        for image in shown
    ]
    sources = zip(latent.sources, pixels, strict=True)
    return replace(latent, sources=tuple(replace(each, pixels=own) for each, own in sources))


LIVE = LivePreviews()
