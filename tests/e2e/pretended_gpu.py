"""Loads networks through a real ComfyUI's memory management onto a GPU that is only pretended.

    python pretended_gpu.py ROOT

To be run in a folder of ComfyUI. Tensors are torch's fake ones: they have shapes and devices, and
no content. Prints one line of JSON: for each stage the kinds of devices that hold parameters.
"""

import json
import sys
from types import SimpleNamespace

root = sys.argv[1]
sys.argv = ["main.py", "--cpu"]
sys.path[:0] = [".", root]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.model_management as management  # noqa: E402
import comfy.model_patcher as patching  # noqa: E402
import torch  # noqa: E402
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

from comfyui_cldis.model import DiffusionAutoencoder, ModelConfig  # noqa: E402
from comfyui_cldis.nodes import host  # noqa: E402
from comfyui_cldis.nodes.sockets import LoadedModel  # noqa: E402

GPU, CPU, FREE = torch.device("cuda:0"), torch.device("cpu"), 1 << 30

management.get_torch_device = lambda: GPU
management.unet_offload_device = lambda: CPU
management.get_free_memory = lambda device=None, torch_free_too=False: (
    (FREE, 0) if torch_free_too else FREE
)
management.get_total_memory = lambda device=None, torch_total_too=False: 4 * FREE
management.soft_empty_cache = lambda *args, **more: None
torch.cuda.synchronize = lambda *args: None
# As ComfyUI does from 0.16 on where there is an NVIDIA GPU:
if hasattr(patching, "ModelPatcherDynamic"):
    patching.CoreModelPatcher = patching.ModelPatcherDynamic


def _apply(self, fn, recurse=True):
    """As `Module._apply`, which from torch 2.14 on refuses fake tensors that anything refers to."""
    for child in self.children() if recurse else ():
        child._apply(fn)
    for held in (self._parameters, self._buffers):
        for name, value in held.items():
            changed = None if value is None else fn(value)
            if changed is not value:
                is_parameter = held is self._parameters
                held[name] = torch.nn.Parameter(changed) if is_parameter else changed
    return self


torch.nn.Module._apply = _apply


def main() -> None:
    networks = DiffusionAutoencoder(ModelConfig(image_size=32))
    model = LoadedModel("model", SimpleNamespace(networks=networks), host.manage(networks))
    found, firsts = {}, []

    def note(stage):
        found[stage] = sorted({each.device.type for each in networks.parameters()})

    def use(stage):
        def work(start, stop, on_step):
            note(stage)
            firsts.append(next(networks.parameters()))

        host.in_chunks(model, 1, 1, work)

    use("used")
    use("used again")
    found["copied once"] = firsts[0] is firsts[1]
    management.free_memory(FREE + (1 << 16), GPU)  # another model needs a little
    note("room made")
    use("used after")
    management.unload_all_models()  # as POST /free does
    note("freed")
    management.vram_state = management.VRAMState.NO_VRAM
    use("used with NO_VRAM")
    management.unload_all_models()
    note("freed with NO_VRAM")
    sys.stdout.write(json.dumps(found) + "\n")


with FakeTensorMode(), torch.no_grad():
    main()
