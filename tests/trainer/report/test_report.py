"""The report page and its figures, and the sample images it shows."""

import base64
import dataclasses
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_cldis.checkpoint import save_checkpoint
from comfyui_cldis.diffusion.schedule import NoiseSchedule
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.facts import DirectionQuality, ModelFacts, ModelQuality, TrainingFacts
from comfyui_cldis.imaging.sheet import Row
from comfyui_cldis.model import DiffusionAutoencoder
from trainer.assemble import describe_run
from trainer.config.settings import load_preset
from trainer.data import DataReport
from trainer.monitor.metrics_file import read_records
from trainer.report.html import encode_image
from trainer.report.model_card import write_card
from trainer.report.plot_style import smooth
from trainer.report.plots import draw_curves, warmup_end
from trainer.report.report import titled, write_report
from trainer.report.samples import (
    choose_bases,
    draw_samples,
    latent_of,
    rank_axes,
    traversal_sheet,
    traverse_rows,
    write_samples,
)
from trainer.training.objectives.joint import Joint
from trainer.training.objectives.plain import Plain
from trainer.training.record import TrainingRecord

REAL_RUN = Path(__file__).parents[3] / "docs" / "heads64_stats.jsonl"
HOSTILE = "<script>alert('x')</script>&\"'"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects text and attributes, and checks that every element is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip() and self.open[-1] != "style":
            self.texts.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " | ".join(self.texts)


def fact(page: Page, name: str) -> str:
    return page.texts[page.texts.index(name) + 1]


@pytest.fixture
def run(tmp_path) -> Path:
    shutil.copy(REAL_RUN, tmp_path / "stats.jsonl")
    config = {"data": "/home/somebody/private/faces", **load_preset("heads64").to_dict()}
    config["steps"] = 4000
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def exported(*directions: Direction, **facts: Any) -> SimpleNamespace:
    """A model as the report is given it, without networks."""
    return SimpleNamespace(directions=directions, facts=ModelFacts(**facts))


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3))
    return Image.fromarray(values.astype(np.uint8))


@pytest.fixture(scope="module")
def curves():
    return draw_curves(read_records(REAL_RUN))


@pytest.fixture
def quick(monkeypatch, curves):
    """The figures take a second or two; pages are tested with those drawn once."""
    monkeypatch.setattr("trainer.report.report.draw_curves", lambda records, config: curves)


# -- the page ------------------------------------------------------------------------------------


def test_report_of_a_real_run(run, quick):
    known = DirectionQuality(monotone=0.5625)
    model = exported(
        Direction("yaw", (1.0, 0.0), -2.41, 2.34, "left", "right", 0.27327, known),
        Direction("hair", (0.6, 0.8), -2.0, 1.5, effect=0.1),
        name="heads 64",
        training=TrainingFacts(hardware="a small computer", steps=4000, command="train it"),
        quality=ModelQuality(explained_variance_random_noise=0.7592),
    )
    path = write_report(run, model, [("traversals", Image.new("RGB", (40, 20), "red"))])
    page = Page(path.read_text(encoding="utf-8"))
    assert path == run / "report.html" and path.stat().st_size < 5_000_000
    assert "Training of heads, 64 px" in page.texts and "a small computer" in page.text
    assert "<title>heads, 64 px: training report</title>" in path.read_text(encoding="utf-8")
    # the last record: step 4000, 128000 images, 6084.74 s; eleven dimensions above 0.1 nat
    assert fact(page, "Steps") == "4,000" and "of 4,000" in page.texts
    assert fact(page, "Images of the steps") == "128,000"
    assert "with repeats; the co-pilot saw 1,024,000" in page.texts  # eight updates in each step
    assert fact(page, "Training time") == "1 h 41 min"
    assert fact(page, "Dimensions used") == "11"
    assert fact(page, "Code explains") == "76 %"
    assert fact(page, "Sliders") == "2"
    assert "The image loss still fell by 20 % over the last quarter" in page.text
    assert (
        "yaw | 0 | left ... right | -2.41 to +2.34 | 0.273 | 56 % | not monotone on 44 %"
        in page.text
    )
    assert "hair | -2.00 to +1.50 | 0.100 | not measured" in page.text
    assert "Monotone: share of the images measured on," in page.text  # 16, fewer in an adaptation
    assert "No warnings." in page.texts
    images = page.tags.count("img")
    assert images == 6 + 1 and len(page.addresses) == images
    assert not list(run.glob("*.tmp"))


