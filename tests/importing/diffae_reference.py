"""Diff-AE written out in plain arithmetic, as a reference: no module, no layer, no shared code.

`Weights` makes each weight when a network first asks for it, so that running a network once gives
its state dict under the published names. Settings are those of the published code by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

Settings = Mapping[str, Any]
DEFAULTS: dict[str, Any] = {
    "image_size": 32,
    "in_channels": 3,
    "model_channels": 32,
    "embed_channels": 16,
    "enc_out_channels": 16,
    "resnet_cond_channels": None,
    "channel_mult": (1, 2),
    "input_channel_mult": None,
    "num_res_blocks": 2,
    "num_input_res_blocks": None,
    "attention_resolutions": (16,),
    "num_heads": 1,
    "num_head_channels": -1,
    "use_new_attention_order": False,
    "resblock_updown": True,
    "conv_resample": True,
    "enc_channel_mult": (1, 2, 2),
    "enc_num_res_block": 2,
    "enc_attn_resolutions": None,
}
LATENT_DEFAULTS: dict[str, Any] = {
    "num_layers": 4,
    "num_hid_channels": 24,
    "skip_layers": (1, 2, 3),
    "num_time_emb_channels": 8,
    "num_time_layers": 2,
    "time_last_act": False,
    "use_norm": True,
    "condition_bias": 1,
}


class Weights(dict[str, Tensor]):
    """Random weights by name, the same for the same seed and order."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(seed)

    def get_or_make(self, name: str, *shape: int) -> Tensor:
        """Weights of a layer; those of a normalisation lie about 1."""
        if name not in self:
            noise = torch.randn(shape, generator=self.generator)
            if len(shape) > 1:
                self[name] = 0.7 * noise / math.sqrt(math.prod(shape[1:]))
            else:
                self[name] = 0.1 * noise + (1.0 if name.endswith(".weight") else 0.0)
        assert self[name].shape == shape
        return self[name]


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def linear(w: Weights, name: str, x: Tensor, out: int) -> Tensor:
    weight = w.get_or_make(f"{name}.weight", out, x.shape[1])
    return x @ weight.T + w.get_or_make(f"{name}.bias", out)


