"""Frozen configurations of the networks; each rejects bad values with the value in the message."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import Any, Literal, Protocol, TypeVar, get_args

from ..wording import did_you_mean, nearest_name

Betas = Literal["cosine", "linear", "const0.008"]  # of a noise schedule
Conditioner = Literal["adagn", "tokens"]
CONDITIONERS: tuple[str, ...] = get_args(Conditioner)
CopilotConditioner = Literal["linear", "tokens"]
COPILOT_CONDITIONERS: tuple[str, ...] = get_args(CopilotConditioner)
MINIMUM_IMAGE_SIZE, MAXIMUM_IMAGE_SIZE = 8, 256
MAXIMUM_TRAIN_STEPS = 10_000
MAXIMUM_LEVELS, MAXIMUM_BLOCKS = 10, 16  # a file may ask for no more layers than can be built

T = TypeVar("T")


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str) -> T:
    """Build the dataclass `cls` from `values`; an unknown or missing key is an error by name.

    Raises:
        ValueError: unknown key (names the nearest valid one), or a value the class refuses.
    """
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            hint = did_you_mean(nearest_name(key, known)) or f" Allowed: {', '.join(known)}."
            raise ValueError(f"Unknown key '{key}' in {where}.{hint}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    for f in fields(cls):  # type: ignore[arg-type]
        if f.name not in values:
            continue
        if f.default is not MISSING:
            values[f.name] = _checked(f"{f.name} in {where}", values[f.name], f.default)
        elif is_dataclass(f.default_factory) and type(values[f.name]) is not f.default_factory:
            raise ValueError(
                f"{f.name} in {where} is {values[f.name]!r}, but it has settings of its own. Give "
                f"those, such as {f.name}.{fields(f.default_factory)[0].name}."
            )
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"Incomplete {where}: {error}. Give the missing value.") from error


def _checked(name: str, value: Any, default: Any) -> Any:
    """`value` if it is of the kind of `default`; a whole number may stand for a number."""
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
    kind, item = type(default), int
    if kind is tuple and default:
        item = type(default[0])
    kinds[tuple] = "a list of words" if item is str else "a list of whole numbers"
    if kind is float and type(value) is int:
        return float(value)
    is_right = type(value) is kind and (kind is not tuple or all(type(v) is item for v in value))
    if kind in kinds and not is_right:
        raise ValueError(f"{name} is {value!r}. Give {kinds[kind]}.")
    return value


def require(condition: bool, fact: str, remedy: str) -> None:
    """Raise ValueError with one sentence of fact and one of remedy unless `condition` holds."""
    if not condition:
        raise ValueError(f"{fact}. {remedy}.")


def _check_levels(name: str, base: int, mults: tuple[int, ...], blocks: int) -> None:
    require(base >= 8 and base % 8 == 0, f"{name}.base_channels is {base}", "Use a multiple of 8")
    require(
        1 <= len(mults) <= MAXIMUM_LEVELS,
        f"{name}.channel_mults has {len(mults)} levels",
        f"Give one multiplier for each of 1 to {MAXIMUM_LEVELS} levels",
    )
    require(
        all(m >= 1 for m in mults), f"{name}.channel_mults is {mults}", "Use whole numbers from 1"
    )
    require(
        1 <= blocks <= MAXIMUM_BLOCKS,
        f"{name}.num_res_blocks is {blocks}",
        f"Use 1 to {MAXIMUM_BLOCKS}",
    )


@dataclass(frozen=True)
class EncoderConfig:
    """Semantic encoder: a convolutional half U-Net.

    Attributes:
        base_channels: width of the first level.
        channel_mults: width multiplier of each level; each further level halves the size.
        num_res_blocks: residual blocks per level.
        hidden_dim: width of the layer in front of the Gaussian head.
    """

    base_channels: int = 32
    channel_mults: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 1
    hidden_dim: int = 256

    def __post_init__(self) -> None:
        _check_levels("encoder", self.base_channels, self.channel_mults, self.num_res_blocks)


@dataclass(frozen=True)
class DecoderConfig:
    """Conditional U-Net.

    Attributes:
        attention_sizes: internal heights at which attention acts (cross-attention to the code
            tokens with conditioner "tokens", which needs at least one that is the height of a
            level; self-attention with "adagn").
        conditioner: "adagn" (Diff-AE: the code scales and shifts every block) or "tokens"
            (EncDiff: one token per latent scalar, read through cross-attention).
        embed_dim: width of the time embedding and of the code embedding.
        token_dim: width of one token.
        num_heads: attention heads.
        dropout: in residual blocks, during training only.
        narrow_upsampling: the convolution after each doubling already has the next level's
            width; cheaper where it is narrower. False is the width of Diff-AE.
    """

    base_channels: int = 32
    channel_mults: tuple[int, ...] = (1, 2, 4, 4)
    num_res_blocks: int = 1
    attention_sizes: tuple[int, ...] = (16, 8, 4)
    conditioner: Conditioner = "tokens"
    embed_dim: int = 128
    token_dim: int = 32
    num_heads: int = 4
    dropout: float = 0.0
    narrow_upsampling: bool = False

    def __post_init__(self) -> None:
        _check_levels("decoder", self.base_channels, self.channel_mults, self.num_res_blocks)
        require(
            self.conditioner in CONDITIONERS,
            f"decoder.conditioner is '{self.conditioner}'",
            f"Use one of {', '.join(CONDITIONERS)}",
        )
        require(
            0 <= self.dropout < 1, f"decoder.dropout is {self.dropout}", "Use a value in [0, 1)"
        )
        require(
            self.num_heads >= 1 and self.base_channels % self.num_heads == 0,
            f"decoder.num_heads {self.num_heads} does not divide base_channels "
            f"{self.base_channels}",
            "Choose a divisor",
        )
        for name in ("embed_dim", "token_dim"):
            require(
                getattr(self, name) >= 4,
                f"decoder.{name} is {getattr(self, name)}",
                "Use 4 or more",
            )


@dataclass(frozen=True)
class CopilotConfig:
    """beta-VAE co-pilot: strided convolutions down to 4 x 4 and back, on images of `image_size`.

    Attributes:
        image_size: side the images are resized to; a power of two from 8 to 64.
        base_channels: width of the first convolution, doubled up to four times that.
        hidden_dim: width of the fully connected layers.
        conditioner: how its decoder reads the code. "linear": through fully connected layers;
            "tokens": one token per scalar, through cross-attention at 4 x 4 and 8 x 8, an
            experiment that long trainings are the worse for (docs/results.md).
    """

    image_size: int = 64
    base_channels: int = 32
    hidden_dim: int = 256
    conditioner: CopilotConditioner = "linear"

    def __post_init__(self) -> None:
        require(
            self.image_size in (8, 16, 32, 64),
            f"copilot.image_size is {self.image_size}",
            "Use 8, 16, 32 or 64",
        )
        require(
            self.base_channels >= 4,
            f"copilot.base_channels is {self.base_channels}",
            "Use 4 or more",
        )
        require(
            self.conditioner in COPILOT_CONDITIONERS,
            f"copilot.conditioner is '{self.conditioner}'",
            f"Use one of {', '.join(COPILOT_CONDITIONERS)}",
        )
        require(
            self.conditioner == "linear" or self.base_channels % 8 == 0,
            f"copilot.base_channels is {self.base_channels}, and its conditioner 'tokens' needs a "
            "multiple of 8",
            "Use a multiple of 8",
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the encoder's levels, from the largest feature map to the one of 4 x 4."""
        num_levels = int(math.log2(self.image_size // 4))
        return tuple(self.base_channels * min(2**level, 4) for level in range(num_levels))


class WithCopilot(Protocol):
    """Configurations whose networks have a co-pilot."""

    @property
    def in_channels(self) -> int:
        """Channels of the image."""
        ...

    @property
    def latent_dim(self) -> int:
        """N, number of scalars in the code."""
        ...

    @property
    def copilot(self) -> CopilotConfig:
        """The co-pilot's own."""
        ...


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of a whole model.

    Attributes:
        image_size: side of the square image (or latent image) in pixels.
        in_channels: 3 for pixels, 1 for grey, 4 or 16 for the latents of an image VAE.
        latent_dim: N, number of scalars in the semantic code z.
        residual_dim: R, width of the optional residual code (0: none).
        patch_size: pixel-unshuffle factor of the stems of U-Net and encoder; 2 makes a 64-px
            model run at 32 x 32 inside.
    """

    image_size: int = 64
    in_channels: int = 3
    latent_dim: int = 20
    residual_dim: int = 0
    patch_size: int = 1
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    copilot: CopilotConfig = field(default_factory=CopilotConfig)

    def __post_init__(self) -> None:
        require(
            MINIMUM_IMAGE_SIZE <= self.image_size <= MAXIMUM_IMAGE_SIZE,
            f"image_size is {self.image_size}",
            f"Use {MINIMUM_IMAGE_SIZE} to {MAXIMUM_IMAGE_SIZE}",
        )
        require(
            self.in_channels in (1, 3, 4, 16),
            f"in_channels is {self.in_channels}",
            "Use 1, 3, 4 or 16",
        )
        require(self.latent_dim >= 1, f"latent_dim is {self.latent_dim}", "Use 1 or more")
        require(self.residual_dim >= 0, f"residual_dim is {self.residual_dim}", "Use 0 or more")
        require(self.patch_size in (1, 2, 4), f"patch_size is {self.patch_size}", "Use 1, 2 or 4")
        for name, mults in (
            ("encoder", self.encoder.channel_mults),
            ("decoder", self.decoder.channel_mults),
        ):
            step = self.patch_size * 2 ** (len(mults) - 1)
            require(
                self.image_size % step == 0,
                f"image_size {self.image_size} is not divisible by {step}, which patch_size "
                f"{self.patch_size} and the {len(mults)} levels of the {name} need",
                "Choose fewer levels or another size",
            )
        self._check_code_is_heard()

    def _check_code_is_heard(self) -> None:
        """Code tokens are read by attention alone, so some level must have it."""
        decoder = self.decoder
        if decoder.conditioner != "tokens":
            return
        inside = self.image_size // self.patch_size
        sizes = [inside // 2**level for level in range(len(decoder.channel_mults))]
        require(
            any(size in decoder.attention_sizes for size in sizes),
            f"decoder.attention_sizes {decoder.attention_sizes} holds none of the sizes that the "
            f"levels have at image_size {self.image_size} ({', '.join(map(str, sizes))}), so the "
            "decoder would not hear the code",
            f"Choose some of them, such as {', '.join(map(str, sizes[-2:]))}",
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary that `from_dict` reads back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Build from a (nested) mapping; unknown keys are errors that name the nearest valid one.

        Raises:
            ValueError: unknown keys or values out of range.
        """
        parts = dict(values)
        for name, part in (
            ("encoder", EncoderConfig),
            ("decoder", DecoderConfig),
            ("copilot", CopilotConfig),
        ):
            if isinstance(parts.get(name), Mapping):
                parts[name] = from_mapping(part, parts[name], f"the {name} configuration")
        return from_mapping(cls, parts, "the model configuration")
