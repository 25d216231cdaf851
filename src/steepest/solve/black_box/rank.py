"""Descent by comparisons alone: only which of a few points nearby is better is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from steepest.solve.black_box.problem import BlackBox
from steepest.solve.result import Status
from steepest.solve.solver import Solver, generator, seeded

S = TypeVar("S")


class AskTell(Solver[BlackBox, S]):
    """Base of black-box solvers: ``ask`` says where f is wanted, ``tell`` takes the values; both leave the state as it is.

    :func:`steepest.solve.solve` drives them; so may you, with values from wherever you have them:

    Example:
        >>> solver = RankDescent(lr=0.3, mu=0.1, m=6)
        >>> state = solver.init(BlackBox(float, torch.ones(2)))
        >>> for _ in range(60):
        ...     X = solver.ask(state)
        ...     state = solver.tell(state, X.square().sum(1))
        >>> float(state.x.norm()) < 0.3
        True
    """

    def ask(self, state: S) -> Tensor:
        """Points, one a row, flat; the same whenever the state is."""
        raise NotImplementedError

    def tell(self, state: S, values: Tensor) -> S:
        """The state after f was evaluated at these points, in their order."""
        raise NotImplementedError

    def step(self, problem: BlackBox, state: S) -> S:
        """Ask, evaluate, tell."""
        return self.tell(state, problem.values(self.ask(state)))


@dataclass
class RankState:
    """Point, the least value told so far (inf at first), pairs in the last ranking (1 at first), steps, a generator's state."""

    x: Tensor
    best: float
    pairs: int
    t: int
    random: Tensor


@dataclass(frozen=True)
class RankDescent(AskTell[RankState]):
    r"""Zeroth-order descent by ranks (ZO-RankSGD).

    .. math:: \hat g = \frac{1}{|E|} \sum_{(i, j) \in E} (\xi_j - \xi_i),\quad x^+ = x - \eta_t \hat g,\quad \xi_i \sim N(0, I)

    with E the pairs of which i is known to be better: among m points x + μξ the best k are ranked, and better than the others.
    No value is used but to compare, so that any increasing function of f gives the same steps to the bit.

    Args:
        lr: η; η_t = η/t^decay.
        mu: μ, the distance at which f is evaluated.
        m: points a step, at least 2; default 15.
        k: how many of them are ranked; default None, all.
        decay: default 0; 1/2 lets it come to rest.
        seed: of the directions, default 0.

    Measures ``best``, the least value told (inf before the first step), and ``pairs`` |E|; stalls when there was none, as on a
    plain or where all values are NaN.

    Raises:
        ValueError: k above m.

    Source: Tang, Rybin & Chang 2024, arXiv:2303.03751, the (m, k)-ranking oracle and its estimator; the paper's equations were
    not at hand, and these follow a summary of them. Its line search by ranks is not here.

    Note: points with NaN come last in the ranking, and equal values are no pair.
    """

    lr: float
    mu: float
    m: int = 15
    k: int | None = None
    decay: float = 0.0
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "mu": "(0, inf)", "m": "[2, inf)", "k": "[1, inf)", "decay": "[0, 1]",
                                        "seed": "[0, inf)"}  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k is not None and self.k > self.m:
            raise ValueError(f"RankDescent: k must be at most m, got k={self.k} and m={self.m}")

    def init(self, problem: BlackBox) -> RankState:
        """Nothing is evaluated yet."""
        return RankState(problem.start, float("inf"), 1, 0, seeded(self.seed))

    def _directions(self, state: RankState, random: torch.Generator) -> Tensor:
        return torch.randn(self.m, len(state.x), generator=random, dtype=state.x.dtype).to(state.x.device)

    def ask(self, state: RankState) -> Tensor:
        """m points around x."""
        return state.x + self.mu * self._directions(state, generator(state.random))

    def tell(self, state: RankState, values: Tensor) -> RankState:
        """One move along what the ranking says."""
        random = generator(state.random)
        xi = self._directions(state, random)
        values = values.to(xi).nan_to_num(nan=float("inf"), posinf=float("inf"), neginf=-float("inf"))
        cut = values.sort().values[(self.k or self.m) - 1]
        better = (values[:, None] < values) & (values[:, None] <= cut)  # [i, j]: i is known to be better than j
        weight = better.sum(0) - better.sum(1)
        g = weight.to(xi) @ xi / max(1, int(better.sum()))
        best, pairs, lr = min(state.best, float(values.min())), int(better.sum()), self.lr / (state.t + 1) ** self.decay
        return RankState(state.x - g * lr, best, pairs, state.t + 1, random.get_state())

    def measure(self, problem: BlackBox, state: RankState) -> dict[str, float]:
        """From the state alone."""
        return {"best": state.best, "pairs": state.pairs}

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when no point was better than another."""
        return Status.STALLED if numbers["pairs"] == 0 else None