def test_a_weak_code_is_the_first_warning(run, quick):
    quality = ModelQuality(explained_variance_random_noise=0.12)
    model = exported(Direction("x", (1.0,), -1, 1), quality=quality)
    page = Page(write_report(run, model, []).read_text("utf-8"))
    text = (
        "The images do not follow the code yet: the code explains only 12 % of what differs "
        "between the images, so the one direction found is no slider yet. Train longer."
    )
    assert text in page.texts and "No warnings." not in page.texts
    assert fact(page, "Sliders") == "none yet" and "1 direction, see below" in page.texts
    title = page.texts.index("Directions, no sliders yet")
    assert page.texts[title + 1].endswith("are listed to be looked at, not to edit with.")
    page = Page(write_report(run, exported(), []).read_text("utf-8"))
    assert fact(page, "Sliders") == "none" and "no direction with a visible effect" in page.texts


@pytest.mark.parametrize(
    ("settings", "is_shown"),
    [
        ({}, True),
        ({"loop.bottleneck": "distance"}, True),
        ({"loop.bottleneck": "constant"}, False),
        ({"loop.bottleneck": "constant", "objective.name": "qlae"}, False),
    ],
)
def test_a_capacity_is_shown_only_where_there_is_one(run, monkeypatch, settings, is_shown):
    drawn = []
    monkeypatch.setattr("trainer.report.plots.to_png", lambda figure: drawn.append(figure) or b"")
    config = load_preset("heads64").with_values(settings).to_dict()
    (run / "config.json").write_text(json.dumps(config))
    page = Page(write_report(run, None, []).read_text("utf-8"))
    captions = page.text[page.text.index("Curves") : page.text.index("Words")]
    words = page.texts[page.texts.index("Words") :]
    assert ("Capacity C" in page.texts) is is_shown
    assert ("KL lies on C" in captions) is is_shown
    assert ("kl_weight and the code in use" in page.texts) is is_shown
    assert ("C" in words) is is_shown
    labels = [line.get_label() for line in drawn[1].axes[0].lines]
    assert ("C, the target" in labels) is is_shown
    is_entropy = "objective.name" in settings
    assert ("entropy of the co-pilot's code" in labels) is is_entropy
    assert ("co-pilot KL" in labels) is not is_entropy
    assert ("an entropy" in captions) is ("this objective has no KL" in page.text) is is_entropy


def test_the_code_in_use_has_one_name(run, quick):
    text = write_report(run, None, []).read_text("utf-8")
    page = Page(text)
    # mean of the last tenth of the records
    assert fact(page, "Code in use").endswith(" %") and "Code used" not in page.texts
    words = page.texts[page.texts.index("Words") :]
    assert "code in use" in words and "used" not in words


@pytest.mark.parametrize(
    ("name", "size", "title"),
    [("heads 64", 64, "heads, 64 px"), ("faces", 128, "faces, 128 px"), ("x 64", None, "x 64")],
)
def test_the_title_has_the_size_of_the_images(name, size, title):
    assert titled(name, size) == title


def test_the_page_needs_nothing_but_itself(run, quick):
    text = write_report(run, exported(name="x"), [("sheet", noise(30, 30))]).read_text("utf-8")
    page = Page(text)
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?://|url\(|@import", text)
    assert "/home/somebody" not in text and "faces" in text


