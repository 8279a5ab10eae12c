"""From a checkpoint to a model file: settings, shapes, statistics, facts and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from comfyui_cldis.checkpoint import CheckpointError, load_checkpoint, read_header
from comfyui_cldis.cli import main
from comfyui_cldis.editing.editable import LatentStatistics
from comfyui_cldis.importing import ForeignFileError, import_diffae
from comfyui_cldis.model.diffae import DiffAEConfig
from tests.importing import diffae_reference as reference
from tests.importing.diffae_files import checkpoint, save, tiny, tiny_latent, weights_of

SETTINGS = tiny(num_res_blocks=1, enc_num_res_block=1)


@pytest.fixture(scope="module")
def good() -> dict[str, Any]:
    return checkpoint(weights_of(SETTINGS), SETTINGS)


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Any]:
    """`imported(values, is_old=False, latent=values)` writes, imports and loads."""

    def run(values: Any, *, is_old: bool = False, latent: Any = None) -> Any:
        path = save(tmp_path / "last.ckpt", values, is_old=is_old)
        beside = None
        if latent is not None:
            beside = save(tmp_path / "latent.pkl", latent, is_old=is_old)
        result = import_diffae(path, tmp_path / "model.safetensors", latent=beside)
        return result, load_checkpoint(tmp_path / "model.safetensors")

    return run


def test_what_the_model_file_says(good, imported, tmp_path) -> None:
    result, model = imported(good)
    assert result.architecture.source == "settings"
    header = read_header(tmp_path / "model.safetensors")
    assert header.format_version == 3
    assert header.config == model.networks.config
    assert (header.image_size, header.latent_dim, header.directions) == (16, 16, ())
    schedule = header.schedule.to_dict()
    assert schedule == {
        "num_train_steps": 1000,
        "betas": "linear",
        "prediction": "eps",
        "zero_terminal_snr": False,
        "spacing": "leading",
        "clip_x0": True,
    }
    assert header.facts.name == "tiny_autoenc"
    assert (header.facts.training.steps, header.facts.training.images) == (12, 96)
    assert header.facts.other["imported"]["file"] == "last.ckpt"
    assert "latent_steps" not in header.facts.other["imported"]


def test_steps_of_a_latent_model_are_not_those_of_the_decoder(imported) -> None:
    values = checkpoint(
        weights_of(SETTINGS, tiny_latent()), SETTINGS, tiny_latent(), conds=torch.randn(9, 16)
    )
    _, model = imported(values)
    training = model.facts.training
    assert (training.steps, training.images, training.seed) == (None, None, 0)
    assert model.facts.other["imported"]["latent_steps"] == 12


@pytest.mark.parametrize("file", ["last", "last.ckpt"])
def test_a_model_without_a_name_is_called_as_its_file(file, good, tmp_path) -> None:
    path = save(tmp_path / file, setting(name=None)(good))
    assert import_diffae(path, tmp_path / "model.safetensors").model.facts.name == "last"


def test_averaged_weights_and_no_others(good, imported) -> None:
    _, model = imported(good)
    state = model.networks.state_dict()
    stored = good["state_dict"]
    assert torch.equal(state["unet.out.2.weight"], stored["ema_model.out.2.weight"])
    name = "encoder.input_blocks.0.0.weight"
    assert torch.equal(state[name], stored[f"ema_model.{name}"])
    name = "time_embed.0.weight"
    assert torch.equal(state[f"unet.{name}"], stored[f"ema_model.time_embed.{name}"])


def test_the_old_format_gives_the_same(good, imported) -> None:
    _, new = imported(good)
    _, old = imported(good, is_old=True)
    for key, tensor in new.networks.state_dict().items():
        assert torch.equal(tensor, old.networks.state_dict()[key])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_kinds_of_numbers(kind, good, imported) -> None:
    state = {
        key: tensor.to(kind) if key.startswith("ema_model.") else tensor
        for key, tensor in good["state_dict"].items()
    }
    _, model = imported({**good, "state_dict": state})
    found = model.networks.state_dict()["unet.out.2.weight"]
    assert torch.equal(found, state["ema_model.out.2.weight"].float())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_res_blocks": 2, "enc_num_res_block": 3},
        {"resblock_updown": False},
        {"resblock_updown": False, "conv_resample": False},
        {"input_channel_mult": (2, 1), "num_input_res_blocks": 2},
        {"enc_attn_resolutions": (16,), "enc_channel_mult": (1, 1, 2)},
        {"in_channels": 1},
    ],
)
def test_shapes_alone_tell_the_architecture(changes, imported) -> None:
    settings = {**SETTINGS, **changes}
    values = checkpoint(weights_of(settings, tiny_latent()), settings, tiny_latent())
    codes = {"conds": torch.randn(9, 16)}
    values["hyper_parameters"]["model_conf"]["out_channels"] = settings["in_channels"]
    _, known = imported(values, latent=codes)
    result, model = imported({**values, "hyper_parameters": {}}, latent=codes)
    assert result.architecture.source == "shapes"
    assert any("one attention head" in each for each in result.architecture.assumed)
    assert model.networks.config == known.networks.config


def test_networks_alone_may_have_the_settings(good, imported) -> None:
    """Their part of the settings counts where those of the run are not there."""
    inner = good["hyper_parameters"]["model_conf"]
    _, known = imported(good)
    _, model = imported({**good, "hyper_parameters": {"model_conf": inner}})
    assert model.networks.config == known.networks.config


def test_settings_of_the_run_count_more(good, imported) -> None:
    """The published code makes those of the networks anew from them."""
    inner = {**good["hyper_parameters"]["model_conf"], "channel_mult": (1, 2, 4)}
    _, known = imported(good)
    _, model = imported(setting(model_conf=inner)(good))
    assert model.networks.config == known.networks.config


def test_statistics_of_codes(good, imported) -> None:
    codes = torch.randn(500, 16, generator=torch.Generator().manual_seed(0)) * 2 + 1
    result, model = imported(good, latent={"conds": codes})
    assert result.statistics == "measured"
    expected = LatentStatistics.from_codes(codes)
    for name in ("mean", "std", "low", "high"):
        assert torch.equal(getattr(model.statistics, name), getattr(expected, name))
    assert model.facts.other["imported"]["latent"] == "latent.pkl"


def test_statistics_of_the_checkpoint(imported) -> None:
    codes = torch.randn(500, 16, generator=torch.Generator().manual_seed(0)) * 2 + 1
    values = checkpoint(weights_of(SETTINGS), SETTINGS, conds=codes)
    result, model = imported(values)
    assert result.statistics == "mean and deviation"
    assert torch.equal(model.statistics.mean, codes.mean(0))
    assert torch.equal(model.statistics.std, codes.std(0))
    tail = (model.statistics.high - codes.mean(0)) / codes.std(0)
    assert tail.allclose(torch.full((16,), 2.5758), atol=1e-3)  # 99.5 % of a normal distribution


def test_no_statistics(good, imported) -> None:
    result, model = imported(good)
    assert result.statistics == "assumed"
    assert torch.equal(model.statistics.std, torch.ones(16))
    assert model.facts.other["imported"]["statistics"] == "assumed"


@pytest.mark.parametrize(
    ("latent", "fact"),
    [
        ({"conds": torch.randn(9, 8)}, r"shape \(9, 8\), and the code of this model has 16"),
        ({"conds": torch.zeros(9, 16)}, "never differs"),
        ({"conds": torch.full((9, 16), torch.nan)}, "are not finite"),
        ({"conds": torch.randn(9, 16) * 1e9}, "spread too far"),
        ({"conds_mean": torch.zeros(16), "conds_std": -torch.ones(16)}, "spread too far"),
        ({"conds_mean": torch.zeros(16)}, "holds no codes"),
        ({"conds_mean": torch.zeros(3), "conds_std": torch.ones(3)}, r"shape \(3,\)"),
        ([1], "holds no codes"),
    ],
)
def test_codes_that_do_not_fit(latent, fact, good, imported, tmp_path) -> None:
    with pytest.raises(ForeignFileError, match=fact):
        imported(good, latent=latent)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_latent_model_needs_statistics(imported) -> None:
    values = checkpoint(weights_of(SETTINGS, tiny_latent()), SETTINGS, tiny_latent())
    with pytest.raises(ForeignFileError, match="latent diffusion model, .* no mean"):
        imported(values)


def without(prefix: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(good: dict[str, Any]) -> dict[str, Any]:
        state = {k: v for k, v in good["state_dict"].items() if not k.startswith(prefix)}
        return {**good, "state_dict": state}

    return change


def setting(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda good: {**good, "hyper_parameters": {**good["hyper_parameters"], **changes}}


def tensor(name: str, value: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda good: {**good, "state_dict": {**good["state_dict"], name: value}}


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (without("ema_model."), "no averaged weights"),
        (without("ema_model.encoder."), "without a semantic encoder"),
        (lambda good: {**good, "state_dict": {}}, "no 'state_dict'"),
        (lambda good: [1, 2], "no 'state_dict'"),
        (lambda good: {"state_dict": {"weight": torch.ones(2)}}, "holds no Diff-AE: none of its 1"),
        (without("ema_model.out.2.bias"), r"1 missing: out\.2\.bias"),
        (tensor("ema_model.more", torch.ones(2)), "1 unexpected: more"),
        (
            tensor("ema_model.out.2.bias", torch.ones(4)),
            r"bias has \(4,\), expected \(3,\)",
        ),
        (tensor("ema_model.out.2.bias", torch.full((3,), torch.nan)), "no finite numbers"),
        (tensor("ema_model.out.2.bias", torch.ones(3, dtype=torch.int64)), "no finite numbers"),
        (setting(net_enc_pool="depthconv"), "net_enc_pool is 'depthconv'"),
        (setting(net_beatgans_resnet_two_cond=False), "two_cond is False"),
        (setting(T=500), "T is 500"),
        (setting(beta_scheduler="const0.01"), "beta_scheduler is 'const0.01'"),
        (setting(img_size="16"), "img_size is '16', not a whole number"),
        (setting(img_size=15), "image_size 15 is not divisible by 2"),
        (setting(img_size=((16,),)), "img_size is a tuple, not a whole number"),
        (setting(net_ch_mult=3), "net_ch_mult is 3, not a list"),
        (setting(net_ch_mult=[[2], 1]), "net_ch_mult is a list, not a list of numbers"),
        (
            setting(net_ch_mult=[float("inf"), 1]),
            r"net_ch_mult is \[inf, 1\], not a list of numbers",
        ),
        (setting(net_ch=10**400, net_ch_mult=[0.5]), "too large to convert"),
        (setting(style_ch=24), "24 scalars, but the decoder reads 16"),
        (setting(net_beatgans_attn_head=3), "3 does not divide 16 channels"),
        (setting(net_ch_mult=(1,) * 11), "Give 1 to 10 levels"),
    ],
)
def test_other_layouts_are_refused(change, fact, good, imported, tmp_path) -> None:
    with pytest.raises(ForeignFileError, match=fact):
        imported(change(good))
    assert not (tmp_path / "model.safetensors").exists()


def test_shapes_of_too_few_dimensions(good, imported) -> None:
    change = tensor("ema_model.input_blocks.0.0.weight", torch.zeros(()))
    with pytest.raises(ForeignFileError, match=r"read\. A weight has too few dimensions\. Only"):
        imported({**change(good), "hyper_parameters": {}})


def test_a_latent_model_without_layers(good, imported) -> None:
    change = tensor("ema_model.latent_net.more", torch.zeros(2))
    with pytest.raises(ForeignFileError, match=r"Its latent diffusion model has no layers\. Only"):
        imported(change(good))


def test_shapes_need_the_size_of_images(good, imported) -> None:
    with pytest.raises(ForeignFileError, match="how large its images are"):
        imported({**without("x_T")(good), "hyper_parameters": {}})


def test_progress(good, tmp_path) -> None:
    seen: list[tuple[str, float]] = []
    path = save(tmp_path / "last.ckpt", good)
    import_diffae(
        path, tmp_path / "model.safetensors", on_progress=lambda *stage: seen.append(stage)
    )
    assert [stage for stage, _ in seen[-2:]] == ["writing", "writing"]
    shares = [share for stage, share in seen if stage == "reading"]
    assert len(shares) > 50 and shares == sorted(shares) and shares[-1] == 1


def test_the_header_of_an_unknown_kind_is_refused(good, imported, tmp_path) -> None:
    imported(good)
    path = tmp_path / "model.safetensors"
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    architecture = json.loads(metadata["architecture"])
    metadata["architecture"] = json.dumps({**architecture, "kind": "other"})
    save_file(load_file(path), path, metadata)
    with pytest.raises(CheckpointError, match="kind of networks is 'other'"):
        read_header(path)


def test_configurations_come_back() -> None:
    config = DiffAEConfig(encoder_widths=(32, 64))
    assert DiffAEConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match="Did you mean 'widths'"):
        DiffAEConfig.from_dict({"width": [1]})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_train_steps": -3}, "num_train_steps is -3. Use 100 to 10000"),
        ({"num_train_steps": 99}, "num_train_steps is 99. Use 100 to 10000"),
        ({"num_train_steps": 10**9}, "num_train_steps is 1000000000. Use 100 to 10000"),
        ({"betas": "x"}, "betas is 'x'. Use one of cosine, linear, const0.008"),
        ({"condition_bias": float("inf")}, "condition_bias is inf. Use a finite number"),
    ],
)
def test_noise_levels_of_the_latent_model(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        DiffAEConfig.from_dict({"latent_net": values})


def test_the_commands(good, tmp_path, capsys) -> None:
    path, model = save(tmp_path / "last.ckpt", good), tmp_path / "model.safetensors"
    command = ["import-diffae", str(path), "--output", str(model)]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "16 x 16 pixels, 16 scalars" in said.out and "no statistics of its code" in said.err
    assert main(command) == 2  # it is there already
    assert "there already" in capsys.readouterr().err
    assert main([*command[:-1], str(tmp_path / "model.ckpt")]) == 2
    w = weights_of(SETTINGS)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    z, t = reference.encode(w, SETTINGS, x), torch.tensor([1, 700])
    arrays = {"x": x, "z_sem": z, "x_t": x.clone(), "t": t}
    arrays["eps"] = reference.predict(w, SETTINGS, x, t, z)
    io = tmp_path / "io.safetensors"
    save_file(arrays, io)
    assert main(["parity", str(model), str(io)]) == 0
    assert "z_sem" in capsys.readouterr().out
    save_file({**arrays, "eps": arrays["eps"] + 1e-3}, io)
    assert main(["parity", str(model), str(io), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [(row["array"], row["within"]) for row in rows] == [("z_sem", True), ("eps", False)]
    assert rows[1]["max_abs_error"] == pytest.approx(1e-3, rel=0.05)
    save_file({"eps": arrays["eps"]}, io)
    assert main(["parity", str(model), str(io)]) == 2
    assert "'x_t' is missing" in capsys.readouterr().err
    save_file({"other": x}, io)
    assert main(["parity", str(model), str(io)]) == 2
    assert main(["parity", str(model), str(tmp_path / "none")]) == 2
