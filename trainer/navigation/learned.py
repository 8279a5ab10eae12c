"""Learned directions: a rotation of the axes, or curves, whose moves a predictor can tell apart.

    min over A, R of  CE(R_k(x, x'), k) + 0.25 |R_eps(x, x') - eps| + w similarity

x and x' share everything but the code. Beside the learned motion two controls get a predictor of
their own and the same draws: the axes, and a random basis that stays as it is.
Source: Voynov & Babenko 2020 (arXiv:2002.03754); docs/navigation.md lists the deviations.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from comfyui_cldis.atomic_write import unfinished

from ..data.evenly import evenly
from ..training.batches import step_generator
from ..training.checkpoint import STATE_NAME, load_state, save_state, state_files
from .active import Active
from .moves import Moves, apply_moves, draw_moves, similarity
from .pca import polar
from .potential import REACH, Potentials
from .predictor import Predictor
from .progress import Watch
from .rotation import Fixed, Rotation, largest_rotation_deg, random_rows
from .settings import NavigationSettings
from .space import Space

MOVES_STREAM, BASIS_STREAM, EVALUATION_STREAM = 79, 83, 89
EVALUATION_BATCHES = 16
SAVE_EVERY = 50
PATH_ITEMS, PATH_PIECES = 64, 6  # base items of curves, and pieces to either side
BETAS = (0.9, 0.99)
LEARNED = "learned"


@dataclass
class Contender:
    """Directions over the active dimensions and the predictor that watches them.

    Attributes:
        motion: what moves codes; one without parameters is a control.
    """

    predictor: Predictor
    optimizer: torch.optim.Optimizer
    motion: Rotation | Fixed | Potentials

    @property
    def parameters(self) -> list[Tensor]:
        """What is trained; a model's own weights are not."""
        return [value for group in self.optimizer.param_groups for value in group["params"]]

    def state(self) -> dict[str, Any]:
        """What a resumed search needs."""
        return {
            "motion": self.motion.state_dict(),
            "predictor": self.predictor.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Undo `state`."""
        self.motion.load_state_dict(state["motion"])
        self.predictor.load_state_dict(state["predictor"])
        self.optimizer.load_state_dict(state["optimizer"])


class LearnedSearch:
    """A search for K directions over the active dimensions of a space; resumable after any step.

    Args:
        others: name -> (K, N), directions that get a predictor too, beside the two controls.
    """

    def __init__(
        self,
        space: Space,
        settings: NavigationSettings,
        active: Active,
        count: int,
        seed: int,
        others: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.space, self.settings, self.seed, self.count = space, settings, seed, count
        self.active = active.dimensions.to(space.codes.device)
        self.step = 0
        self.fingerprint = _fingerprint(space, settings, active, count, seed)
        size = len(self.active)
        drawn = random_rows(size, count, step_generator(seed, 0, BASIS_STREAM))
        fixed = {"axes": torch.eye(size)[:count], "random": drawn}
        fixed |= {name: rows[:, active.dimensions] for name, rows in (others or {}).items()}
        self.contenders = {LEARNED: self._contender(self._motion(size))}
        self.contenders |= {name: self._contender(Fixed(rows)) for name, rows in fixed.items()}

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
                    f"Stopped and saved at step {self.step} of {total}. Start the same search "
                    "again to resume."
                )
        return self.rows(), self.facts()

    def rows(self) -> Tensor:
        """(K, M), orthonormal: the learned directions, or the mean first steps of curves."""
        motion = self.contenders[LEARNED].motion
        if isinstance(motion, Potentials):
            return first_steps(motion, self._active_codes()).detach()
        return motion.rows().detach()

    def paths(self) -> Tensor | None:
        """(K, B, P, N): codes on the curves through some base items; None for straight lines."""
        motion = self.contenders[LEARNED].motion
        if not isinstance(motion, Potentials):
            return None
        full = self._active_codes()
        items = torch.from_numpy(evenly(len(full), PATH_ITEMS))
        codes, base = full[items], self.space.codes[items]
        ways = []
        for index in range(self.count):
            chosen = torch.full((len(codes),), index, device=codes.device)
            ends = torch.full((len(codes),), REACH, device=codes.device)
            with torch.no_grad():
                back = motion.follow(codes, chosen, -ends, PATH_PIECES)
                forth = motion.follow(codes, chosen, ends, PATH_PIECES)
            points = torch.cat([back.flip(0)[:-1], forth]).transpose(0, 1)  # (B, P, M)
            ways.append(
                base[:, None].repeat(1, points.shape[1], 1).index_copy(2, self.active, points)
            )
        return torch.stack(ways).cpu()

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
                    f"The loss of the search is not finite at step {self.step}. Use another "
                    "finder, such as axes or ica."
                )
            found["loss"].backward(inputs=contender.parameters)
            contender.optimizer.step()
            if name == LEARNED:
                figures = {key: float(value.detach()) for key, value in found.items()}
        self.step += 1
        return figures | {"rotation_deg": largest_rotation_deg(self.rows())}

    @torch.no_grad()
    def facts(self) -> dict[str, Any]:
        """Share of unseen moves that each predictor names, and what became of the directions."""
        facts: dict[str, Any] = {
            "largest_rotation_deg": round(largest_rotation_deg(self.rows()), 2)
        }
        if not self.settings.steps:
            return facts
        sums: dict[str, dict[str, float]] = {name: {} for name in self.contenders}
        for index in range(EVALUATION_BATCHES):
            generator = step_generator(self.seed, index, EVALUATION_STREAM)
            moves = draw_moves(self.space, self.settings, self.count, generator)
            for name, contender in self.contenders.items():
                for key, value in self._figures(contender, moves).items():
                    sums[name][key] = sums[name].get(key, 0.0) + float(value) / EVALUATION_BATCHES

        def figure(key: str) -> dict[str, float]:
            return {name: round(values[key], 4) for name, values in sums.items()}

        return facts | {
            "chance": round(1 / self.count, 4),
            "accuracy": figure("accuracy"),
            "similarity": figure("similarity"),
            "shift_error": figure("shift"),
        }

    def state(self) -> dict[str, Any]:
        """Tensors, numbers and strings."""
        parts = {name: contender.state() for name, contender in self.contenders.items()}
        return {"fingerprint": self.fingerprint, "step": self.step, "contenders": parts}

    def _figures(self, contender: Contender, moves: Moves) -> dict[str, Tensor]:
        settings = self.settings
        motion, active_codes = contender.motion, moves.codes[:, self.active]
        is_control = isinstance(motion, Fixed)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not is_control):
            shifts = motion(active_codes, moves.chosen, moves.amounts)
            full = torch.zeros_like(moves.codes).index_copy(1, self.active, shifts)
            after, amounts = apply_moves(self.space, moves, full)
            alike = similarity(moves, after)
        guess = contender.predictor(moves.jitter(moves.before), moves.jitter(after))
        naming = F.cross_entropy(guess.direction, moves.chosen)
        shift = (guess.amount - amounts).abs().mean()
        loss = naming + settings.shift_weight * shift + settings.redundancy_weight * alike
        if isinstance(motion, Potentials):
            waves = motion.residual(active_codes, moves.chosen, moves.amounts)
            loss = loss + settings.wave_weight * waves
        accuracy = (guess.direction.argmax(1) == moves.chosen).float().mean()
        return {"loss": loss, "accuracy": accuracy, "similarity": alike, "shift": shift}

    def _motion(self, size: int) -> Rotation | Potentials:
        if self.settings.finder != "flow":
            return Rotation(size, self.count)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            return Potentials(size, self.count)

    def _active_codes(self) -> Tensor:
        return self.space.codes[:, self.active]

    def _contender(self, motion: Rotation | Fixed | Potentials) -> Contender:
        device = self.space.codes.device
        channels = _channels(self.space)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)  # all predictors start alike
            predictor = Predictor(channels, self.count).to(device)
        groups = [{"params": list(predictor.parameters()), "lr": self.settings.predictor_rate}]
        motion = motion.to(device)
        if not isinstance(motion, Fixed):
            groups.append({"params": list(motion.parameters()), "lr": self.settings.angle_rate})
        optimizer = torch.optim.Adam(groups, betas=BETAS)
        return Contender(predictor, optimizer, motion)

    def _resume(self, watch: Watch) -> None:
        assert watch.folder is not None
        loaded = load_state(watch.folder)
        if loaded is None:
            return
        state = loaded[0]
        if "dimensions" not in state.get("fingerprint", {}):
            raise ValueError(
                f"{watch.folder} holds a search that an earlier version began, and this one cannot "
                "go on with it. Delete the folder to search anew."
            )
        if state.get("fingerprint") != self.fingerprint or state["step"] > self.settings.steps:
            raise ValueError(
                f"{watch.folder} holds another search, at step {state.get('step')}: of another "
                "model, data, seed or settings. Give those it was begun with, or delete the folder."
            )
        self.step = state["step"]
        for name, contender in self.contenders.items():
            contender.load(state["contenders"][name])


def remove_state(folder: Path) -> None:
    """Remove the state of a finished search, and its folder if nothing else is there."""
    with suppress(OSError):  # the model is written, and a state that stays does no harm
        for path in [*state_files(folder), *unfinished(folder / STATE_NAME)]:
            path.unlink()
        folder.rmdir()


def first_steps(motion: Potentials, codes: Tensor) -> Tensor:
    """(K, M): the orthonormal basis nearest to the curves' mean first steps at codes (n, M)."""
    rows = []
    for index in range(motion.count):
        chosen = torch.full((len(codes),), index, device=codes.device)
        with torch.no_grad():
            rows.append(motion.velocity(codes, torch.zeros_like(codes[:, 0]), chosen).mean(0))
    return polar(torch.stack(rows))


@torch.no_grad()
def _channels(space: Space) -> int:
    scene = space.scene(torch.zeros(1).long(), torch.Generator().manual_seed(0))
    return scene(space.codes[:1]).shape[1]


def _fingerprint(
    space: Space, settings: NavigationSettings, active: Active, count: int, seed: int
) -> dict[str, Any]:
    """What must not change between two parts of a search; nothing that rounding changes."""
    values = {key: value for key, value in settings.to_dict().items() if key != "steps"}
    dimensions = active.dimensions.tolist()  # what the rows of a state stand for
    return values | {
        "count": count,
        "seed": seed,
        "space": space.origin,
        "dimensions": dimensions,
    }
