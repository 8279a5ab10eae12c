"""Memory, progress, preview and cancel, with stand-ins for the parts of ComfyUI that do them."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from types import SimpleNamespace

import pytest
import torch

from comfyui_cldis.editing.framing import Origin
from comfyui_cldis.editing.latent import Latent, Source
from comfyui_cldis.editing.render import render
from comfyui_cldis.lifting import apply_change
from comfyui_cldis.nodes import host
from comfyui_cldis.nodes.decode import room_for
from comfyui_cldis.nodes.live import LivePreviews
from comfyui_cldis.nodes.sockets import LoadedModel


class OutOfMemory(Exception):
    pass


class Interrupted(Exception):
    """As ComfyUI's own, an Exception that no node may swallow."""


class Patcher:
    def __init__(self, model, load_device, offload_device):
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        model.device = offload_device  # as ComfyUI does
        self.unpatched = []

    def loaded_size(self):
        return 100

    def load(self, device_to):
        self.model.to(device_to)

    def unpatch_model(self, device_to, unpatch_weights):
        self.unpatched.append((device_to, unpatch_weights))

    def partially_unload(self, device_to, memory_to_free=0):
        raise AssertionError("some of the networks would stay on the GPU")


@pytest.fixture
def comfyui(monkeypatch):
    """Records what the nodes ask of ComfyUI; `interrupt_after` cancels after so many checks."""
    seen = SimpleNamespace(loads=[], updates=[], checks=0, interrupt_after=None, emptied=0)

    def throw_exception_if_processing_interrupted():
        seen.checks += 1
        if seen.interrupt_after is not None and seen.checks > seen.interrupt_after:
            raise Interrupted

    def load_models_gpu(patchers, memory_required, force_full_load):
        assert force_full_load and memory_required > 0
        seen.loads.append(patchers)

    def soft_empty_cache():
        seen.emptied += 1

    cpu = torch.device("cpu")
    management = SimpleNamespace(
        OOM_EXCEPTION=OutOfMemory,
        get_torch_device=lambda: cpu,
        unet_offload_device=lambda: cpu,
        intermediate_device=lambda: cpu,
        is_device_cpu=lambda device: device.type == "cpu",
        load_models_gpu=load_models_gpu,
        soft_empty_cache=soft_empty_cache,
        throw_exception_if_processing_interrupted=throw_exception_if_processing_interrupted,
    )

    class ProgressBar:
        def __init__(self, total):
            self.total = total

        def update_absolute(self, value, total, preview):
            seen.updates.append((value, total, preview))

    seen.args = SimpleNamespace(preview_method="auto")
    previews = SimpleNamespace(
        args=seen.args,
        LatentPreviewMethod=SimpleNamespace(NoPreviews="none"),
        MAX_PREVIEW_RESOLUTION=512,
    )
    monkeypatch.setitem(sys.modules, "comfy.model_management", management)
    monkeypatch.setitem(sys.modules, "comfy.model_patcher", SimpleNamespace(ModelPatcher=Patcher))
    monkeypatch.setitem(sys.modules, "comfy.utils", SimpleNamespace(ProgressBar=ProgressBar))
    monkeypatch.setitem(sys.modules, "latent_preview", previews)
    return seen


@pytest.fixture
def managed(comfyui, make_model) -> LoadedModel:
    model = make_model()
    return LoadedModel("tiny.safetensors", model, host.manage(model.networks))


def test_networks_go_to_comfyui_in_a_wrapper(managed) -> None:
    assert isinstance(managed.patcher, Patcher)
    assert managed.patcher.model.networks is managed.editable.networks


def test_the_streaming_patcher_of_newer_cores_is_passed_by(comfyui, make_model) -> None:
    """It streams ComfyUI's own layers, and would leave some of our parameters on the GPU."""

    class Dynamic(Patcher):
        pass

    sys.modules["comfy.model_patcher"].CoreModelPatcher = Dynamic
    patcher = host.manage(make_model().networks)
    assert isinstance(patcher, Patcher) and not isinstance(patcher, Dynamic)


