"""From a basis to named directions, and the command that writes them."""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from PIL import Image

from comfyui_cldis.checkpoint import load_checkpoint
from comfyui_cldis.directions.ranking import rank_vectors
from comfyui_cldis.editing.direction import Direction
from comfyui_cldis.editing.facts import TrainingFacts
from trainer.__main__ import main
from trainer.data import open_images
from trainer.navigation import Basis, ModelSpace, NavigationSettings, command
from trainer.navigation.result import keep_names, safe_ranges


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for index in range(48):
        colours = rng.integers(0, 255, (2, 2, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((32, 32)).save(path / f"{index:02d}.png")
    return path


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Ranking takes many decodes, and any effect of random weights is worth a direction here."""

    def rank(model, bases, vectors, ranges, **more):
        more |= {"num_steps": 1, "smallest_effect": 0.0}
        return rank_vectors(model, bases[:1], vectors, ranges, **more)

    monkeypatch.setattr("trainer.navigation.result.rank_vectors", rank)
    monkeypatch.setattr("trainer.model_quality.DIRECTION_STEPS", 1)
    monkeypatch.setattr("trainer.navigation.command.INVERSION_STEPS", 1)
    monkeypatch.setattr("trainer.navigation.command.EVALUATION_BASES", 2)
    monkeypatch.setattr("trainer.navigation.command.DRAWN_IMAGES", 4)
    monkeypatch.setattr("trainer.navigation.space.DRAWING_STEPS", 1)


def direction(name: str, *vector: float) -> Direction:
    return Direction(name, vector, -1.0, 2.0, f"less {name}", f"more {name}", 0.1)


def test_repeated_directions_keep_their_names_and_their_sense():
    known = (direction("age", 1.0, 0.0, 0.0), direction("shape left", 0.0, 1.0, 0.0))
    found = (
        direction("shape left", 0.0, 0.0, 1.0),
        direction("colour", -0.98, 0.198997487, 0.0),
        direction("shape left 2", 0.0, 1.0, 0.0),
    )
    other, age, left = keep_names(found, known)
    assert (age.name, age.vector[0], age.positive_label) == ("age", 0.98, "more age")
    assert (age.minimum, age.maximum) == (-2.0, 1.0)
    assert left.name == "shape left"
    assert (other.name, other.vector) == ("shape left 2", (0.0, 0.0, 1.0))
    # 25 degrees away is another direction
    far = keep_names((direction("colour", 0.906307787, 0.422618262, 0.0),), known)
    assert far[0].name == "colour"


def test_ranges_come_from_the_model_for_axes_and_from_the_codes_for_others(tiny_model):
    space = ModelSpace.of_prior(tiny_model, 4, 0)
    space.spread = torch.zeros(1000, 4)
    space.spread[:, 0] = torch.linspace(-2, 3, 1000)
    space.spread[:, 1] = torch.linspace(-1, 1, 1000)
    half = 0.5**0.5
    basis = Basis("pca", torch.tensor([[0.0, 0.0, 1.0, 0.0], [half, half, 0.0, 0.0]]))
    ranges = safe_ranges(space, basis, tiny_model)
    statistics = tiny_model.statistics
    recorded = (statistics.high[2] - statistics.mean[2]) / statistics.std[2]
    assert float(ranges[0, 1]) == pytest.approx(float(recorded), abs=1e-5)
    # amounts run from -3 to 4 times .7071, evenly: quantiles -3 + .005 * 7 and 4 - .005 * 7
    assert ranges[1].tolist() == pytest.approx([-2.965 * half, 3.965 * half], abs=1e-3)


def test_effect_and_range_of_any_vector_are_measured(tiny_model):
    from comfyui_cldis.editing.latent import Latent
    from comfyui_cldis.editing.pipeline import decode

    latent = Latent(torch.zeros(2, 4), torch.randn(2, 3, 32, 32))
    vectors = torch.tensor([[0.6, 0.8, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    ranges = torch.tensor([[-9.0, 0.1], [-1.234, 2.0]])
    found = rank_vectors(tiny_model, latent, vectors, ranges, num_steps=2, smallest_effect=0.0)
    mixed = next(item for item in found if item.vector[0])
    shift = vectors[0] * tiny_model.statistics.std
    ends = [
        decode(tiny_model, latent.with_z(latent.z + s * shift), sampler="ddim", num_steps=2)
        for s in (-1, 1)
    ]
    assert mixed.effect == pytest.approx(float((ends[1] - ends[0]).abs().mean()), abs=2e-5)
    assert (mixed.minimum, mixed.maximum) == (-4.0, 0.5)
    assert mixed.vector == pytest.approx((0.6, 0.8, 0, 0))


def navigate(*words: object) -> int:
    return main(["navigate", *map(str, words), "--device", "cpu"])


@pytest.mark.parametrize("finder", ["axes", "ica", "jacobian"])
def test_the_command_writes_a_model_with_the_directions(tiny_checkpoint, folder, tmp_path, finder):
    output = tmp_path / "new.safetensors"
    before = tiny_checkpoint.read_bytes()
    words = ("--data", folder, "--finder", finder, "--output", output)
    assert navigate(tiny_checkpoint, *words) == 0
    assert tiny_checkpoint.read_bytes() == before
    old, new = load_checkpoint(tiny_checkpoint), load_checkpoint(output)
    assert 2 <= len(new.directions) <= 4
    vectors = torch.tensor([item.vector for item in new.directions])
    products = vectors @ vectors.T
    if finder == "ica":  # its vectors are of unit length, but not at right angles
        products = products.diagonal().diag()
    assert torch.allclose(products, torch.eye(len(vectors)), atol=1e-4)
    recorded = new.facts.navigation
    assert (recorded["finder"], recorded["seed"]) == (finder, 0)
    assert recorded["images"] == f"on 48 images from {folder.name}"
    for item in new.directions:
        assert None not in (item.quality.monotone, item.quality.consistency, item.quality.balance)
        assert item.thumbnails is not None and item.path is None
    assert new.facts.quality.other == {"psnr_db": 12.5} and new.facts.licence == "CC0"
    for name, weight in old.networks.state_dict().items():
        assert torch.equal(weight, new.networks.state_dict()[name])
    if finder == "axes":  # the two that the model had keep their names
        assert {"hair length", "yaw"} <= {item.name for item in new.directions}
        assert new.direction("yaw").vector == old.direction("yaw").vector
        assert new.direction("yaw").positive_label == "right"


def test_curves_that_have_learned_nothing_are_written_as_axes(tiny_checkpoint, tmp_path, capfd):
    output = tmp_path / "new.safetensors"
    words = ("--finder", "flow", "--steps", 0, "--output", output)
    assert navigate(tiny_checkpoint, *words) == 0
    assert "0 of them are bent" in capfd.readouterr().err
    for item in load_checkpoint(output).directions:
        assert item.path is None and max(item.vector) == 1


@pytest.mark.parametrize(
    ("words", "others", "left"),
    [
        (("--finder", "flow", "--steps", 0), (), None),
        (("--finder", "flow", "--steps", 0), ("notes.txt",), ["notes.txt"]),
        (("--finder", "axes"), ("notes.txt",), ["notes.txt", "state.pt"]),
    ],
)
def test_only_the_state_of_a_search_that_is_done_is_removed(
    tiny_checkpoint, tmp_path, monkeypatch, words, others, left
):
    monkeypatch.setattr("trainer.navigation.learned.load_state", lambda _: None)
    kept = tmp_path / "new.navigation"
    kept.mkdir()
    for name in ("state.pt", *others):
        (kept / name).write_text("precious")
    assert navigate(tiny_checkpoint, *words, "--output", tmp_path / "new.safetensors") == 0
    assert (sorted(path.name for path in kept.iterdir()) if kept.exists() else None) == left


def test_images_are_made_square_as_in_training(tiny_model, folder, monkeypatch):
    asked = {}

    def spy(*arguments, **options):
        asked.update(options)
        return open_images(*arguments, **options)

    monkeypatch.setattr(command, "open_images", spy)
    training = TrainingFacts(config={"resize": "pad"})
    model = replace(tiny_model, facts=replace(tiny_model.facts, training=training))
    command.open_space(model, str(folder), NavigationSettings(), 0)
    assert asked["resize"] == "pad"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/maps")
def test_images_are_not_mapped_any_more_when_their_folder_is_removed(
    tiny_model, folder, monkeypatch
):
    """Windows removes no file that is mapped."""
    seen: list[tuple[bool, bool, bool]] = []

    class Watched(TemporaryDirectory):
        def __init__(self, **options):
            super().__init__(**options)
            self.ignores = options.get("ignore_cleanup_errors", False)

        def cleanup(self):
            holds = any(Path(self.name).iterdir())
            is_mapped = self.name in Path("/proc/self/maps").read_text()
            seen.append((holds, is_mapped, self.ignores))
            super().cleanup()

    monkeypatch.setattr(command, "TemporaryDirectory", Watched)
    command.open_space(tiny_model, str(folder), NavigationSettings(), 0)
    assert seen == [(True, False, True)]


def test_without_images_the_model_draws_some(tiny_checkpoint, tmp_path, capfd):
    output = tmp_path / "new.safetensors"
    words = ("--finder", "weights", "--directions", 2)
    assert navigate(tiny_checkpoint, "--output", output, *words) == 0
    assert len(load_checkpoint(output).directions) == 2
    assert "on 4 images that it draws itself" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--finder", "best"), "Use one of axes, pca"),
        (("--finder", "pca"), "Give a folder of some"),
        (("--steps", 5), "which takes none"),
        (("--data", "nowhere"), "There is no folder or file nowhere"),
        (("--directions", 9), "has 4 dimensions. Ask for 4 or fewer."),
        (("--seed", -1), "--seed is -1"),
        (("--seed", 2**64), "Use 0 to 18446744073709551615"),
        (("--output", "new.pt"), "does not end in .safetensors"),
        (("--output", "no/folder/x.safetensors"), "no file in a folder that exists"),
    ],
)
def test_wrong_input_is_a_sentence_and_writes_nothing(
    tiny_checkpoint, tmp_path, capfd, words, sentence
):
    output = tmp_path / "new.safetensors"
    assert navigate(tiny_checkpoint, "--output", output, *words) == 2
    assert sentence in capfd.readouterr().err and not output.exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--finder", "ica"), "Give a folder of some"),
        (("--directions", 5), "has 4 dimensions. Ask for 4 or fewer."),
    ],
)
def test_what_cannot_be_is_refused_before_images_are_drawn(
    tiny_checkpoint, tmp_path, capfd, monkeypatch, words, sentence
):
    monkeypatch.setattr("trainer.navigation.command.open_space", None)
    assert navigate(tiny_checkpoint, "--output", tmp_path / "new.safetensors", *words) == 2
    assert sentence in capfd.readouterr().err


def test_another_model_file_is_not_replaced(tiny_checkpoint, tmp_path, capfd):
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"precious")
    assert navigate(tiny_checkpoint, "--output", other) == 2
    assert "is there already. Choose another name." in capfd.readouterr().err
    assert other.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("finder", "sentence"),
    [
        ("axes", "nothing is written. The finder axes begins anew next time."),
        ("learned", "Nothing that was saved is lost; run the same command to resume."),
    ],
)
def test_the_message_of_a_stop_names_whether_the_search_resumes(
    tiny_checkpoint, tmp_path, capfd, monkeypatch, finder, sentence
):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.navigation.command.open_space", stopped)
    words = ("--finder", finder, "--output", tmp_path / "new.safetensors")
    assert navigate(tiny_checkpoint, *words) == 130
    assert sentence in capfd.readouterr().err


def test_a_model_whose_directions_cannot_be_seen_is_not_written(
    tiny_checkpoint, tmp_path, capfd, monkeypatch
):
    monkeypatch.setattr("trainer.navigation.result.rank_vectors", lambda *a, **more: ())
    output = tmp_path / "new.safetensors"
    assert navigate(tiny_checkpoint, "--output", output) == 2
    assert "so nothing is written" in capfd.readouterr().err and not output.exists()


def test_known_names_survive_a_change_of_order(tiny_model):
    found = tuple(reversed(tiny_model.directions))
    assert keep_names(found, tiny_model.directions) == found
    assert keep_names(tuple(replace(item, name="shape") for item in found), ())[1].name == "shape 2"