def test_all_text_is_escaped(run, quick):
    (run / "config.json").write_text(json.dumps({"data": HOSTILE, HOSTILE: HOSTILE}))
    model = exported(
        Direction(HOSTILE, (1.0,), -1, 1, HOSTILE, HOSTILE),
        name=HOSTILE,
        data_card=HOSTILE,
        licence=HOSTILE,
        training=TrainingFacts(command=HOSTILE, hardware=HOSTILE, date=HOSTILE),
        quality=ModelQuality(images=HOSTILE, num_images=1, other={HOSTILE: HOSTILE}),
    )
    text = write_report(run, model, [(HOSTILE, Image.new("RGB", (4, 4)))]).read_text("utf-8")
    page = Page(text)
    assert "script" not in page.tags and "<script" not in text
    assert page.text.count("alert('x')") >= 8


def test_inverted_noise_is_no_headline_and_a_code_may_explain_nothing(run, quick):
    quality = ModelQuality(psnr_inverted_noise_db=48.0, explained_variance_random_noise=-0.25)
    page = Page(write_report(run, exported(quality=quality), []).read_text("utf-8"))
    assert fact(page, "Code explains") == "nothing"
    assert "the mean image is nearer (-0.25)" in page.text and "With inverted" not in page.text
    assert page.text.index("48.0 dB PSNR; the noise map alone") > page.text.index("Details")


@pytest.mark.parametrize("model", [None, exported()])
def test_missing_facts(run, quick, model):
    page = Page(write_report(run, model, []).read_text("utf-8"))
    assert "Training of faces, 64 px" in page.texts and "Images" not in page.texts


def test_of_an_unknown_configuration_the_images_of_the_co_pilot_are_not_counted(run, quick):
    (run / "config.json").unlink()
    page = Page(write_report(run, None, []).read_text("utf-8"))
    assert fact(page, "Images of the steps") == "128,000" and "with repeats" in page.texts


def test_the_last_sheet_is_shown_when_no_images_are_given(run, quick):
    (run / "samples").mkdir()
    for step, colour in ((500, "red"), (999_500, "blue"), (1_000_000, "lime")):
        Image.new("RGB", (6, 4), colour).save(run / "samples" / f"step_{step:06d}.png")
    Image.new("RGB", (6, 4)).save(run / "samples" / "traversals_2000000.png")
    page = Page(write_report(run, None, []).read_text("utf-8"))
    assert "Samples at step 1000000" in page.texts
    content = base64.b64decode(page.addresses[0].split(",", 1)[1])
    with Image.open(io.BytesIO(content)) as sheet:
        assert sheet.getpixel((0, 0)) == (0, 255, 0)


def test_a_model_of_another_step_is_noted(run, quick):
    earlier, same = (exported(training=TrainingFacts(steps=steps)) for steps in (3000, 4000))
    page = Page(write_report(run, earlier, []).read_text("utf-8"))
    assert "the model file and its figures are of step 3000" in page.text
    page = Page(write_report(run, same, []).read_text("utf-8"))
    assert "the model file" not in page.text