def test_networks_stay_where_they_are_while_a_slider_is_drawn_with_them(managed) -> None:
    """The server draws in a thread of its own; a run may need the memory for another model."""
    live = LivePreviews()
    config = managed.editable.networks.config
    pixels = torch.rand(config.in_channels, config.image_size, config.image_size)
    origin = Origin(config.image_size, config.image_size, "crop")
    z = torch.zeros(1, config.latent_dim)
    live.offer("key", managed, Latent(z, origins=(origin,), sources=(Source(pixels, z[0]),)))
    token, started, go_on = live.find("key")["token"], Event(), Event()
    drawing = managed.previews[token]

    class Slow:
        def draw(self, edits):
            started.set()
            assert go_on.wait(10)
            assert managed.patcher.unpatched == []
            return drawing.draw(edits)

    managed.previews[token] = Slow()
    moves = [
        Thread(target=managed.patcher.unpatch_model, args=("cpu", True)),
        Thread(target=managed.patcher.load, args=("cpu",)),
    ]
    with ThreadPoolExecutor(1) as worker:
        picture = worker.submit(live.draw, token, {})
        assert started.wait(10)
        for each in moves:
            each.start()
            each.join(0.2)
            assert each.is_alive()
        go_on.set()
        assert picture.result(10).shape == pixels.shape
    for each in moves:
        each.join(10)
    assert managed.patcher.unpatched == [("cpu", True)]


def test_networks_that_give_way_leave_the_gpu_whole(managed) -> None:
    cpu = torch.device("cpu")
    assert managed.patcher.partially_unload(cpu, 10) == 100
    assert managed.patcher.partially_unload(cpu, 10, force_patch_weights=False) == 100
    assert managed.patcher.unpatched == [(cpu, True), (cpu, True)]


def test_networks_that_comfyui_left_behind_are_moved(comfyui, make_model) -> None:
    """As with VRAM state NO_VRAM, where ComfyUI moves no layer that it cannot stream."""
    sys.modules["comfy.model_management"].get_torch_device = lambda: torch.device("meta")
    model = make_model()
    managed = LoadedModel("tiny.safetensors", model, host.manage(model.networks))
    sys.modules["comfy.model_management"].get_total_memory = lambda device: 1 << 30
    host.in_chunks(managed, 1, 1, lambda start, stop, on_step: None)
    assert {p.device.type for p in model.networks.parameters()} == {"meta"}


def test_progress_reaches_the_end_and_shows_x0(managed, comfyui, run, images) -> None:
    image = images.repeat(4, 1, 1, 1)  # 12 images: two parts of 8 and 4
    latent = run("CLDIS_Encode", model=managed, image=image, inversion_steps=2)
    values = [value for value, _, _ in comfyui.updates]
    assert values == [8, 16, 20, 24] and comfyui.updates[-1][1] == 24
    assert all(preview is None for _, _, preview in comfyui.updates)
    comfyui.updates.clear()
    latent = run("CLDIS_EditSliders", model=managed, latent=latent, edits='{"yaw": 1}')
    run("CLDIS_Decode", model=managed, latent=latent, steps=2)
    kind, shown, largest = comfyui.updates[0][2]
    assert (kind, shown.mode, shown.size, largest) == ("JPEG", "RGB", (256, 256), 512)
    assert len(comfyui.loads) == 4


def test_no_preview_when_the_user_has_them_off(managed, comfyui, run, images) -> None:
    comfyui.args.preview_method = "none"
    latent = run("CLDIS_Encode", model=managed, image=images, inversion_steps=1)
    run("CLDIS_Decode", model=managed, latent=latent, steps=2)
    assert all(preview is None for _, _, preview in comfyui.updates)


def test_cancel_takes_effect_within_one_step(managed, comfyui, run, images) -> None:
    latent = run("CLDIS_Encode", model=managed, image=images, inversion_steps=1)
    latent = run("CLDIS_EditSliders", model=managed, latent=latent, edits='{"yaw": 1}')
    comfyui.updates.clear()
    comfyui.interrupt_after = comfyui.checks + 3  # one before the first step
    with pytest.raises(Interrupted):
        run("CLDIS_Decode", model=managed, latent=latent, steps=20)
    assert len(comfyui.updates) == 2


