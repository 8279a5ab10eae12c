"""Configuration of the co-pilot's objective, strict: a setting of another objective is an error."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from comfyui_cldis.model.config import require

ObjectiveName = Literal["plain", "beta_tc", "factor", "dip_i", "dip_ii", "joint", "qlae"]
OBJECTIVES: tuple[str, ...] = get_args(ObjectiveName)
Sampling = Literal["weighted", "stratified"]

# The paper's own number for each; where it differs per data set, see docs/objectives.md.
DEFAULT_WEIGHTS: dict[str, float] = {
    "plain": 0.0,
    "beta_tc": 6.0,
    "factor": 35.0,
    "dip_i": 10.0,
    "dip_ii": 10.0,
    "joint": 30.0,
    # 0.01 times a reconstruction averaged over the values of a 64 x 64 image; ours is summed.
    "qlae": 0.01 * 3 * 64 * 64,
}
COMPARING = ("beta_tc", "factor", "dip_i", "dip_ii", "joint")
DIAGONAL_FACTORS = {"dip_i": 10.0, "dip_ii": 1.0}
QLAE_WEIGHT_DECAY = 0.1
OWNERS: dict[str, tuple[str, ...]] = {
    "weight": tuple(name for name in OBJECTIVES if name != "plain"),
    "sampling": ("beta_tc",),
    "discriminator_width": ("factor",),
    "discriminator_layers": ("factor",),
    "diagonal_factor": ("dip_i", "dip_ii"),
    "discrete_sizes": ("joint",),
    "discrete_capacity": ("joint",),
    "temperature": ("joint",),
    "num_values": ("qlae",),
    # Half a group of classes has no meaning, and the groups of joint take several dimensions.
    "interaction_weight": tuple(name for name in OBJECTIVES if name != "joint"),
}


def _is_number(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_whole(value: Any, minimum: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


@dataclass(frozen=True)
class ObjectiveConfig:
    """What the co-pilot pays besides reconstruction and bottleneck, and what its code is.

    Attributes:
        name: "plain", "beta_tc" (Chen et al. 2018), "factor" (Kim & Mnih 2018), "dip_i" and
            "dip_ii" (Kumar et al. 2018), "joint" (Dupont 2018), "qlae" (Hsu et al. 2023).
        weight: the weight in its paper's notation: beta (beta_tc: at least 1, the penalty is
            (beta - 1) TC), gamma (factor, joint), lambda_od (dip_*), lambda of both losses
            (qlae; per image, so the paper's times the number of pixel values). None: default.
        vne_weight: weight of the von Neumann entropy (Kim et al. 2023), with any objective;
            positive raises the entropy, 0 switches it off.
        interaction_weight: what the co-pilot's decoder pays for being no sum over dimensions
            (`trainer.training.interaction`), with any objective but joint; 0 switches it off.
        copilot_weight_decay: decay asked for on the co-pilot's weights. None: 0.1 for qlae,
            otherwise 0.
        sampling: estimator of beta_tc, "weighted" or "stratified" minibatch sampling.
        discriminator_width, discriminator_layers: hidden layers of factor's discriminator.
        diagonal_factor: lambda_d / lambda_od of dip_*. None: 10 for I, 1 for II.
        discrete_sizes: numbers of classes of joint's groups, which take the last dimensions.
        discrete_capacity: nats of all groups of joint together, cut off at sum ln K. None: sum
            ln K.
        temperature: of joint's Gumbel-softmax.
        num_values: values per dimension of qlae.
    """

    name: ObjectiveName = "plain"
    weight: float | None = None
    vne_weight: float = 0.0
    interaction_weight: float = 0.0
    copilot_weight_decay: float | None = None
    sampling: Sampling = "weighted"
    discriminator_width: int = 256
    discriminator_layers: int = 6
    diagonal_factor: float | None = None
    discrete_sizes: tuple[int, ...] = ()
    discrete_capacity: float | None = None
    temperature: float = 0.67
    num_values: int = 10

    def __post_init__(self) -> None:
        require(
            self.name in OBJECTIVES,
            f"objective.name is '{self.name}'",
            f"Use one of {', '.join(OBJECTIVES)}",
        )
        defaults = {field.name: field.default for field in fields(self)}
        for setting, owners in OWNERS.items():
            require(
                self.name in owners or getattr(self, setting) == defaults[setting],
                f"objective.{setting} is {getattr(self, setting)!r}, which objective "
                f"'{self.name}' does not use",
                f"Leave it out or choose objective {' or '.join(owners)}",
            )
        self._check_weights()
        require(
            self.sampling in get_args(Sampling),
            f"objective.sampling is '{self.sampling}'",
            f"Use one of {', '.join(get_args(Sampling))}",
        )
        for setting, minimum in (
            ("discriminator_width", 1),
            ("discriminator_layers", 1),
            ("num_values", 2),
        ):
            value = getattr(self, setting)
            require(
                _is_whole(value, minimum),
                f"objective.{setting} is {value!r}",
                f"Use a whole number from {minimum}",
            )
        require(
            isinstance(self.discrete_sizes, tuple)
            and all(_is_whole(size, 2) for size in self.discrete_sizes),
            f"objective.discrete_sizes is {self.discrete_sizes!r}",
            "Give a list of whole numbers from 2, the number of classes of each group",
        )
        require(
            self.name != "joint" or len(self.discrete_sizes) > 0,
            "objective.discrete_sizes is empty",
            "Objective joint needs at least one group, for example [10]",
        )

    def _check_weights(self) -> None:
        for setting in ("diagonal_factor", "discrete_capacity", "temperature", "weight"):
            value = getattr(self, setting)
            is_default = value is None and setting != "temperature"
            require(
                is_default or _is_positive(value),
                f"objective.{setting} is {value!r}",
                "Use a positive number",
            )
        require(
            self.name != "beta_tc" or self.penalty_weight >= 1,
            f"objective.weight is {self.weight!r}",
            "Use 1 or more for beta_tc: the penalty is (weight - 1) * total correlation",
        )
        require(
            _is_number(self.vne_weight),
            f"objective.vne_weight is {self.vne_weight!r}",
            "Use a finite number",
        )
        require(
            _is_number(self.interaction_weight) and self.interaction_weight >= 0,
            f"objective.interaction_weight is {self.interaction_weight!r}",
            "Use 0 or more",
        )
        decay = self.copilot_weight_decay
        require(
            decay is None or (_is_number(decay) and decay >= 0),
            f"objective.copilot_weight_decay is {decay!r}",
            "Use 0 or more",
        )

    @property
    def compares_images(self) -> bool:
        """Whether it estimates something from the images of a batch together, or of a part of it.

        Then a run whose parts have another size is another run.
        """
        compares = self.vne_weight != 0 or self.interaction_weight != 0
        return compares or self.name in COMPARING

    @property
    def penalty_weight(self) -> float:
        """`weight`, or the default of the objective; 0 for plain, which has no penalty."""
        return DEFAULT_WEIGHTS[self.name] if self.weight is None else self.weight

    @property
    def diagonal_weight(self) -> float:
        """lambda_d of dip_i and dip_ii.

        Raises:
            KeyError: another objective, which has no such weight.
        """
        default = DIAGONAL_FACTORS[self.name]
        factor = default if self.diagonal_factor is None else self.diagonal_factor
        return factor * self.penalty_weight

    @property
    def weight_decay(self) -> float:
        """`copilot_weight_decay`, or the default of the objective."""
        default = QLAE_WEIGHT_DECAY if self.name == "qlae" else 0.0
        return default if self.copilot_weight_decay is None else self.copilot_weight_decay
