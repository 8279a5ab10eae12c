"""Which failed imports ask for a package: that of one that is missing, and no other."""

import sys

import pytest

from comfyui_cldis.datasets.registry import open_factor_data
from trainer.data import open_images


class Failing:
    """An import system in which one module imports another that is not there."""

    def __init__(self, module: str, missing: str) -> None:
        self.module, self.missing = module, missing

    def find_spec(self, name, path=None, target=None):
        if name == self.module:
            raise ModuleNotFoundError(f"No module named {self.missing!r}", name=self.missing)


@pytest.mark.parametrize(
    ("missing", "is_ours"),
    [("numba", False), ("llvmlite.binding", False), ("trainer.data.lost", True), ("kornia", True)],
)
@pytest.mark.parametrize("what", ["images", "factors"])
def test_only_a_missing_package_is_reported_as_one(missing, is_ours, what, tmp_path, monkeypatch):
    module = (
        "trainer.data.head_images"
        if what == "images"
        else "comfyui_cldis.datasets.heads.factor_data"
    )
    for name in [name for name in sys.modules if name == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Failing(module, missing), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError) as caught:
        if what == "images":
            open_images("heads", 32, cache_dir=tmp_path, num_images=2)
        else:
            open_factor_data("heads", 32)
    assert (caught.value.name == missing) is is_ours
    assert ("pip install" in str(caught.value)) is not is_ours
    if not is_ours:  # ComfyUI's node takes the package from there
        assert isinstance(caught.value.__cause__, ModuleNotFoundError)
        assert caught.value.__cause__.name == missing