@pytest.mark.parametrize("size", ["original", "model"])
def test_cancel_takes_effect_within_one_image_that_is_tracked(
    managed, comfyui, run, images, monkeypatch, size
) -> None:
    latent = run("CLDIS_Encode", model=managed, image=images, inversion_steps=0)
    latent = run("CLDIS_EditSliders", model=managed, latent=latent, edits='{"yaw": 1}')
    drawn = []

    def counted(*arguments, **more):
        drawn.append(1)
        return apply_change(*arguments, **more)

    monkeypatch.setattr("comfyui_cldis.editing.render.apply_change", counted)
    comfyui.interrupt_after = comfyui.checks + 2  # one before the part, one before each image
    with pytest.raises(Interrupted):
        run("CLDIS_Decode", model=managed, latent=latent, method="tracked", size=size)
    assert len(drawn) == 1


def test_a_full_gpu_halves_the_batch(managed, comfyui) -> None:
    tried = []

    def work(start, stop, on_step):
        tried.append((start, stop))
        if stop - start > 2:
            raise OutOfMemory
        return list(range(start, stop))

    parts = host.in_chunks(managed, 10, 1, work)
    assert sum(parts, []) == list(range(10))
    assert tried[:4] == [(0, 8), (0, 4), (0, 2), (2, 4)]
    assert comfyui.emptied == 2


def test_of_large_images_fewer_are_worked_on_at_once(managed, run, monkeypatch) -> None:
    sizes = []

    def work(start, stop, on_step):
        sizes.append(stop - start)

    host.in_chunks(managed, 9, 1, work, item_pixels=6000 * 4000)
    host.in_chunks(managed, 2, 1, work, item_pixels=20000 * 10000)
    assert sizes == [2, 2, 2, 2, 1, 1, 1]
    monkeypatch.setattr(host, "PIXELS_AT_ONCE", 2 * 50 * 60)
    image = torch.rand(5, 50, 60, 3)
    latent = run("CLDIS_Encode", model=managed, image=image, inversion_steps=0)
    monkeypatch.setattr("comfyui_cldis.nodes.decode.render", counting(sizes))
    assert torch.equal(run("CLDIS_Decode", model=managed, latent=latent, steps=1), image)
    assert sizes[7:] == [2, 2, 1]
    run("CLDIS_Decode", model=managed, latent=latent, steps=1, size="model")
    assert sizes[10:] == [5]


def test_both_images_that_a_frame_lies_between_count(managed, run, monkeypatch) -> None:
    """Both are drawn at their own size before one fades into the other."""
    small, large = (
        run("CLDIS_Encode", model=managed, image=torch.rand(1, *size, 3), inversion_steps=0)
        for size in ((20, 30), (100, 150))
    )
    sizes = []
    monkeypatch.setattr(host, "PIXELS_AT_ONCE", 4 * 20 * 30 + 2 * 100 * 150)
    monkeypatch.setattr("comfyui_cldis.nodes.decode.render", counting(sizes))
    frames = run("CLDIS_Interpolate", latent_a=small, latent_b=large, frames=5)
    assert run("CLDIS_Decode", model=managed, latent=frames, steps=1).shape == (5, 20, 30, 3)
    assert sizes == [2, 2, 1]


def counting(sizes):
    def counted(model, latent, **options):
        sizes.append(len(latent))
        return render(model, latent, **options)

    return counted


class AcceleratorError(RuntimeError):
    """As torch's, which tells by a number what happened."""

    error_code = 2


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        AcceleratorError("CUDA error"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    ],
)
def test_memory_that_runs_out_in_other_words_halves_the_batch_too(managed, error) -> None:
    sys.modules["comfy.model_management"].is_oom = lambda each: (
        isinstance(each, OutOfMemory) or getattr(each, "error_code", None) == 2
    )

    def work(start, stop, on_step):
        if stop - start > 4:
            raise error

    assert len(host.in_chunks(managed, 8, 1, work)) == 2
    with pytest.raises(RuntimeError, match="Memory ran out with 8 images") as caught:
        host.whole(managed, 8, lambda on_fraction: work(0, 8, None))
    assert caught.value.__cause__ is error


