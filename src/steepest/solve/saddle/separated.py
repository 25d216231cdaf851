"""Optimistic methods that look far ahead and move a little: two rates where noise would spoil one.

With one rate, the noise of the value by which a method looks ahead is as large as that of its move. A long look and a short
move average it out; if the noise vanishes at the solution (multiplicative noise), regret then stays bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.saddle.problem import VariationalInequality
from steepest.solve.saddle.single_call import evaluate
from steepest.solve.solver import Solver, generator, seeded


@dataclass
class SeparatedState:
    """Point x_t, the start x₁, x̄_{t-1} which was played (regret is of these), the value g_{t-1} there, the sum of values, per
    player the sums of squares that rates are made of
    (and what is to be added to them in the next step), steps, and a generator's state.
    """

    x: Tensor
    start: Tensor
    played: Tensor
    g: Tensor
    sum: Tensor
    squares: Tensor
    moves: Tensor
    pending: Tensor
    t: int
    random: Tensor


class Separated(Solver[VariationalInequality, SeparatedState]):
    """Base of the three: x̄ = x - γ g₋ without a set, one value of the operator there, and a move."""

    batch: int | None
    seed: int

    def init(self, problem: VariationalInequality) -> SeparatedState:
        """Nothing is evaluated yet: g₀ = 0."""
        if problem.has_set:
            raise TypeError(f"{type(self).__name__} is for problems without a set: leave out project=")
        x, none = problem.start, torch.zeros_like(problem.start)
        zero = torch.zeros(len(problem.players), dtype=x.dtype, device=x.device)
        return SeparatedState(x, x, x, none, none, zero, zero, torch.zeros(2, len(zero)).to(zero), 0, seeded(self.seed))

    def rates(self, problem: VariationalInequality, state: SeparatedState, t: int) -> tuple[Tensor, Tensor]:
        """γ_t and η_t for each element, or as one number."""
        raise NotImplementedError

    def move(self, state: SeparatedState, g: Tensor, eta: Tensor, sum: Tensor) -> Tensor:
        """x_{t+1}, from the start by dual averaging."""
        return state.start - eta * sum

    def step(self, problem: VariationalInequality, state: SeparatedState) -> SeparatedState:
        """Look ahead by γ_t, evaluate, move by η_{t+1}."""
        t, random = state.t + 1, generator(state.random)
        gamma, _ = self.rates(problem, state, t)
        played = state.x - gamma * state.g
        g = evaluate(problem, played, self.batch, random)
        parts = problem.players.values()
        # at step t rates know the sums up to t - 2: what step t - 1 left is added now, for t + 1
        squares, moves = state.squares + state.pending[0], state.moves + state.pending[1]
        later = SeparatedState(
            state.x, state.start, played, g, state.sum + g, squares, moves, state.pending, t, random.get_state()
        )
        later.x = self.move(state, g, self.rates(problem, later, t + 1)[1], later.sum)
        step = later.x - state.x
        later.pending = torch.stack([torch.stack([(v[part] @ v[part]) for part in parts]) for v in (g, step)])
        return later

    def measure(self, problem: VariationalInequality, state: SeparatedState) -> dict[str, float]:
        """‖F(x)‖, evaluated for it."""
        return {"residual": problem.residual(state.x)}


@dataclass(frozen=True)
class OptDAPlus(Separated):
    r"""Optimistic dual averaging with separated rates.

    .. math:: \bar x_t = x_t - \gamma_t g_{t-1},\quad g_t \approx F(\bar x_t),\quad
              x_{t+1} = x_1 - \eta_{t+1} \sum_{s \le t} g_s

    Args:
        lr: η; η_t = η/t^decay.
        ahead: γ/η, at least 1; γ_t = γ/t^ahead_decay.
        decay: default 0, for noise that vanishes at the solution; 1/2 for noise that does not.
        ahead_decay: default 0; 1/4 for noise that does not vanish.
        batch: samples a step, drawn with replacement; default None, all.
        seed: of the samples, default 0.

    Measures ``residual`` ‖F(x)‖, evaluated for it.

    Source: Hsieh, Antonakopoulos, Cevher & Mertikopoulos 2022, arXiv:2206.06015 (OptDA+). The paper's equations were not at
    hand: these follow a summary of them; of the additive rates only the exponents are known, without logarithms.
    """

    lr: float
    ahead: float = 4.0
    decay: float = 0.0
    ahead_decay: float = 0.0
    batch: int | None = None
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "ahead": "[1, inf)", "decay": "[0, 1]", "ahead_decay": "[0, 1]",
                                        "batch": "[1, inf)", "seed": "[0, inf)"}  # fmt: skip

    def rates(self, problem: VariationalInequality, state: SeparatedState, t: int) -> tuple[Tensor, Tensor]:
        """γ_t and η_t."""
        one = torch.ones((), dtype=state.x.dtype, device=state.x.device)
        return one * (self.ahead * self.lr / t**self.ahead_decay), one * (self.lr / t**self.decay)


@dataclass(frozen=True)
class OGPlus(OptDAPlus):
    r"""The optimistic gradient method with separated rates.

    .. math:: \bar x_t = x_t - \gamma_t g_{t-1},\quad g_t \approx F(\bar x_t),\quad x_{t+1} = x_t - \eta_{t+1} g_t

    With γ = η (``ahead=1``) and constant rates it is the past extragradient method. Arguments, measures and source as
    :class:`OptDAPlus`.
    """

    def move(self, state: SeparatedState, g: Tensor, eta: Tensor, sum: Tensor) -> Tensor:
        """From where it is."""
        return state.x - eta * g


@dataclass(frozen=True)
class AdaOptDAPlus(Separated):
    r"""Optimistic dual averaging with separated rates that each player finds by itself, as :class:`OptDAPlus` with

    .. math:: \gamma_t = \Bigl(1 + \sum_{s \le t-2} \lVert g_s\rVert^2\Bigr)^{q - 1/2},\quad
              \eta_t = \Bigl(1 + \sum_{s \le t-2} \lVert g_s\rVert^2 + \lVert x_s - x_{s+1}\rVert^2\Bigr)^{-1/2}

    where norms are of the player's own part.

    Args:
        q: in (0, 1/4], default 1/4.
        batch: samples a step, drawn with replacement; default None, all.
        seed: of the samples, default 0.

    Measures ``residual`` ‖F(x)‖, evaluated for it.

    Source: Hsieh, Antonakopoulos, Cevher & Mertikopoulos 2022, arXiv:2206.06015 (AdaOptDA+). The paper's equations were not at
    hand: these follow a summary of them.
    """

    q: float = 0.25
    batch: int | None = None
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"q": "(0, 0.25]", "batch": "[1, inf)", "seed": "[0, inf)"}

    def rates(self, problem: VariationalInequality, state: SeparatedState, t: int) -> tuple[Tensor, Tensor]:
        """γ_t and η_t, each player's own."""
        sizes = torch.tensor([part.stop - part.start for part in problem.players.values()], device=state.x.device)
        gamma, eta = (1 + state.squares) ** (self.q - 0.5), (1 + state.squares + state.moves) ** -0.5
        return gamma.repeat_interleave(sizes), eta.repeat_interleave(sizes)