def test_warnings_come_first_and_replace_the_good_news(run, quick):
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    for line in lines:
        line["kl_per_dimension"] = [2.0] * 3 + [0.0] * 17
    (run / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = Page(write_report(run, None, []).read_text("utf-8"))
    assert "No warnings." not in page.texts
    assert page.texts.index("Warning.") < page.texts.index("Note.")
    assert "The co-pilot uses 3 of 20 dimensions" in page.text


def test_few_images_and_drawings_that_show_nothing_replace_the_good_news(run, quick):
    data = DataReport("/home/somebody/private/faces", found=40, used=40)
    quality = ModelQuality(explained_variance_code=0.35, explained_variance_random_noise=-0.29)
    known = DirectionQuality(monotone=1.0)
    model = exported(Direction("x", (1.0,), -1, 1, quality=known), quality=quality)
    page = Page(write_report(run, model, []).read_text("utf-8"))
    assert "No warnings." not in page.texts and page.texts.count("Warning.") == 1
    assert "drawn from the code explains nothing: the mean image" in page.text
    (run / "data_report.json").write_text(data.to_json())
    page = Page(write_report(run, None, []).read_text("utf-8"))
    assert "No warnings." not in page.texts and page.texts.count("Warning.") == 1
    assert "40 images will be learned by heart" in page.text and "/home/" not in page.text
    # of another version, whose fields may mean something else
    (run / "data_report.json").write_text('{"version": 1, "used": 40}')
    page = Page(write_report(run, None, []).read_text("utf-8"))
    assert "No warnings." in page.texts


def test_a_folder_without_statistics_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder .*nowhere[.]"):
        write_report(tmp_path / "nowhere", None, [])
    with pytest.raises(FileNotFoundError, match="Give the output folder of a run"):
        write_report(tmp_path, None, [])
    (tmp_path / "stats.jsonl").write_text('{"torn')
    page = Page(write_report(tmp_path, None, []).read_text("utf-8"))
    assert "There are no statistics yet." in page.text and "Curves" not in page.texts
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        write_report(tmp_path, None, [])


def test_large_images_are_made_to_fit(run, quick):
    # noise does not compress: 2 x 4.8 MB of it as PNG, a third more as text
    path = write_report(run, None, [("a", noise(1265, 1265)), ("b", noise(1265, 1265))])
    assert 1_000_000 < path.stat().st_size < 5_000_000


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(40_000, ((80, 40), "PNG")), (5_000, ((80, 40), "JPEG")), (700, ((10, 5), "PNG"))],
)
def test_encoded_image_keeps_its_limit_and_shape(limit, expected):
    address = encode_image(noise(80, 40), limit)
    assert len(address) <= limit
    with Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))) as image:
        assert (image.size, image.format) == expected
    assert encode_image(noise(3, 3), 1).startswith("data:image/")  # ends in any case


# -- the model card and the facts of a run -------------------------------------------------------


def test_a_card_warns_when_its_directions_are_no_sliders(tiny_model, tmp_path):
    path = tmp_path / "tiny.safetensors"
    for explained, is_said in ((0.05, True), (0.7, False)):
        quality = ModelQuality(explained_variance_random_noise=explained)
        facts = dataclasses.replace(tiny_model.facts, quality=quality)
        save_checkpoint(path, dataclasses.replace(tiny_model, facts=facts))
        card = write_card(path)
        assert ("so the 2 directions found are no sliders yet. Train longer." in card) is is_said