def test_a_single_image_that_does_not_fit_is_explained(managed) -> None:
    def work(start, stop, on_step):
        raise OutOfMemory

    with pytest.raises(RuntimeError, match="ran out with 1 image of 32 x 32 .* Close other.*ms.$"):
        host.in_chunks(managed, 3, 1, work)
    management = sys.modules["comfy.model_management"]
    management.is_device_cpu = lambda device: False
    management.get_total_memory = lambda device: 1 << 30
    with pytest.raises(RuntimeError, match="Close other programs, or choose dtype fp16 in CLDis"):
        host.in_chunks(managed, 3, 1, work)


def test_a_result_that_fits_nowhere_is_not_drawn_over_and_over(managed) -> None:
    calls = []

    def work(start, stop, on_step):
        calls.append(start)
        room_for(10**9, torch.zeros(1).expand(1, 2160, 3840, 3))

    with pytest.raises(
        host.NoRoomError, match=r"images of 3840 x 2160 .* GiB.*Draw fewer"
    ) as caught:
        host.in_chunks(managed, 8, 1, work)
    assert calls == [0] and caught.value.__cause__ is not None


@pytest.mark.parametrize("error", [Interrupted(), RuntimeError("shapes"), ValueError("no")])
def test_what_is_no_shortage_of_memory_passes(managed, error) -> None:
    def work(*given):
        raise error

    for attempt in (
        lambda: host.in_chunks(managed, 8, 1, work),
        lambda: host.whole(managed, 8, work),
    ):
        with pytest.raises(type(error)) as caught:
            attempt()
        assert caught.value is error


def test_other_errors_are_not_taken_for_a_full_gpu(managed, comfyui) -> None:
    """On some systems ComfyUI's OOM_EXCEPTION is plain Exception."""
    sys.modules["comfy.model_management"].OOM_EXCEPTION = Exception
    calls = []

    def work(start, stop, on_step):
        calls.append(start)
        raise Interrupted

    with pytest.raises(Interrupted):
        host.in_chunks(managed, 8, 1, work)
    assert calls == [0]


def test_a_graph_is_found_by_its_run_and_its_workflow() -> None:
    def prompt(number: int, workflow: str | None) -> tuple:
        extra = {} if workflow is None else {"extra_pnginfo": {"workflow": {"id": workflow}}}
        return number, f"run {number}", {"node": number}, extra, ["9"]

    history = {"run 1": {"prompt": prompt(1, "a")}, "run 2": {"prompt": prompt(2, None)}}

    class Queue:
        def get_current_queue_volatile(self):
            return [prompt(3, "c")], []

        def get_history(self, prompt_id, map_function):
            return {key: map_function(history[key]) for key in [prompt_id] if key in history}

    server = SimpleNamespace(prompt_queue=Queue())
    assert host.graph_of(server, "run 1") == host.graph_of(server, "run 1", "a") == {"node": 1}
    assert host.graph_of(server, "run 1", "b") == {}  # another workflow, in another tab
    assert host.graph_of(server, "run 2", "b") == {"node": 2}  # a script's, which names none
    assert host.graph_of(server, "run 3", "c") == {"node": 3}
    assert host.graph_of(server, "run 4") == {}


@pytest.mark.parametrize(
    "extra", [None, {"extra_pnginfo": None}, {"extra_pnginfo": {"workflow": None}}, {"id": []}]
)
def test_a_run_that_names_no_workflow_goes_with_any(extra) -> None:
    """A script may send null where the browser sends its workflow."""
    running = [(1, "run 1", {"node": 1}, extra, ["9"])]
    queue = SimpleNamespace(
        get_current_queue_volatile=lambda: (running, []),
        get_history=lambda prompt_id, map_function: {},
    )
    server = SimpleNamespace(prompt_queue=queue)
    assert host.graph_of(server, "run 1", "b") == {"node": 1}
