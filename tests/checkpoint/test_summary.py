"""What is said of a model's directions, for reading."""

from dataclasses import replace

from comfyui_cldis.checkpoint import load_checkpoint, read_header, save_checkpoint
from comfyui_cldis.checkpoint.summary import as_text, ranges_in_words
from comfyui_cldis.editing.amount_scale import AmountScale
from trainer.report.model_card import write_card


def test_ranges_of_even_sliders_are_not_called_standard_deviations(tiny_checkpoint, tmp_path):
    straight = "the range seen in training (0.5 to 99.5 %) in standard deviations"
    assert f"with {straight}:" in as_text(read_header(tiny_checkpoint), "tiny")
    assert f"Range: {straight};" in " ".join(write_card(tiny_checkpoint).split())
    model = load_checkpoint(tiny_checkpoint)
    scale = AmountScale((-1.0, 0.0, 3.0), (-2.0, 0.0, 2.0))
    first, *others = model.directions
    even = replace(model, directions=(replace(first, scale=scale), *others))
    save_checkpoint(tmp_path / "even.safetensors", even)
    words = ranges_in_words(even.directions)
    assert "1 is about one standard deviation" in words
    assert "without ends where nothing is seen to change" in words
    assert f"with {words}:" in as_text(read_header(tmp_path / "even.safetensors"), "even")
    card = " ".join(write_card(tmp_path / "even.safetensors").split())
    assert f"Range: {words}; its ends can show artefacts." in card
