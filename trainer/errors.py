"""Errors of a run that carry their facts.

Their text suits Python and the command line. ComfyUI's node, which has other names for the output
folder and the settings, puts its own remedy behind the same fact.
"""

from __future__ import annotations

from pathlib import Path

from comfyui_cldis.wording import command_line


class OutputInData(ValueError):
    """The run would write its own images among those it trains on.

    Attributes:
        output, data: the two folders, as given.
        fact: the first sentence.
    """

    def __init__(self, output: Path, data: str) -> None:
        self.output, self.data = output, data
        self.fact = (
            f"The output folder {output} lies in the data folder {data}, so the run's own images "
            "would be trained on."
        )
        super().__init__(f"{self.fact} Choose a folder outside of it.")


class OutputTaken(ValueError):
    """The output folder holds what this run cannot resume, or is in use.

    Attributes:
        fact: a sentence.
        remedy: what would make the folder usable, as the beginning of a sentence; the other way is
            always another folder.
    """

    def __init__(self, fact: str, remedy: str) -> None:
        self.fact, self.remedy = fact, remedy
        super().__init__(f"{fact} {remedy}, or choose another output folder.")


class NothingFound(ValueError):
    """A search found no directions, and the model file that it would replace has some.

    Attributes:
        before: the setting `directions` that the model file was written with.
    """

    def __init__(self, path: Path, finder: str, before: str) -> None:
        self.before = before
        super().__init__(
            f"The finder {finder} found no directions, so {path} stays as it is, with those of the "
            f"finder {before}. Set directions to another finder, or move the file away first."
        )


class TooFewSteps(ValueError):
    """A run has done more steps than are asked for.

    Attributes:
        folder: of the run.
        step: steps done.
        steps: steps asked for.
        model: the run's model, if it has been exported at `step`.
    """

    def __init__(self, folder: Path, step: int, steps: int, model: Path | None) -> None:
        self.folder, self.step, self.steps, self.model = folder, step, steps, model
        where = (
            f"For the model as it is now: {command_line('cldis', 'export', folder)}."
            if model is None
            else f"Its model is {model}."
        )
        super().__init__(
            f"The run in {folder} is at step {step:,} already, beyond the {steps:,} asked for, and "
            f"steps cannot be undone. {where} To train on, ask for more than {step:,}; for a "
            "shorter run, choose another output folder."
        )


class NotFinite(FloatingPointError):
    """A loss or a gradient is NaN or infinite; the step it belongs to was not made.

    Attributes:
        fact: a sentence, with the step.
        kept: what of the run is on disk, as a sentence; empty where nobody has looked.
    """

    def __init__(self, fact: str, kept: str = "") -> None:
        self.fact, self.kept = fact, kept
        text = (
            f"{fact} Start a new run with a lower learning_rate, or another seed; in a sweep, "
            f"lower it in the row or in [settings]. {kept}"
        )
        super().__init__(text.rstrip())