def test_one_of_anything_is_counted_in_the_singular(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    run = {"step": 1, "seconds": 1.0, "command": "", "device": torch.device("cpu")}
    config = load_preset("tiny32")
    facts = describe_run(config, source="faces", num_images=1, num_held_out=1, **run)
    assert facts.data_card == "1 image from faces, 32 px. 1 more was held out of the training."
    assert facts.training.hardware.endswith(", 1 thread")
    facts = describe_run(config, source="faces", num_images=2000, num_held_out=32, **run)
    assert facts.data_card.startswith("2,000 images from faces, 32 px. 32 more were held out")


def test_images_of_the_co_pilot_s_further_updates_are_counted():
    config = load_preset("tiny32").with_values({"batch_size": 16, "loop.copilot_updates": 3})
    run = {"seconds": 1.0, "command": "", "device": torch.device("cpu")}
    facts = describe_run(config, source="faces", num_images=9, step=10, **run)
    assert (facts.training.images, facts.training.copilot_images) == (160, 480)


# -- the figures ---------------------------------------------------------------------------------


def test_the_figures_of_a_real_run(curves):
    assert [curve.title for curve in curves] == [
        "Losses",
        "What the code stores",
        "kl_weight and the code in use",
        "Dimensions over time",
        "Dimensions at the end",
        "Speed and steps",
    ]
    assert "11 of 20 dimensions carry more than 0.1 nat" in curves[4].caption
    for curve in curves:
        with Image.open(io.BytesIO(curve.png)) as image:
            colours = image.convert("RGB").getcolors(1 << 20)
            assert image.width > 600 and colours is not None and len(colours) > 10
    assert sum(len(curve.png) for curve in curves) < 1_000_000
    assert warmup_end(read_records(REAL_RUN)) == 300


@pytest.mark.parametrize(
    ("records", "titles"),
    [
        ([], []),
        ([{"step": 1}], []),
        ([{"step": 1, "used": 0.5}], ["kl_weight and the code in use"]),
        ([{"step": 1, "kl": 2.0}, {"step": 2, "kl": float("nan")}], ["What the code stores"]),
        ([{"step": 1, "gradient_norm": None, "learning_rate": 0.0}], []),
        ([{"step": 5, "kl_per_dimension": [1.0]}], ["Dimensions at the end"]),
        (
            [{"step": i, "kl_per_dimension": [0.0] * 40} for i in (1, 2)],
            ["Dimensions over time", "Dimensions at the end"],
        ),
    ],
)
@pytest.mark.filterwarnings("error")
def test_figures_are_left_out_when_nothing_is_known(records, titles):
    read = [TrainingRecord.from_json(record) for record in records]
    assert [curve.title for curve in draw_curves(read)] == titles


def test_running_mean_by_hand():
    values = np.arange(100.0)
    values[50] = 60.0  # a window of 3: one to each side
    smoothed = smooth(values)
    assert smoothed[0] == 0.5 and smoothed[99] == 98.5 and smoothed[10] == 10.0
    assert smoothed[49] == pytest.approx((48 + 49 + 60) / 3)
    assert smooth(np.array([3.0])).tolist() == [3.0]


# -- samples -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trainer() -> Any:
    config = load_preset("tiny32")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = DiffusionAutoencoder(config.model)
    images = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3)).astype(np.uint8)
    return SimpleNamespace(
        averaged=networks,
        wide_codes=None,
        schedule=NoiseSchedule(config.schedule),
        images=images,
        held_out=None,
        step=200,
        config=SimpleNamespace(copilot_warmup_steps=50),
        objective=Plain(),
    )


def like(trainer: Any, **changes) -> Any:
    return SimpleNamespace(**{**vars(trainer), **changes})


@pytest.fixture
def few_rows(monkeypatch):
    monkeypatch.setattr("trainer.report.samples.NUM_ROWS", 2)
    monkeypatch.setattr("trainer.report.samples.NUM_COLUMNS", 3)


def test_samples_are_two_strips_and_one_saved_sheet(trainer, tmp_path, few_rows):
    before = [parameter.clone() for parameter in trainer.averaged.parameters()]
    strips = write_samples(trainer, tmp_path)
    assert [strip.name for strip in strips] == ["reconstruction", "traversals"]
    with Image.open(tmp_path / "samples" / "step_000200.png") as sheet:
        images = [strip.image for strip in strips]
        assert sheet.height == sum(image.height for image in images)
        assert sheet.width == max(image.width for image in images)
        below = sheet.crop((0, images[0].height, images[1].width, sheet.height))
        assert below.tobytes() == images[1].tobytes()
    # drawing has no chance in it, and leaves the networks as they are
    for a, b in zip(strips, draw_samples(trainer), strict=True):
        assert a.image.tobytes() == b.image.tobytes()
    after = trainer.averaged.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_images_with_random_noise_are_drawn_from_the_code_alone(trainer, monkeypatch, few_rows):
    """As the quality is measured; the residual code, which no slider moves, would help."""
    given: list[tuple[bool, bool]] = []

    def decode(model, latent, *, seed=None, **options):
        given.append((seed is not None, latent.residual is not None))
        return torch.zeros(len(latent), 3, 32, 32)

    monkeypatch.setattr("trainer.report.samples.decode", decode)
    config = dataclasses.replace(trainer.averaged.config, residual_dim=4)
    draw_samples(like(trainer, averaged=DiffusionAutoencoder(config)), num_steps=1)
    assert (True, False) in given and {*given} == {(True, False), (False, True)}


