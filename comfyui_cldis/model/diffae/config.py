"""Frozen configurations of the Diff-AE networks; each rejects bad values by value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, get_args

from ..config import (
    MAXIMUM_BLOCKS,
    MAXIMUM_LEVELS,
    MAXIMUM_TRAIN_STEPS,
    Betas,
    from_mapping,
    require,
)

Activation = Literal["none", "relu", "lrelu", "silu", "tanh"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)
MINIMUM_SIZE, MAXIMUM_SIZE = 8, 1024
MAXIMUM_WIDTH, MAXIMUM_LAYERS = 16384, 128
LATENT_STEPS = 100  # of DDIM, each a pass through the MLP; there are at least as many noise levels


@dataclass(frozen=True)
class LatentNetConfig:
    """The latent diffusion model: an MLP that denoises codes.

    Attributes:
        num_layers: linear layers, the last one included.
        hidden_dim: width between them.
        skip_layers: indices of the layers that get the noisy code once more.
        time_channels: width of the sinusoidal embedding of the timestep.
        num_time_layers: linear layers of the MLP on that embedding.
        has_time_activation: whether that MLP ends with an activation.
        activation: of hidden layers; "lrelu" has slope 0.2.
        last_activation: of the output.
        has_norm: whether hidden layers are normalised (LayerNorm).
        condition_bias: what is added to the scale that the time gives.
        betas: noise schedule of the codes, one of `Betas`.
        num_train_steps: T of that schedule.
        clip_x0: clip the estimate of the code to [-1, 1] at every step.
        is_normalised: whether codes are those of the encoder less their mean, by their std.
    """

    num_layers: int = 10
    hidden_dim: int = 2048
    skip_layers: tuple[int, ...] = ()
    time_channels: int = 64
    num_time_layers: int = 2
    has_time_activation: bool = False
    activation: str = "silu"
    last_activation: str = "none"
    has_norm: bool = True
    condition_bias: float = 1.0
    betas: Betas = "linear"
    num_train_steps: int = 1000
    clip_x0: bool = False
    is_normalised: bool = True

    def __post_init__(self) -> None:
        _check_range("latent_net.num_layers", self.num_layers, 2, MAXIMUM_LAYERS)
        _check_range("latent_net.hidden_dim", self.hidden_dim, 1, MAXIMUM_WIDTH)
        _check_range("latent_net.time_channels", self.time_channels, 2, MAXIMUM_WIDTH)
        _check_range("latent_net.num_time_layers", self.num_time_layers, 1, MAXIMUM_LAYERS)
        _check_range(
            "latent_net.num_train_steps", self.num_train_steps, LATENT_STEPS, MAXIMUM_TRAIN_STEPS
        )
        for name, allowed in (
            ("activation", ACTIVATIONS),
            ("last_activation", ACTIVATIONS),
            ("betas", get_args(Betas)),
        ):
            require(
                getattr(self, name) in allowed,
                f"latent_net.{name} is '{getattr(self, name)}'",
                f"Use one of {', '.join(allowed)}",
            )
        require(
            math.isfinite(self.condition_bias),
            f"latent_net.condition_bias is {self.condition_bias}",
            "Use a finite number",
        )
        require(
            all(0 <= index < self.num_layers for index in self.skip_layers),
            f"latent_net.skip_layers is {self.skip_layers}",
            f"Use indices from 0 to {self.num_layers - 1}",
        )


@dataclass(frozen=True)
class DiffAEConfig:
    """Architecture of a Diff-AE: what its authors' code builds for the same values.

    Attributes:
        image_size: side of the square image in pixels.
        in_channels: channels of the image and of the predicted noise.
        latent_dim: width of the code.
        base_channels: width of the sinusoidal embedding of the timestep.
        embed_dim: width of the time embedding.
        widths: channels of each level of the up path; each further level halves the size.
        input_widths: the same of the down path; empty: `widths`.
        num_res_blocks: residual blocks per level; the up path has one more.
        num_input_res_blocks: the same of the down path; 0: `num_res_blocks`.
        attention_sizes: heights at which attention acts; the middle always has it.
        num_heads: attention heads, unless `head_channels` says how wide one is.
        head_channels: channels of a head; 0: `num_heads`.
        splits_heads_last: how queries, keys and values lie in one tensor: False is heads of
            three, True is three of heads.
        has_resampling_blocks: sizes change within residual blocks (average pooling, nearest).
        has_resampling_convolutions: where they do not: with a convolution, or plainly.
        encoder_widths, encoder_num_res_blocks, encoder_attention_sizes: of the encoder.
        latent_net: the latent diffusion model, if there is one.
    """

    kind: ClassVar[str] = "diffae"
    residual_dim: ClassVar[int] = 0

    image_size: int = 64
    in_channels: int = 3
    latent_dim: int = 512
    base_channels: int = 64
    embed_dim: int = 512
    widths: tuple[int, ...] = (64, 128, 256, 512)
    input_widths: tuple[int, ...] = ()
    num_res_blocks: int = 2
    num_input_res_blocks: int = 0
    attention_sizes: tuple[int, ...] = (16,)
    num_heads: int = 1
    head_channels: int = 0
    splits_heads_last: bool = False
    has_resampling_blocks: bool = True
    has_resampling_convolutions: bool = True
    encoder_widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    encoder_num_res_blocks: int = 2
    encoder_attention_sizes: tuple[int, ...] = (16,)
    latent_net: LatentNetConfig | None = None

    def __post_init__(self) -> None:
        _check_range("image_size", self.image_size, MINIMUM_SIZE, MAXIMUM_SIZE)
        for name in ("in_channels", "latent_dim", "base_channels", "embed_dim", "num_heads"):
            _check_range(name, getattr(self, name), 1, MAXIMUM_WIDTH)
        _check_range("num_res_blocks", self.num_res_blocks, 1, MAXIMUM_BLOCKS)
        _check_range("num_input_res_blocks", self.num_input_res_blocks, 0, MAXIMUM_BLOCKS)
        _check_range("encoder_num_res_blocks", self.encoder_num_res_blocks, 1, MAXIMUM_BLOCKS)
        _check_range("head_channels", self.head_channels, 0, MAXIMUM_WIDTH)
        for name in ("widths", "encoder_widths"):
            _check_widths(name, getattr(self, name))
        if self.input_widths:
            _check_widths("input_widths", self.input_widths)
            require(
                len(self.input_widths) == len(self.widths),
                f"input_widths has {len(self.input_widths)} levels and widths {len(self.widths)}",
                "Give both as many",
            )
        step = 2 ** (len(self.widths) - 1)
        require(
            self.image_size % step == 0,
            f"image_size {self.image_size} is not divisible by {step}, which the "
            f"{len(self.widths)} levels need",
            "Choose fewer levels or another size",
        )
        least = 2 ** (len(self.encoder_widths) - 1)
        require(
            self.image_size >= least,
            f"image_size {self.image_size} is too small for the {len(self.encoder_widths)} levels "
            "of the encoder",
            f"Use {least} or more",
        )

    @property
    def down_widths(self) -> tuple[int, ...]:
        """Channels of each level of the down path."""
        return self.input_widths or self.widths

    @property
    def down_blocks(self) -> int:
        """Residual blocks of each level of the down path."""
        return self.num_input_res_blocks or self.num_res_blocks

    def heads(self, channels: int) -> int:
        """Attention heads at a width.

        Raises: ValueError when they do not divide it.
        """
        heads = channels // self.head_channels if self.head_channels else self.num_heads
        require(
            heads >= 1 and channels % (self.head_channels or heads) == 0,
            f"{channels} channels cannot be shared by heads of {self.head_channels} channels"
            if self.head_channels
            else f"num_heads {heads} does not divide {channels} channels",
            "Choose a divisor",
        )
        return heads

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dictionary that `from_dict` reads back."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DiffAEConfig:
        """Build from a (nested) mapping; unknown keys are errors that name the nearest valid one.

        Raises:
            ValueError: unknown keys or values out of range.
        """
        parts = {key: value for key, value in values.items() if key != "kind"}
        latent_net = parts.get("latent_net")
        if latent_net is not None:
            require(
                isinstance(latent_net, Mapping),
                "The latent_net configuration is no JSON object",
                "Give one, or null",
            )
            where = "the latent_net configuration"
            parts["latent_net"] = from_mapping(LatentNetConfig, latent_net, where)
        return from_mapping(cls, parts, "the Diff-AE configuration")


def _check_range(name: str, value: int, least: int, most: int) -> None:
    require(least <= value <= most, f"{name} is {value}", f"Use {least} to {most}")


def _check_widths(name: str, widths: tuple[int, ...]) -> None:
    require(
        1 <= len(widths) <= MAXIMUM_LEVELS and all(1 <= each <= MAXIMUM_WIDTH for each in widths),
        f"{name} is {widths}",
        f"Give 1 to {MAXIMUM_LEVELS} levels of 1 to {MAXIMUM_WIDTH} channels",
    )
