"""Device, memory, progress, preview and interrupt: ComfyUI's when it runs us, plain torch else.

ComfyUI imports its own modules before any node pack, so a look into `sys.modules` tells whether it
is there, and nothing of it is imported by accident in tests or scripts.

The networks are built from torch.nn and handed to ComfyUI's plain ModelPatcher. ComfyUI decides
when they are on the GPU; they are there completely or not at all, so that they can be used at any
moment. Its streaming patcher of 0.16 and later is passed by: that one streams layers of `comfy.ops`
alone; it would copy our parameters to the GPU for each part of a batch, and leave those of modules
with parts of their own there after /free. About 1 GiB is at stake at most (the largest model, 256
pixels, in float32).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor, nn

from ..diffusion.samplers import Step
from ..editing.pipeline import NotFiniteError
from ..imaging.sheet import to_image
from ..shortage import is_out_of_memory
from ..wording import counted
from .remaining import Remaining
from .server import running_node, running_server
from .sockets import LoadedModel

T = TypeVar("T")

CHUNK_ON_CPU = 8
CHUNK_ON_GPU = 64
PIXELS_AT_ONCE = 1 << 26  # of originals that edits are put into, such as 64 of 1024 x 1024
ACTIVATION_BYTES_PER_PIXEL = 8192  # float32; generous for the widest U-Net (128 channels)
PREVIEWS_PER_SEC = 5
FRACTIONS = 1000  # of the progress bar of work that does not count its steps
SMALLEST_PREVIEW = 256


# Held while weights move, and while they are used outside of the thread that runs the graph.
_MOVING = threading.RLock()


def unmoved() -> AbstractContextManager[Any]:
    """While it is entered, ComfyUI moves no networks of ours: for use outside of a run, where it
    may want their memory for another model in the middle of a forward. Keep it short; a run that
    needs the memory waits."""
    return _MOVING


class Networks(nn.Module):
    """Holds a model's networks for ModelPatcher, which writes attributes such as `device` to it."""

    def __init__(self, networks: nn.Module) -> None:
        super().__init__()
        self.networks = networks


def manage(networks: nn.Module) -> Any | None:
    """Hands freshly loaded networks to ComfyUI's memory management.

    Returns: ComfyUI's patcher; None without ComfyUI, where the networks move to the GPU if any.
    """
    management = sys.modules.get("comfy.model_management")
    patching = sys.modules.get("comfy.model_patcher")
    if management is None or patching is None:
        networks.to("cuda" if torch.cuda.is_available() else "cpu")
        return None
    offload_device = management.unet_offload_device()
    networks.to(offload_device)
    return _whole_patcher(patching.ModelPatcher)(
        Networks(networks),
        load_device=management.get_torch_device(),
        offload_device=offload_device,
    )


@lru_cache(maxsize=1)
def _whole_patcher(base: Any) -> Any:
    """ComfyUI's patcher, except that it takes all weights off the GPU where some would do, and
    moves none while `unmoved` networks are drawn with."""

    class WholePatcher(base):
        def load(self, *args: Any, **more: Any) -> Any:
            with _MOVING:
                return super().load(*args, **more)

        def unpatch_model(self, *args: Any, **more: Any) -> Any:
            with _MOVING:
                return super().unpatch_model(*args, **more)

        def partially_unload(self, device_to, *args: Any, **more: Any) -> int:
            freed = self.loaded_size()
            self.unpatch_model(device_to, unpatch_weights=True)
            return freed

    return WholePatcher


@contextmanager
def finite() -> Iterator[None]:
    """Puts the remedy of the nodes behind the fact that a model's networks overflowed."""
    try:
        yield
    except NotFiniteError as error:
        if not error.is_short:
            raise
        raise ValueError(f"{error.fact} Choose dtype auto or fp32 in CLDis Load Model.") from error