def test_the_warmup_shows_the_copilot_alone(trainer, monkeypatch, few_rows):
    def refuse(*arguments, **named):
        raise AssertionError("the diffusion branch was drawn")

    monkeypatch.setattr("trainer.report.samples.decode", refuse)
    monkeypatch.setattr("trainer.report.samples.encode", refuse)
    early = like(trainer, step=50)
    strips = draw_samples(early)
    assert [strip.name for strip in strips] == ["reconstruction", "traversals"]
    with pytest.raises(AssertionError, match="was drawn"):
        draw_samples(like(trainer, step=51))


def test_the_copilot_alone_is_drawn_from_its_code(trainer, few_rows):
    """Classes are probabilities, not the numbers that the encoder gives for them."""
    drawn: list[torch.Tensor] = []
    early = like(trainer, step=50, objective=Joint(30.0, (3,), None, 0.67))
    copilot = early.averaged.copilot
    hook = copilot.expand.register_forward_hook(lambda module, given, out: drawn.append(given[0]))
    try:
        draw_samples(early)
    finally:
        hook.remove()
    assert torch.allclose(drawn[0][:, -3:].sum(1), torch.ones(len(drawn[0])), atol=1e-5)


def test_few_or_like_images_are_enough(trainer, few_rows):
    small = like(trainer, images=trainer.images[:2])
    alike = like(trainer, images=np.repeat(trainer.images[:1], 2, axis=0))
    (_, wide), (_, narrow) = (draw_samples(item, num_steps=1)[1] for item in (small, alike))
    assert narrow.width < 0.7 * wide.width  # one base image instead of two


def paint(z: torch.Tensor) -> torch.Tensor:
    """(K, M, N) -> (K, M, 1, 2, 2): pixel 0 shows 3 z_1, pixel 1 z_0, the third 0.01 z_2."""
    pixels = torch.stack([3 * z[..., 1], z[..., 0], 0.01 * z[..., 2], 0 * z[..., 0]], dim=-1)
    return pixels.view(*z.shape[:2], 1, 2, 2)


def test_latents_are_ranked_by_what_they_change():
    z, std = torch.zeros(2, 3), torch.tensor([1.0, 0.5, 1.0])
    # changes from -1 to +1 sd: axis 0 by 2, axis 1 by 3, axis 2 by .02, less than a twentieth of 3
    assert rank_axes(z, std, paint) == [1, 0]
    assert rank_axes(z, torch.tensor([1.0, 0.5, 10.0]), paint) == [1, 0, 2]
    many = torch.zeros(1, 30)
    assert len(rank_axes(many, torch.ones(30), lambda codes: codes[..., None, None])) == 8


