"""The names that a checkpoint's pickle may hold, each exact; every other one is refused.

Names of tensors become `StoredTensor`; all others stay inert. Nothing is imported or called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .stored import DTYPES, Inert, StoredTensor, StoredValues, dictionary

CALLBACKS = "pytorch_lightning.callbacks."
UTILITIES = "pytorch_lightning.utilities."
INERT = frozenset(
    {
        *(f"torch.{name}" for name in DTYPES),
        "torch.device",
        CALLBACKS + "model_checkpoint.ModelCheckpoint",
        CALLBACKS + "early_stopping.EarlyStopping",
        CALLBACKS + "lr_monitor.LearningRateMonitor",
        CALLBACKS + "gpu_stats_monitor.GPUStatsMonitor",
        CALLBACKS + "progress.ProgressBar",
        CALLBACKS + "progress.base.ProgressBarBase",
        CALLBACKS + "progress.progress.ProgressBar",
        CALLBACKS + "gradient_accumulation_scheduler.GradientAccumulationScheduler",
        CALLBACKS + "stochastic_weight_avg.StochasticWeightAveraging",
        CALLBACKS + "timer.Timer",
        UTILITIES + "parsing.AttributeDict",
        UTILITIES + "enums.AMPType",
        "argparse.Namespace",
        "pathlib.PosixPath",
        "datetime.timedelta",
        "__builtin__.object",
        "builtins.object",
        "__builtin__.set",
        "builtins.set",
        "_codecs.encode",
        "numpy.dtype",
        "numpy.ndarray",
        "numpy.core.multiarray.scalar",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "config.TrainConfig",
        "config.PretrainConfig",
        "model.unet.BeatGANsUNetConfig",
        "model.unet.BeatGANsEncoderConfig",
        "model.unet.ScaleAt",
        "model.blocks.ScaleAt",
        "model.unet_autoenc.BeatGANsAutoencConfig",
        "model.latentnet.LatentNetType",
        "model.latentnet.MLPSkipNetConfig",
        *(
            f"choices.{name}"
            for name in (
                "Activation",
                "GenerativeType",
                "LossType",
                "ManipulateLossType",
                "ManipulateMode",
                "ModelMeanType",
                "ModelName",
                "ModelType",
                "ModelVarType",
                "OptimizerType",
                "TrainMode",
            )
        ),
    }
)


def _tensor(values: Any, offset: Any, shape: Any, strides: Any, *_more: Any) -> StoredTensor:
    if not isinstance(values, StoredValues):
        raise ValueError("a tensor has no values")
    return StoredTensor(values, offset, tuple(shape), tuple(strides))


def _parameter(data: Any, *_more: Any) -> Any:
    return data


def _reconstructed(kind: Any, _base: Any, _state: Any) -> Inert:
    if not isinstance(kind, Inert):
        raise ValueError("an object has no class")
    return Inert(kind.name)


BUILDERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": tuple,
    "collections.OrderedDict": dictionary,
    "copy_reg._reconstructor": _reconstructed,
    "copyreg._reconstructor": _reconstructed,
}