def in_chunks(
    model: LoadedModel,
    num_items: int,
    num_steps: int,
    work: Callable[[int, int, Callable[[Step], None]], T],
    *,
    use_preview: bool = False,
    item_pixels: int = 1,
) -> list[T]:
    """Calls `work(start, stop, on_step)` for consecutive parts of a batch that fit in memory.

    Every step reports progress and lets the user cancel. When memory runs out the part is halved
    and tried again.

    Args:
        item_pixels: of the largest image that `work` gives; few large ones are worked on at once.

    Raises: RuntimeError with sizes and a remedy when not even one item fits.
    """
    progress = Progress(num_items, num_steps, use_preview)
    try:
        most = max(1, PIXELS_AT_ONCE // item_pixels)
        with finite():
            return _in_chunks(model, num_items, min(most, _first_chunk(model)), work, progress)
    finally:
        progress.close()


def whole(model: LoadedModel, num_items: int, work: Callable[[Callable[[float], None]], T]) -> T:
    """Calls `work(on_fraction)` once, with room for `num_items` images at a time.

    `on_fraction(done)`, 0 to 1, reports progress and lets the user cancel.

    Raises: RuntimeError with sizes and a remedy when memory runs out.
    """
    utils = sys.modules.get("comfy.utils")
    bar = None if utils is None else utils.ProgressBar(FRACTIONS)
    remaining = Remaining(FRACTIONS, "")

    def on_fraction(done: float) -> None:
        raise_if_interrupted()
        remaining.show(done * FRACTIONS)
        if bar is not None:
            bar.update_absolute(round(done * FRACTIONS), FRACTIONS)

    try:
        _load(model, num_items)
        with finite():
            return work(on_fraction)
    except Exception as error:
        if not _is_shortage(error):
            raise
        raise RuntimeError(_describe_full(model, num_items)) from error
    finally:
        remaining.close()


class Progress:
    """ComfyUI's progress bar and the time left, with x0 as preview when the user has previews on.

    Args:
        num_items: images of the whole batch.
        num_steps: steps that each of them takes.
        use_preview: whether this node has something to show.
    """

    def __init__(self, num_items: int, num_steps: int, use_preview: bool) -> None:
        self._remaining = Remaining(num_items, "image")
        self._num_steps = max(num_steps, 1)
        self._total = num_items * self._num_steps
        self._use_preview = use_preview and _wants_previews()
        self._next_preview_sec = 0.0
        self._value = 0
        utils = sys.modules.get("comfy.utils")
        self._bar = None if utils is None else utils.ProgressBar(self._total)

    def reach(self, num_done: int) -> None:
        """Move to where `num_done` finished images are, for work that took fewer steps."""
        self._remaining.show(num_done)
        value = num_done * self._num_steps
        if self._bar is not None and value > self._value:
            self._value = value
            self._bar.update_absolute(value, self._total, None)

    def steps(self, num_done: int, num_items: int) -> Callable[[Step], None]:
        """The `on_step` for a part of `num_items` images after `num_done` finished ones."""

        def on_step(step: Step) -> None:
            raise_if_interrupted()
            if self._bar is None:
                return
            share = (step.index + 1) / step.total
            self._remaining.show(num_done + share * num_items)
            value = num_done * self._num_steps + round(share * num_items * self._num_steps)
            self._value = value
            self._bar.update_absolute(value, self._total, self._preview(step.x0))

        return on_step

    def close(self) -> None:
        """To be called when the work ends, however it does."""
        self._remaining.close()

    def _preview(self, x0: Tensor) -> tuple[str, Image.Image, int] | None:
        if not self._use_preview or time.monotonic() < self._next_preview_sec:
            return None
        self._next_preview_sec = time.monotonic() + 1 / PREVIEWS_PER_SEC
        image = to_image(x0[0]).convert("RGB")
        if max(image.size) < SMALLEST_PREVIEW:
            image = image.resize((SMALLEST_PREVIEW, SMALLEST_PREVIEW), Image.Resampling.BICUBIC)
        largest = getattr(sys.modules.get("latent_preview"), "MAX_PREVIEW_RESOLUTION", 512)
        return ("JPEG", image, largest)


def is_on_cpu(model: LoadedModel) -> bool:
    """Whether the networks compute on the CPU, wherever their weights are now."""
    management = sys.modules.get("comfy.model_management")
    if model.patcher is None or management is None:
        return model.editable.networks.device.type != "cuda"
    return management.is_device_cpu(model.patcher.load_device)


def raise_if_interrupted() -> None:
    """Raises ComfyUI's own exception when the user pressed Cancel; it must not be caught."""
    management = sys.modules.get("comfy.model_management")
    if management is not None:
        management.throw_exception_if_processing_interrupted()


def has_listener() -> bool:
    """Whether a browser, or a script that listens, has queued what is running."""
    return getattr(running_server(), "client_id", None) is not None


def list_index() -> int:
    """Which item of a list the running node was called with; 0 without one."""
    return getattr(running_node(), "list_index", None) or 0


def graph_of(server: Any, prompt_id: str, workflow: str = "") -> dict[str, Any]:
    """The graph of a prompt that ComfyUI runs or has run; {} for another.

    Args:
        workflow: the id that its workflow must have, if ComfyUI knows that.
    """
    queue = server.prompt_queue
    running = [prompt for prompt in queue.get_current_queue_volatile()[0] if prompt[1] == prompt_id]
    found = queue.get_history(prompt_id, map_function=lambda entry: entry["prompt"])
    prompt = running[0] if running else found.get(prompt_id)
    if prompt is None:
        return {}
    _, _, graph, extra, *_ = prompt
    own: Any = extra
    for key in ("extra_pnginfo", "workflow", "id"):  # what a script sent, of whatever kind
        own = own.get(key) if isinstance(own, dict) else None
    return {} if own and workflow and own != workflow else graph


def to_intermediate(tensor: Tensor) -> Tensor:
    """Moves a result to where ComfyUI keeps what travels between nodes."""
    management = sys.modules.get("comfy.model_management")
    return tensor if management is None else tensor.to(management.intermediate_device())


def _in_chunks(
    model: LoadedModel,
    num_items: int,
    chunk: int,
    work: Callable[[int, int, Callable[[Step], None]], T],
    progress: Progress,
) -> list[T]:
    chunk = min(num_items, chunk)
    results: list[T] = []
    start = 0
    while start < num_items:
        stop = min(start + chunk, num_items)
        is_full = False
        try:
            _load(model, stop - start)
            results.append(work(start, stop, progress.steps(start, stop - start)))
            progress.reach(stop)
        except Exception as error:
            if not _is_shortage(error):
                raise
            is_full = True
        # Outside the except block, because the traceback would keep the tensors alive.
        if not is_full:
            start = stop
            continue
        _empty_cache()
        if chunk == 1:
            raise RuntimeError(_describe_full(model, 1))
        chunk = max(1, chunk // 2)
    return results


def _wants_previews() -> bool:
    """Whether the user's preview method, which may change with every run, is another than none."""
    previews = sys.modules.get("latent_preview")
    if previews is None:
        return False
    return previews.args.preview_method != previews.LatentPreviewMethod.NoPreviews


def _load(model: LoadedModel, num_items: int) -> None:
    """Makes room for the networks and for `num_items` images, and moves the networks there."""
    management = sys.modules.get("comfy.model_management")
    if model.patcher is None or management is None:
        return
    management.load_models_gpu(
        [model.patcher],
        memory_required=num_items * _bytes_per_item(model),
        force_full_load=True,
    )
    # In its state NO_VRAM ComfyUI streams layers of its own and leaves all others on the CPU.
    with _MOVING:
        model.patcher.model.to(model.patcher.load_device)


def _first_chunk(model: LoadedModel) -> int:
    """How many images to try at once: what should fit by estimate, at most 64; on a CPU 8, so
    that Cancel and the progress bar act within seconds."""
    if is_on_cpu(model):
        return CHUNK_ON_CPU
    management = sys.modules.get("comfy.model_management")
    if model.patcher is None or management is None:
        return CHUNK_ON_GPU
    device = model.patcher.load_device
    fitting = int(management.get_total_memory(device) / 2 / _bytes_per_item(model))
    return max(1, min(CHUNK_ON_GPU, fitting))


def _bytes_per_item(model: LoadedModel) -> int:
    networks = model.editable.networks
    item_bytes = networks.config.image_size**2 * ACTIVATION_BYTES_PER_PIXEL
    return item_bytes * networks.dtype.itemsize // 4


class NoRoomError(RuntimeError):
    """A result as a whole does not fit into memory, which smaller parts of it cannot mend."""


def _is_shortage(error: Exception) -> bool:
    """Whether memory ran out. Where torch has no exception for that, ComfyUI takes every Exception
    for one, the user's Cancel included; there, and in what ComfyUI does not know, the words count.
    """
    if isinstance(error, NoRoomError):
        return False
    management = sys.modules.get("comfy.model_management")
    kind = getattr(management, "OOM_EXCEPTION", Exception)
    if kind is not Exception:
        is_oom = getattr(management, "is_oom", lambda each: isinstance(each, kind))
        if is_oom(error):
            return True
    return is_out_of_memory(error)


def _describe_full(model: LoadedModel, num_items: int) -> str:
    side = model.editable.networks.config.image_size
    smaller = "" if is_on_cpu(model) else ", or choose dtype fp16 in CLDis Load Model"
    return (
        f"Memory ran out with {counted(num_items, 'image')} of {side} x {side} pixels in "
        f"{model.label}. Close other programs{smaller}."
    )


def _empty_cache() -> None:
    management = sys.modules.get("comfy.model_management")
    if management is not None:
        management.soft_empty_cache()
    elif torch.cuda.is_available():
        torch.cuda.empty_cache()
