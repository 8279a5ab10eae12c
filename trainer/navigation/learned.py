"""Learned directions: a rotation of the axes whose moves a predictor can tell apart.

    min over A, R of  CE(R_k(x, x'), k) + 0.25 |R_eps(x, x') - eps| + w likeness

x and x' share everything but the code. Beside the learned rotation two controls get a predictor of
their own and the same draws: the axes, and a random basis that stays as it is.
Source: Voynov & Babenko 2020 (arXiv:2002.03754); docs/navigation.md lists the deviations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..batches import step_generator
from ..state import load_state, save_state
from .live import Live
from .moves import Moves, apply_moves, draw_moves, likeness
from .predictor import Predictor
from .rotation import Rotation, random_rows
from .settings import NavigationSettings
from .space import Space
from .watch import Watch

MOVES_STREAM, BASIS_STREAM, JUDGING_STREAM = 79, 83, 89
JUDGING_BATCHES = 16
SAVE_EVERY = 50
BETAS = (0.9, 0.99)


@dataclass
class Contender:
    """Directions over the live dimensions and the predictor that watches them.

    Attributes:
        rotation: learned; None for a control.
        fixed: (K, M), a control's directions.
    """

    predictor: Predictor
    optimizer: torch.optim.Optimizer
    rotation: Rotation | None
    fixed: Tensor

    @property
    def rows(self) -> Tensor:
        """(K, M)."""
        return self.fixed if self.rotation is None else self.rotation()

    @property
    def parameters(self) -> list[Tensor]:
        """What is trained; a model's own weights are not."""
        return [value for group in self.optimizer.param_groups for value in group["params"]]

    def state(self) -> dict[str, Any]:
        """What a resumed search needs."""
        angles = None if self.rotation is None else self.rotation.state_dict()
        parts = {"predictor": self.predictor, "optimizer": self.optimizer}
        return {"angles": angles} | {name: part.state_dict() for name, part in parts.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        if self.rotation is not None:
            self.rotation.load_state_dict(state["angles"])
        self.predictor.load_state_dict(state["predictor"])
        self.optimizer.load_state_dict(state["optimizer"])


class LearnedSearch:
    """A search for K directions over the live dimensions of a space; resumable after any step.

    Args:
        others: name -> (K, N), directions that get a predictor too, beside the two controls.
    """

    def __init__(
        self,
        space: Space,
        settings: NavigationSettings,
        live: Live,
        count: int,
        seed: int,
        others: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.space, self.settings, self.seed, self.count = space, settings, seed, count
        self.live = live.dimensions.to(space.codes.device)
        self.step = 0
        self.mark = _mark(space, settings, live, count, seed)
        size = len(self.live)
        axes = torch.eye(size)[:count]
        drawn = random_rows(size, count, step_generator(seed, 0, BASIS_STREAM))
        self.contenders = {
            "learned": self._contender(Rotation(size, count), axes),
            "axes": self._contender(None, axes),
            "random": self._contender(None, drawn),
        }
        for name, vectors in (others or {}).items():
            self.contenders[name] = self._contender(None, vectors[:, live.dimensions])

    def run(self, watch: Watch) -> tuple[Tensor, dict[str, Any]]:
        """Rows (K, M) and facts, after the steps that are left.

        Raises:
            ValueError: the folder holds the state of another search.
            KeyboardInterrupt: asked to stop; the state is saved.
        """
        total = self.settings.steps
        if watch.folder is not None:
            self._resume(watch)
        while self.step < total:
            figures = self.take_step()
            if watch.on_step is not None:
                watch.on_step(self.step, total, figures)
            stopped = watch.should_stop is not None and watch.should_stop()
            if watch.folder is not None and (stopped or self.step % SAVE_EVERY == 0):
                watch.folder.mkdir(parents=True, exist_ok=True)
                save_state(watch.folder, self.state(), keep=1)
            if stopped and self.step < total:
                raise KeyboardInterrupt(
                    f"Stopped and saved at step {self.step} of {total}. Run the same command to go "
                    "on."
                )
        return self.contenders["learned"].rows.detach(), self.facts()

    def take_step(self) -> dict[str, float]:
        """One step of all contenders on the same draws; figures of the learned one."""
        generator = step_generator(self.seed, self.step, MOVES_STREAM)
        moves = draw_moves(self.space, self.settings, self.count, generator)
        figures: dict[str, float] = {}
        for name, contender in self.contenders.items():
            found = self._figures(contender, moves)
            contender.optimizer.zero_grad(set_to_none=True)
            if not bool(torch.isfinite(found["loss"])):
                raise FloatingPointError(
                    f"The loss of the search is not finite at step {self.step}. Use a lower rate, "
                    "or another finder."
                )
            found["loss"].backward(inputs=contender.parameters)
            contender.optimizer.step()
            if name == "learned":
                figures = {key: float(value.detach()) for key, value in found.items()}
        self.step += 1
        rotation = self.contenders["learned"].rotation
        assert rotation is not None
        return figures | {"turn": rotation.largest_turn()}

    @torch.no_grad()
    def facts(self) -> dict[str, Any]:
        """Share of unseen moves that each predictor names, and what became of the directions."""
        rotation = self.contenders["learned"].rotation
        assert rotation is not None
        facts: dict[str, Any] = {"largest_turn_degrees": round(rotation.largest_turn(), 2)}
        if not self.settings.steps:
            return facts
        sums: dict[str, dict[str, float]] = {name: {} for name in self.contenders}
        for index in range(JUDGING_BATCHES):
            generator = step_generator(self.seed, index, JUDGING_STREAM)
            moves = draw_moves(self.space, self.settings, self.count, generator)
            for name, contender in self.contenders.items():
                for key, value in self._figures(contender, moves).items():
                    sums[name][key] = sums[name].get(key, 0.0) + float(value) / JUDGING_BATCHES

        def figure(key: str) -> dict[str, float]:
            return {name: round(values[key], 4) for name, values in sums.items()}

        return facts | {
            "chance": round(1 / self.count, 4),
            "accuracy": figure("accuracy"),
            "likeness": figure("likeness"),
            "shift_error": figure("shift"),
        }

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and strings."""
        parts = {name: contender.state() for name, contender in self.contenders.items()}
        return {"mark": self.mark, "step": self.step, "contenders": parts}

    def _figures(self, contender: Contender, moves: Moves) -> dict[str, Tensor]:
        settings = self.settings
        vectors = self.space.codes.new_zeros(self.count, self.space.codes.shape[1])
        vectors = vectors.index_copy(1, self.live, contender.rows)
        is_learned = contender.rotation is not None
        with torch.set_grad_enabled(is_learned and torch.is_grad_enabled()):
            after, amounts = apply_moves(self.space, moves, vectors)
            alike = likeness(moves, after)
        guess = contender.predictor(moves.jitter(moves.before), moves.jitter(after))
        naming = F.cross_entropy(guess.direction, moves.chosen)
        shift = (guess.amount - amounts).abs().mean()
        loss = naming + settings.shift_weight * shift + settings.twin_weight * alike
        accuracy = (guess.direction.argmax(1) == moves.chosen).float().mean()
        return {"loss": loss, "accuracy": accuracy, "likeness": alike, "shift": shift}

    def _contender(self, rotation: Rotation | None, fixed: Tensor) -> Contender:
        device = self.space.codes.device
        channels = _channels(self.space)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)  # all predictors start alike
            predictor = Predictor(channels, self.count).to(device)
        groups = [{"params": list(predictor.parameters()), "lr": self.settings.predictor_rate}]
        if rotation is not None:
            rotation = rotation.to(device)
            groups.append({"params": [rotation.angles], "lr": self.settings.angle_rate})
        optimizer = torch.optim.Adam(groups, betas=BETAS)
        return Contender(predictor, optimizer, rotation, fixed.to(device))

    def _resume(self, watch: Watch) -> None:
        assert watch.folder is not None
        loaded = load_state(watch.folder)
        if loaded is None:
            return
        state = loaded[0]
        if state.get("mark") != self.mark or state["step"] > self.settings.steps:
            raise ValueError(
                f"{watch.folder} holds another search, at step {state.get('step')}: of another "
                "model, data, seed or settings. Give those it was begun with, delete the folder, "
                "or choose another --output."
            )
        self.step = state["step"]
        for name, contender in self.contenders.items():
            contender.load(state["contenders"][name])


@torch.no_grad()
def _channels(space: Space) -> int:
    scene = space.scene(torch.zeros(1).long(), torch.Generator().manual_seed(0))
    return scene(space.codes[:1]).shape[1]


def _mark(
    space: Space, settings: NavigationSettings, live: Live, count: int, seed: int
) -> dict[str, Any]:
    """What must not change between two parts of a search."""
    digest = hashlib.sha256(space.codes.cpu().numpy().tobytes())
    digest.update(live.effects.numpy().tobytes())
    values = {key: value for key, value in settings.to_dict().items() if key != "steps"}
    return values | {"count": count, "seed": seed, "space": digest.hexdigest()[:16]}
