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


def test_texts_of_a_file_cannot_command_a_terminal(tiny_checkpoint, tmp_path):
    model = load_checkpoint(tiny_checkpoint)
    facts = replace(
        model.facts,
        name="a\x1b[2J\n  licence        CC0",
        licence="First line.\nSecond\tline\x9b.\r\nThird.",
        data_card="笑顔\u3000大\x07\nmore",
        training=replace(model.facts.training, hardware="x\ny"),
    )
    first, *others = model.directions
    odd = (replace(first, negative_label="\x1b]0;x\x07"), *others)
    path = tmp_path / "odd.safetensors"
    save_checkpoint(path, replace(model, facts=facts, directions=odd))
    text = as_text(read_header(path), "it")
    assert all(line.isprintable() for line in text.replace("\u3000", " ").split("\n"))
    lines = text.split("\n")
    assert lines[0] == r"it: a\x1b[2J\n  licence        CC0"
    at = next(index for index, line in enumerate(lines) if line.startswith("  licence"))
    assert [line.strip() for line in lines[at : at + 3]] == [
        "licence        First line.",
        r"Second line\x9b.",
        "Third.",
    ]
    assert lines[-2:] == ["  笑顔\u3000大\\x07", "  more"]
    assert r"\x1b]0;x\x07" in text and r"  hardware: x\ny" in lines
    assert load_checkpoint(path).name == r"a\x1b[2J\n  licence        CC0"