def test_a_traversal_goes_through_its_base_images():
    z = torch.tensor([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    centres = torch.full((2, 1, 2, 2), 9.0)
    (row,) = traverse_rows(z, torch.tensor([0.5, 1.0, 1.0]), [0], centres, paint)
    # pixel 1 is z_0 = base + amount * .5; the middle one is the image drawn before
    assert row.images[:, 0, 0, 1].tolist() == [0, 0.5, 9, 1.5, 2, 1, 1.5, 9, 2.5, 3]
    assert row.label == "latent 0"
    std = torch.tensor([0.5, 1.0, 1.0])
    straight, turned = traverse_rows(z, std, [1, 0], centres, paint, {0: -1, 1: 1})
    assert straight.images[:, 0, 0, 0].tolist() == [-6, -3, 9, 3, 6] * 2
    assert turned.images[:, 0, 0, 1].tolist() == [2, 1.5, 9, 0.5, 0, 3, 2.5, 9, 1.5, 1]


def test_base_images_that_show_much_and_are_unlike():
    def shine(z):  # an image that is dark where z_1 is 0, whatever z_0 says
        return (z[..., 0] * z[..., 1])[..., None, None, None]

    std = torch.tensor([1.0, 0.1])
    # from -1 to +1 sd of axis 0 the images change by 2 |z_1|, of axis 1 by .2 |z_0|
    z = torch.tensor([[0.0, 0.0], [1.0, 2.0], [9.0, 0.0], [1.0, 1.9], [1.5, 3.0], [-9.0, 0.0]])
    greys = torch.tensor([0.0, -0.9, 0.0, 0.3, 0.5, 0.0])[:, None, None, None].expand(6, 3, 8, 8)
    # the three that change most are 4, 1 and 3; 1 is darker than 4 by more than 3 is
    assert choose_bases(z, std, shine, greys, greys) == [4, 1]
    redrawn = greys.clone()
    redrawn[:, :, 0, 0] += 0.1
    redrawn[1] = 1.0  # an image that the model cannot draw; the last has an error like the others
    assert choose_bases(z, std, shine, greys, redrawn) == [4, 2]
    redrawn[4] = -1.0  # two are more than the worst tenth of six, but far worse than the rest
    assert choose_bases(z, std, shine, greys, redrawn) == [3, 2]
    for count in (3, 1):
        alike = greys[:1].expand(count, 3, 8, 8)
        assert choose_bases(torch.zeros(count, 2), std, shine, alike, alike) == [0]


def test_the_latent_of_a_direction():
    assert latent_of((0.0, 1.0, 0.0)) == (1, 1) and latent_of([0.0, -1.0]) == (1, -1)
    assert latent_of((0.6, 0.8)) is latent_of(None) is latent_of("01") is None


def test_the_row_of_a_slider_that_was_turned_round_runs_as_the_slider_does(
    trainer, few_rows, monkeypatch
):
    sheets = []
    monkeypatch.setattr(
        "trainer.report.samples.contact_sheet",
        lambda rows, labels=(), **options: sheets.append(rows) or noise(9, 9),
    )
    monkeypatch.setattr(
        "trainer.report.samples.decode",
        lambda model, latent, **options: latent.z[:, 3, None, None, None].expand(-1, 3, 32, 32),
    )
    for sign in (1.0, -1.0):
        vector = [0.0] * trainer.averaged.config.latent_dim
        vector[3] = sign
        slider = Direction("yaw", tuple(vector), -2.0, 2.0, "left", "right")
        draw_samples(trainer, num_steps=1, directions=[slider])
    steps = [row.images[:5, 0, 0, 0].diff() for (row,) in (sheets[1], sheets[3])]
    assert (steps[0] > 0).all() and (steps[1] < 0).all()


def test_rows_of_the_sliders_are_called_by_their_names(trainer, few_rows, monkeypatch):
    sheets = []
    monkeypatch.setattr(
        "trainer.report.samples.contact_sheet",
        lambda rows, labels=(), **options: sheets.append((rows, options)) or noise(9, 9),
    )
    axes = torch.eye(trainer.averaged.config.latent_dim).tolist()
    found = [
        Direction("yaw", tuple(axes[3]), -2.0, 2.0, "left", "right"),
        Direction("x", tuple(axes[0]), -2.0, 2.0, "one way", "other way"),
    ]
    draw_samples(trainer, num_steps=1, directions=found)
    rows, options = sheets[-1]
    assert [row.label for row in rows] == ["yaw\nlatent 3: left ... right", "x\nlatent 0"]
    assert options == {"group_size": 5}
    brighter = torch.linspace(-1, 1, 5)[:, None, None, None].expand(5, 1, 4, 4)
    traversal_sheet([Row("latent 1", brighter)], 1, {})
    assert sheets[-1][0][0].label == "latent 1\ndarker ... brighter"
