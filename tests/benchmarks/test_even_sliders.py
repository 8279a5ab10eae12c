"""The comparison of even sliders with straight ones."""

from dataclasses import replace

from benchmarks import even_sliders
from comfyui_cldis.editing.amount_scale import AmountScale


def table(model, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["even_sliders", "model.safetensors"])
    monkeypatch.setattr(even_sliders, "load_checkpoint", lambda path: model)
    even_sliders.main()
    return capsys.readouterr().out


def test_a_scale_in_the_file_plays_no_part(tiny_model, monkeypatch, capsys):
    plain = tiny_model.directions[0]
    low, high = plain.minimum, plain.maximum
    scale = AmountScale((low / 3, 0.0, 2 * high), (low, 0.0, high))
    scaled = replace(plain, scale=scale, minimum=low / 3, maximum=2 * high)
    without = table(replace(tiny_model, directions=(plain,)), monkeypatch, capsys)
    assert table(replace(tiny_model, directions=(scaled,)), monkeypatch, capsys) == without
