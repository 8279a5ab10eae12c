"""The architecture of a Diff-AE checkpoint, from the settings of its training.

A checkpoint has the settings of the run (`net_*` and others), and in them those of the networks
(`model_conf`), which may be older: the published code makes them anew from the former.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..checkpoint.differences import Shape
from ..diffusion.schedule import ScheduleConfig
from ..model.diffae import DiffAEConfig, LatentNetConfig
from .errors import ForeignFileError
from .shapes import config_from_shapes, latent_net_from_shapes
from .stored import Inert, as_mapping

NUM_TRAIN_STEPS = 1000
LATENT_NET = "latent_net."
PUBLISHED_POOL = "adaptivenonzero"
LARGEST_MULT = 1e6  # far beyond any width
LONGEST_VALUE = 80  # characters of a setting in a message


@dataclass(frozen=True)
class Architecture:
    """What to build.

    Attributes:
        config: of the networks.
        schedule: of the images.
        source: "settings" or "shapes".
        assumed: what the file does not say, in words.
    """

    config: DiffAEConfig
    schedule: ScheduleConfig
    source: str
    assumed: tuple[str, ...]


def read_architecture(
    root: Any, shapes: Mapping[str, Shape], noise: Shape, file: str
) -> Architecture:
    """The architecture from the settings in a checkpoint, or else from shapes of its weights.

    Args:
        shapes: of the averaged weights, by published name.
        noise: shape (n, C, S, S) of the noise that the training kept for its samples; () if none.

    Raises: ForeignFileError for settings that the published code refuses, or that are missing.
    """
    settings = as_mapping(as_mapping(root).get("hyper_parameters"))
    inner = as_mapping(settings.get("model_conf"))
    try:
        if "net_ch" in settings or "model_channels" in inner:
            return _from_settings(settings, inner, shapes)
        config, assumed = config_from_shapes(shapes, noise)
        config = replace(config, latent_net=latent_net_from_shapes(shapes))
        if config.latent_net is not None:
            assumed = (*assumed, *ASSUMED_OF_LATENT_NET)
        return Architecture(config, _schedule({}), "shapes", (*assumed, ASSUMED_SCHEDULE))
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        reason = f"It lacks {error}" if isinstance(error, KeyError) else str(error)
        if isinstance(error, IndexError):
            reason = "A weight has too few dimensions"
        raise ForeignFileError(
            f"The architecture of {file} cannot be read. {reason.rstrip('.')}. Only checkpoints of "
            "the published Diff-AE code can be imported."
        ) from error


ASSUMED_SCHEDULE = "linear noise levels, 1000 of them"
ASSUMED_ACTIVATIONS = "SiLU within the latent diffusion model, and none at its end"
ASSUMED_OF_LATENT_NET = (
    ASSUMED_ACTIVATIONS,
    "noise levels const0.008 of the codes, which are normalised; condition bias 1",
)


def _from_settings(
    settings: Mapping[str, Any], inner: Mapping[str, Any], shapes: Mapping[str, Shape]
) -> Architecture:
    def given(outer_name: str, inner_name: str, default: Any = None) -> Any:
        """Of the run, or else of the networks, or else as the published code has it."""
        for values, name in ((settings, outer_name), (inner, inner_name)):
            if values.get(name) is not None:
                return values[name]
        return default

    in_channels = _whole("in_channels", given("", "in_channels", 3))
    _check_published(given, in_channels)
    base = _whole("net_ch", given("net_ch", "model_channels"))
    attention = _list("net_attn", given("net_attn", "attention_resolutions", ()))
    mults = _mults("net_ch_mult", given("net_ch_mult", "channel_mult", (1, 2, 4, 8)))
    input_mults = _mults("input_channel_mult", inner.get("input_channel_mult") or ())
    encoder_mults = _mults(
        "net_enc_channel_mult", given("net_enc_channel_mult", "enc_channel_mult") or mults
    )
    heads = given("", "num_head_channels", -1)
    config = DiffAEConfig(
        image_size=_whole("img_size", given("img_size", "image_size")),
        in_channels=in_channels,
        latent_dim=_whole("style_ch", given("style_ch", "enc_out_channels")),
        base_channels=base,
        embed_dim=_whole(
            "net_beatgans_embed_channels",
            given("net_beatgans_embed_channels", "embed_channels", 512),
        ),
        widths=tuple(int(each * base) for each in mults),
        input_widths=tuple(int(each * base) for each in input_mults),
        num_res_blocks=_whole(
            "net_num_res_blocks", given("net_num_res_blocks", "num_res_blocks", 2)
        ),
        num_input_res_blocks=_whole(
            "net_num_input_res_blocks",
            given("net_num_input_res_blocks", "num_input_res_blocks", 0),
        ),
        attention_sizes=attention,
        num_heads=_whole("num_heads", given("net_beatgans_attn_head", "num_heads", 1)),
        head_channels=0 if heads == -1 else _whole("num_head_channels", heads),
        splits_heads_last=bool(given("", "use_new_attention_order", False)),
        has_resampling_blocks=bool(given("net_resblock_updown", "resblock_updown", True)),
        has_resampling_convolutions=bool(given("", "conv_resample", True)),
        encoder_widths=tuple(int(each * base) for each in encoder_mults),
        encoder_num_res_blocks=_whole(
            "net_enc_num_res_blocks", given("net_enc_num_res_blocks", "enc_num_res_block", 2)
        ),
        encoder_attention_sizes=_list(
            "net_enc_attn", given("net_enc_attn", "enc_attn_resolutions") or attention
        ),
    )
    assumed: tuple[str, ...] = ()
    if any(name.startswith(LATENT_NET) for name in shapes):
        net, assumed = _latent_net(settings, as_mapping(inner.get("latent_net_conf")), shapes)
        config = replace(config, latent_net=net)
    return Architecture(config, _schedule(settings), "settings", assumed)


def _latent_net(
    settings: Mapping[str, Any], inner: Mapping[str, Any], shapes: Mapping[str, Shape]
) -> tuple[LatentNetConfig, tuple[str, ...]]:
    """The latent diffusion model, and what is not said of it."""
    if settings.get("net_latent_layers") is None and "num_layers" not in inner:
        net = latent_net_from_shapes(shapes)
        if net is None:
            raise ValueError("Its latent diffusion model has no layers")
        return net, ASSUMED_OF_LATENT_NET

    def given(outer_name: str, inner_name: str, default: Any) -> Any:
        for values, name in ((settings, f"net_latent_{outer_name}"), (inner, inner_name)):
            if values.get(name) is not None:
                return values[name]
        return default

    activation = _word(given("activation", "activation", None))
    last = _word(given("net_last_act", "last_act", None))
    net = LatentNetConfig(
        num_layers=_whole("net_latent_layers", given("layers", "num_layers", None)),
        hidden_dim=_whole(
            "net_latent_num_hid_channels", given("num_hid_channels", "num_hid_channels", 1024)
        ),
        skip_layers=_list("net_latent_skip_layers", given("skip_layers", "skip_layers", ())),
        time_channels=_whole(
            "net_latent_time_emb_channels", given("time_emb_channels", "num_time_emb_channels", 64)
        ),
        num_time_layers=_whole(
            "net_latent_num_time_layers", given("num_time_layers", "num_time_layers", 2)
        ),
        has_time_activation=bool(given("time_last_act", "time_last_act", False)),
        activation=activation or "silu",
        last_activation=last or "none",
        has_norm=bool(given("use_norm", "use_norm", False)),
        condition_bias=float(given("condition_bias", "condition_bias", 0.0)),
        betas=_betas("latent_beta_scheduler", settings.get("latent_beta_scheduler", "linear")),
        num_train_steps=NUM_TRAIN_STEPS,
        clip_x0=bool(settings.get("latent_clip_sample", False)),
        is_normalised=bool(settings.get("latent_znormalize", False)),
    )
    return net, () if activation and last else (ASSUMED_ACTIVATIONS,)


def _check_published(given: Any, in_channels: int) -> None:
    """Raises: ValueError for settings that the published code has no networks for."""
    for outer, inner, allowed, default in (
        ("net_beatgans_resnet_two_cond", "resnet_two_cond", (True,), True),
        ("net_enc_pool", "enc_pool", (PUBLISHED_POOL,), PUBLISHED_POOL),
        ("net_autoenc_stochastic", "", (False,), False),
        ("", "num_heads_upsample", (-1,), -1),
        ("", "dims", (2,), 2),
        ("", "num_classes", (None,), None),
        ("T", "", (NUM_TRAIN_STEPS,), NUM_TRAIN_STEPS),
        ("", "out_channels", (in_channels,), in_channels),
    ):
        value = given(outer, inner, default)
        if value not in allowed:
            raise ValueError(
                f"Its {outer or inner} is {_shown(value)}, and only {allowed[0]!r} is known"
            )
    code = given("style_ch", "enc_out_channels")
    read = given("net_beatgans_resnet_cond_channels", "resnet_cond_channels") or given(
        "net_beatgans_embed_channels", "embed_channels", 512
    )
    if type(code) is int and code != read:
        raise ValueError(f"Its code has {code} scalars, but the decoder reads {_shown(read)}")


def _schedule(settings: Mapping[str, Any]) -> ScheduleConfig:
    betas = _betas("beta_scheduler", settings.get("beta_scheduler", "linear"))
    return ScheduleConfig(
        num_train_steps=NUM_TRAIN_STEPS,
        betas=betas,  # type: ignore[arg-type]
        prediction="eps",
        zero_terminal_snr=False,
        spacing="leading",
        clip_x0=True,
    )


def _betas(name: str, value: Any) -> Any:
    if value not in ("linear", "cosine", "const0.008"):
        raise ValueError(
            f"Its {name} is {_shown(value)}, and only linear, cosine and const0.008 are known"
        )
    return value


def _whole(name: str, value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"Its {name} is {_shown(value)}, not a whole number")
    return value


def _list(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"Its {name} is {_shown(value)}, not a list")
    return tuple(_whole(name, each) for each in value)


def _mults(name: str, value: Any) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or not all(
        type(each) in (int, float) and abs(each) < LARGEST_MULT for each in value
    ):
        raise ValueError(f"Its {name} is {_shown(value)}, not a list of numbers")
    return tuple(value)


def _shown(value: Any) -> str:
    """A value for a message; of nested ones the kind, for they may be nested without end."""
    parts = value if isinstance(value, list | tuple) else [value]
    if all(part is None or isinstance(part, str | int | float) for part in parts):
        return repr(value)[:LONGEST_VALUE]
    return f"a {type(value).__name__}"


def _word(value: Any) -> str:
    """A setting that is a member of an enumeration, as its value; "" where it is not given."""
    if isinstance(value, Inert) and isinstance(value.args, tuple) and len(value.args) == 1:
        value = value.args[0]
    return value if isinstance(value, str) else ""
