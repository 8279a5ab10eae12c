"""What is recorded of a trained model besides its networks, each kind of facts a frozen class.

All are JSON objects in a model file. A known key must hold its kind of value; an unknown one, of a
later version or written by hand, is kept in `other` and written back as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

from .framing import RESIZE_RULES, ResizeRule

# Objectives of the co-pilot whose code is made of what its encoder gives, by the trainer alone.
CODED_BY_OBJECTIVE = ("joint", "qlae")
IMPORTED = "imported"  # where the facts of an imported model say how
MONOTONE_SHARE = 0.9  # of the images: from here on a direction counts as monotone

T = TypeVar("T", bound="_Facts")


class _Facts:
    """Turns a class of facts into a JSON-able mapping and back; its field `other` is the rest."""

    other: Mapping[str, Any]

    @classmethod
    def from_dict(cls: type[T], values: Mapping[str, Any], where: str) -> T:
        """Read a mapping; numbers may be whole.

        Args:
            where: what the mapping is, for messages.

        Raises:
            ValueError: a known key holds another kind of value.
        """
        kinds = get_type_hints(cls)
        names = {_key(each): each.name for each in fields(cls)}  # type: ignore[arg-type]
        del names["other"]
        known, other = {}, {}
        for key, value in values.items():
            if key not in names:
                other[key] = value
                continue
            kind = kinds[names[key]]
            if isinstance(kind, type) and issubclass(kind, _Facts) and isinstance(value, Mapping):
                known[names[key]] = kind.from_dict(value, f"'{key}' of {where}")
                continue
            name, is_right = _KINDS.get(kind, _OBJECT)
            if not is_right(value):
                raise ValueError(f"'{key}' of {where} is {str(value)[:40]!r}, not {name}")
            known[names[key]] = value
        return cls(**{**known, "other": other})

    def to_dict(self) -> dict[str, Any]:
        """The mapping that `from_dict` reads back, without what is not known."""
        found: dict[str, Any] = {}
        for each in fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if each.name == "other":
                continue
            value = value.to_dict() if isinstance(value, _Facts) else value
            if value is not None and value not in ("", {}):
                found[_key(each)] = value
        return {**found, **self.other}


@dataclass(frozen=True)
class DirectionQuality(_Facts):
    """Measured figures of one direction; None where a figure was not measured.

    Attributes:
        monotone: share of the images that change one way all along.
        balance: in [0, 1], the change at the weaker end of the safe range over that at the
            stronger, each end at most 2; a range that is longer to one side lowers it too.
        consistency: in [-1, 1], mean cosine between the changes of two images.
        other: further figures by name.
    """

    monotone: float | None = None
    balance: float | None = None
    consistency: float | None = None
    other: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def is_monotone(self) -> bool | None:
        """Whether enough images change one way all along; None when that was not measured."""
        return None if self.monotone is None else self.monotone >= MONOTONE_SHARE


@dataclass(frozen=True)
class ModelQuality(_Facts):
    """Measured figures of a whole model; None where a figure was not measured.

    Attributes:
        images: whether training saw the images it was evaluated on, in words.
        num_images, num_steps: how many there were, and the diffusion steps.
        explained_variance_code: of the images by the mean of all that is drawn from their code
            with sampled x_T; 1 is perfect, 0 as good as the mean image.
        explained_variance_random_noise: of the images by one such draw each. What the code does
            not hold, every draw makes up anew, so it counts twice against this figure.
        explained_variance_preview: of the images by the co-pilot.
        least_explained_preview: what the co-pilot explains of the variance of a single image about
            its own mean colour, of nearly all images: the 1 % quantile. None where its encoder
            alone does not give its code.
        psnr_inverted_noise_db: of the images drawn from inverted x_T.
    """

    images: str = field(default="", metadata={"key": "pictures"})
    num_images: int | None = None
    num_steps: int | None = None
    explained_variance_code: float | None = None
    explained_variance_random_noise: float | None = None
    explained_variance_preview: float | None = None
    least_explained_preview: float | None = None
    psnr_inverted_noise_db: float | None = None
    other: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def code_explains(self) -> float | None:
        """Explained variance by the code; of older files, by one draw."""
        if self.explained_variance_code is not None:
            return self.explained_variance_code
        return self.explained_variance_random_noise


@dataclass(frozen=True)
class TrainingFacts(_Facts):
    """How a model was trained.

    Attributes:
        command: that made the run.
        steps: how many were done.
        images: of all steps, a batch each, with repeats.
        copilot_images: of all updates of the co-pilot, a batch each, with repeats; a step may have
            several.
        seed: of everything random.
        hours: of training alone.
        hardware, date: as text, the date in the form 2026-01-31.
        planned_steps: the length its schedules are shares of, where it got more steps later.
        config: all settings, nested.
    """

    command: str = ""
    steps: int | None = None
    images: int | None = None
    copilot_images: int | None = None
    seed: int | None = None
    hours: float | None = None
    hardware: str = ""
    date: str = ""
    planned_steps: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    other: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def has_copilot_code(self) -> bool:
        """Whether the co-pilot's encoder gives its code, as with most objectives."""
        objective = self.config.get("objective")
        name = objective.get("name") if isinstance(objective, Mapping) else None
        return name not in CODED_BY_OBJECTIVE

    @property
    def resize(self) -> ResizeRule:
        """How images were made square; "crop" where the file does not say."""
        rule = self.config.get("resize")
        return rule if rule in RESIZE_RULES else "crop"


@dataclass(frozen=True)
class ModelFacts(_Facts):
    """All that is recorded of a model; texts are empty where nothing is.

    Attributes:
        name, licence, data_card: for people.
        navigation: how its directions were found.
    """

    name: str = ""
    licence: str = ""
    data_card: str = ""
    training: TrainingFacts = field(default_factory=TrainingFacts)
    quality: ModelQuality = field(default_factory=ModelQuality)
    navigation: Mapping[str, Any] = field(default_factory=dict, hash=False)
    other: Mapping[str, Any] = field(default_factory=dict, hash=False)


def _key(item: Any) -> str:
    """The JSON key of a dataclass's field."""
    return item.metadata.get("key", item.name)


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) < 1e300  # math.isfinite cannot take every whole number


_OBJECT = ("a JSON object", lambda value: isinstance(value, Mapping))
_KINDS: dict[Any, tuple[str, Any]] = {
    str: ("a text", lambda value: isinstance(value, str)),
    int | None: ("a whole number", lambda value: type(value) is int),
    float | None: ("a finite number", _is_finite),
}