def conv(w: Weights, name: str, x: Tensor, out: int, size: int = 3, stride: int = 1) -> Tensor:
    weight = w.get_or_make(f"{name}.weight", out, x.shape[1], size, size)
    bias = w.get_or_make(f"{name}.bias", out)
    return torch.nn.functional.conv2d(x, weight, bias, stride=stride, padding=size // 2)


def norm(w: Weights, name: str, x: Tensor) -> Tensor:
    channels = x.shape[1]
    groups = x.reshape(len(x), min(32, channels), -1)
    mean, var = groups.mean(2, keepdim=True), groups.var(2, keepdim=True, unbiased=False)
    flat = ((groups - mean) / (var + 1e-5).sqrt()).reshape(len(x), channels, -1)
    weight = w.get_or_make(f"{name}.weight", channels)
    bias = w.get_or_make(f"{name}.bias", channels)
    return (flat * weight[:, None] + bias[:, None]).reshape(x.shape)


def halved(x: Tensor) -> Tensor:
    b, c, height, width = x.shape
    return x.reshape(b, c, height // 2, 2, width // 2, 2).mean((3, 5))


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def unchanged(x: Tensor) -> Tensor:
    return x


def sinusoid(t: Tensor, dim: int) -> Tensor:
    half = dim // 2
    rows = []
    for value in t.tolist():
        angles = [value * 10000 ** (-index / half) for index in range(half)]
        rows.append([*map(math.cos, angles), *map(math.sin, angles)])
    return torch.tensor(rows, dtype=torch.float64).float()


def res_block(
    w: Weights,
    name: str,
    x: Tensor,
    out: int,
    time: Tensor | None = None,
    code: Tensor | None = None,
    resize: Callable[[Tensor], Tensor] = unchanged,
) -> Tensor:
    h = conv(w, f"{name}.in_layers.2", resize(silu(norm(w, f"{name}.in_layers.0", x))), out)
    if time is not None and code is not None:
        both = linear(w, f"{name}.emb_layers.1", silu(time), 2 * out)[:, :, None, None]
        z = linear(w, f"{name}.cond_emb_layers.1", silu(code), out)[:, :, None, None]
        h = norm(w, f"{name}.out_layers.0", h)
        h = (h * (1 + both[:, :out]) + both[:, out:]) * (1 + z)
        h = conv(w, f"{name}.out_layers.3", silu(h), out)
    x = resize(x)
    return h + (x if x.shape[1] == out else conv(w, f"{name}.skip_connection", x, out, 1))


def attention(w: Weights, name: str, x: Tensor, s: Settings) -> Tensor:
    b, c, height, width = x.shape
    per_head = s["num_head_channels"]
    heads = s["num_heads"] if per_head == -1 else c // per_head
    d = c // heads
    flat = norm(w, f"{name}.norm", x).reshape(b, c, -1)
    weight = w.get_or_make(f"{name}.qkv.weight", 3 * c, c, 1)[:, :, 0]
    qkv = weight @ flat + w.get_or_make(f"{name}.qkv.bias", 3 * c)[:, None]
    parts = []
    for head in range(heads):
        if s["use_new_attention_order"]:  # all queries, all keys, all values
            starts = [part * c + head * d for part in range(3)]
        else:  # query, key and value of one head after the other
            starts = [head * 3 * d + part * d for part in range(3)]
        q, k, v = (qkv[:, start : start + d] for start in starts)  # (b, d, HW)
        share = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(d), dim=2)  # (b, HW, HW)
        parts.append(v @ share.transpose(1, 2))
    weight = w.get_or_make(f"{name}.proj_out.weight", c, c, 1)[:, :, 0]
    h = weight @ torch.cat(parts, 1) + w.get_or_make(f"{name}.proj_out.bias", c)[:, None]
    return x + h.reshape(x.shape)


def down(w: Weights, name: str, x: Tensor, s: Settings, *given: Tensor) -> Tensor:
    if s["resblock_updown"]:
        return res_block(w, f"{name}.0", x, x.shape[1], *given, resize=halved)
    return conv(w, f"{name}.0.op", x, x.shape[1], stride=2) if s["conv_resample"] else halved(x)


def encode(w: Weights, s: Settings, x: Tensor) -> Tensor:
    mults = s["enc_channel_mult"] or s["channel_mult"]
    sizes = s["enc_attn_resolutions"] or s["attention_resolutions"]
    h = conv(w, "encoder.input_blocks.0.0", x, mults[0] * s["model_channels"])
    index = 0
    for level, mult in enumerate(mults):
        for _ in range(s["enc_num_res_block"]):
            index += 1
            name = f"encoder.input_blocks.{index}"
            h = res_block(w, f"{name}.0", h, mult * s["model_channels"])
            if s["image_size"] // 2**level in sizes:
                h = attention(w, f"{name}.1", h, s)
        if level < len(mults) - 1:
            index += 1
            h = down(w, f"encoder.input_blocks.{index}", h, s)
    h = middle(w, "encoder.middle_block", h, s)
    h = silu(norm(w, "encoder.out.0", h)).mean((2, 3))[:, :, None, None]
    return conv(w, "encoder.out.3", h, s["enc_out_channels"], 1).flatten(1)


def middle(w: Weights, name: str, h: Tensor, s: Settings, *given: Tensor) -> Tensor:
    h = res_block(w, f"{name}.0", h, h.shape[1], *given)
    h = attention(w, f"{name}.1", h, s)
    return res_block(w, f"{name}.2", h, h.shape[1], *given)


def predict(w: Weights, s: Settings, x: Tensor, t: Tensor, z: Tensor) -> Tensor:
    base, mults = s["model_channels"], s["channel_mult"]
    time = linear(w, "time_embed.time_embed.0", sinusoid(t, base), s["embed_channels"])
    time = linear(w, "time_embed.time_embed.2", silu(time), s["embed_channels"])
    h = conv(w, "input_blocks.0.0", x, mults[0] * base)
    beside: list[list[Tensor]] = [[] for _ in mults]
    beside[0].append(h)
    index = 0
    for level, mult in enumerate(s["input_channel_mult"] or mults):
        for _ in range(s["num_input_res_blocks"] or s["num_res_blocks"]):
            index += 1
            h = res_block(w, f"input_blocks.{index}.0", h, mult * base, time, z)
            if s["image_size"] // 2**level in s["attention_resolutions"]:
                h = attention(w, f"input_blocks.{index}.1", h, s)
            beside[level].append(h)
        if level < len(mults) - 1:
            index += 1
            h = down(w, f"input_blocks.{index}", h, s, time, z)
            beside[level + 1].append(h)
    h = middle(w, "middle_block", h, s, time, z)
    index = -1
    for level in reversed(range(len(mults))):
        for block in range(s["num_res_blocks"] + 1):
            index += 1
            name, place = f"output_blocks.{index}", 1
            if beside[level]:
                h = torch.cat([h, beside[level].pop()], 1)
            h = res_block(w, f"{name}.0", h, mults[level] * base, time, z)
            if s["image_size"] // 2**level in s["attention_resolutions"]:
                h, place = attention(w, f"{name}.1", h, s), 2
            if level and block == s["num_res_blocks"]:
                if s["resblock_updown"]:
                    h = res_block(w, f"{name}.{place}", h, h.shape[1], time, z, resize=doubled)
                else:
                    h = doubled(h)
                    if s["conv_resample"]:
                        h = conv(w, f"{name}.{place}.conv", h, h.shape[1])
    return conv(w, "out.2", silu(norm(w, "out.0", h)), s["in_channels"])


def predict_code(w: Weights, s: Settings, x: Tensor, t: Tensor) -> Tensor:
    """The latent diffusion model, of SiLU."""
    dim = x.shape[1]
    time = sinusoid(t, s["num_time_emb_channels"])
    for index in range(s["num_time_layers"]):
        time = linear(w, f"latent_net.time_embed.{2 * index}", time, dim)
        if index < s["num_time_layers"] - 1 or s["time_last_act"]:
            time = silu(time)
    h = x
    for index in range(s["num_layers"]):
        name, is_last = f"latent_net.layers.{index}", index == s["num_layers"] - 1
        if index in s["skip_layers"]:
            h = torch.cat([h, x], 1)
        width = dim if is_last else s["num_hid_channels"]
        h = linear(w, f"{name}.linear", h, width)
        if is_last:
            return h
        h = h * (s["condition_bias"] + linear(w, f"{name}.linear_emb", silu(time), width))
        if s["use_norm"]:
            mean, var = h.mean(1, keepdim=True), h.var(1, keepdim=True, unbiased=False)
            weight = w.get_or_make(f"{name}.norm.weight", width)
            h = (h - mean) / (var + 1e-5).sqrt() * weight
            h = h + w.get_or_make(f"{name}.norm.bias", width)
        h = silu(h)
    raise AssertionError("the last layer returns")


Denoise = Callable[[Tensor, Tensor], Tensor]


def spaced(steps: int) -> list[tuple[int, float]]:
    """Timesteps, cleanest first, with their alpha_bar: linear from 1e-4 to 2e-2, 1000 of them."""
    alpha_bar, levels = 1.0, []
    for t in range(1000):
        alpha_bar *= 1 - (1e-4 + (2e-2 - 1e-4) * t / 999)
        if t % (1000 // steps) == 0:
            levels.append((t, alpha_bar))
    return levels


def estimates(denoise: Denoise, x: Tensor, t: int, alpha_bar: float) -> tuple[Tensor, Tensor]:
    """The clipped image, and the noise that goes with it."""
    eps = denoise(x.float(), torch.full((len(x),), t)).double()
    image = (x / alpha_bar**0.5 - eps * (1 / alpha_bar - 1) ** 0.5).clamp(-1, 1)
    return image, (x / alpha_bar**0.5 - image) / (1 / alpha_bar - 1) ** 0.5


def draw(denoise: Denoise, noise: Tensor, steps: int) -> Tensor:
    levels = spaced(steps)
    x = noise.double()
    for index in reversed(range(steps)):
        image, eps = estimates(denoise, x, *levels[index])
        cleaner = levels[index - 1][1] if index else 1.0
        x = cleaner**0.5 * image + (1 - cleaner) ** 0.5 * eps
    return x.float()


def invert(denoise: Denoise, images: Tensor, steps: int) -> Tensor:
    levels = spaced(steps)
    x = images.double()
    for index in range(steps):
        image, eps = estimates(denoise, x, *levels[index])
        noisier = levels[index + 1][1] if index < steps - 1 else 0.0
        x = noisier**0.5 * image + (1 - noisier) ** 0.5 * eps
    return x.float()
