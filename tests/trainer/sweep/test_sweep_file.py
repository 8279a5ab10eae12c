"""A sweep file becomes configurations, or a sentence."""

import pytest

from trainer.config.settings import flatten
from trainer.sweep.sweep_file import load_sweep


def test_rows_are_configurations(tmp_path, file_text, write):
    sweep = load_sweep(write(tmp_path / "s.toml", file_text))
    assert sweep.seeds == (0, 3) and list(sweep.rows) == ["ramp", "Diff-AE only"]
    ramp, plain = sweep.rows.values()
    assert ramp.loop.capacity_course == "fixed" and ramp.steps == plain.steps == 20
    assert plain.loop.capacity_course == "ramp" and plain.loop.distillation_weight == 0.0
    assert ramp.loop.ramp_fraction == plain.loop.ramp_fraction == 0.5


def test_a_sweep_as_people_write_it(tmp_path, monkeypatch, file_text, write):
    """A byte-order mark before the text, and home folders in its paths."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    write(tmp_path / "mine.toml", "steps = 9")
    text = file_text.replace('"heads"', '"~/pics"').replace('"tiny32"', '"~/mine.toml"')
    (tmp_path / "s.toml").write_text(text, encoding="utf-8-sig")
    sweep = load_sweep(tmp_path / "s.toml")
    assert (sweep.data, sweep.preset) == (str(tmp_path / "pics"), str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data = 'x'", "needs `data` and at least one"),
        ("[rows.a]\nsteps = 1", "needs `data`"),
        ("data = 'x'\nrow = 1\n[rows.a]", "unknown keys ['row']"),
        ("data = 'x'\nseeds = 1\n[rows.a]", "Give a list of whole numbers"),
        (
            "data = 'x'\n[rows.a]\nloop.capacity_cours = 'ramp'",
            "Row 'a' of s.toml: Unknown key 'loop.capacity_cours'. Did you mean "
            "'loop.capacity_course'?",
        ),
        ("data = 'x'\nseeds = []\n[rows.a]", "Give a list of whole numbers"),
        ("data = 'x'\nseeds = [0, -1]\n[rows.a]", "has seeds [0, -1]. Give a list of whole"),
        (
            f"data = 'x'\nseeds = [0, {2**64}]\n[rows.a]",
            f"Row 'a' of s.toml: seed is {2**64}. Use less than",
        ),
        ("data =", "not valid TOML"),
        ("data = 3\n[rows.a]", "`data` and `preset` must be texts"),
        ("data = 'x'\npreset = 3\n[rows.a]", "`data` and `preset` must be texts"),
        ("data = 'x'\n[rows]\na = 3", "every row a table"),
        ("data = 'x'\nmetrics = 'mig'\n[rows.a]", "Give a list of names"),
        ("data = 'x'\nmetrics = [3]\n[rows.a]", "Give a list of names"),
        ("data = 'x'\n[rows.a]\nseed = 3", "Remove it, and write for example seeds = [0, 1, 2]"),
        ("data = 'x'\n[settings]\nseed = 3\n[rows.a]", "seeds of all rows come from `seeds`"),
        ("data = 'x'\nmetrics = ['mug']\n[rows.a]", "no metric named mug"),
        ("data = 'x'\nseeds = [1, 2, 1]\n[rows.a]", "Name each of them once."),
        (
            "data = 'x'\n[rows.a]\nsteps = 5\n[rows.b]\nsteps = 6\n[rows.c]\nsteps = 5",
            "Rows 'a' and 'c' of s.toml have the same settings",
        ),
        (
            "data = 'x'\n[settings]\nloop.capacity_course = 'fixed'\n[rows.a]\n[rows.b]\n"
            "loop.capacity_course = 'fixed'",
            "Rows 'a' and 'b' of s.toml have the same settings, so their runs would be the same.",
        ),
        ("data = 'x'\n[rows.oracle]", "'oracle' of s.toml has the name of a control"),
        ("data = 'x'\n[rows.'random rotation']", "Give it another name, and its folder"),
        ("data = 'x'\nbaseline = 3\n[rows.a]", "Give the name of a row, or a list of names."),
        ("data = 'x'\nbaseline = ['a', 'a']\n[rows.a]", "Name each of them once."),
        ("data = 'x'\nbaseline = 'a'\n[rows.a]", "no metrics whose scores could be compared"),
        (
            "data = 'x'\nmetrics = ['mig']\nbaseline = 'slow rmp'\n[rows.'slow ramp']",
            "The baseline 'slow rmp' of s.toml is none of its rows. Did you mean 'slow ramp'?",
        ),
        (
            "data = 'x'\nmetrics = ['mig']\nbaseline = ['a', 'xyz']\n[rows.a]",
            "The baseline 'xyz' of s.toml is none of its rows. Use one of a.",
        ),
    ],
)
def test_wrong_files_are_sentences(tmp_path, text, words, write):
    with pytest.raises(ValueError) as caught:
        load_sweep(write(tmp_path / "s.toml", text))
    assert words in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"no sweep file .*nowhere\.toml"):
        load_sweep(tmp_path / "nowhere.toml")


def test_flatten():
    assert flatten({"a": {"b": {"c": 1}, "d": [2]}, "e": 3}) == {"a.b.c": 1, "a.d": [2], "e": 3}
