"""Which packages a wheel holds; everything else is in pyproject.toml.

`trainer` is somebody else's name on PyPI, so the folder trainer/ is installed inside the library,
as `comfyui_cldis.trainer`. It imports its own parts relatively and the library absolutely, so it
works under both names.
"""

from setuptools import find_packages, setup

TRAINER = "comfyui_cldis.trainer"

setup(
    packages=[
        *find_packages(include=["comfyui_cldis", "comfyui_cldis.*"]),
        TRAINER,
        *(f"{TRAINER}.{name}" for name in find_packages("trainer")),
    ],
    package_dir={TRAINER: "trainer"},
)
