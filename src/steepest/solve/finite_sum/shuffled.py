"""Stochastic gradients, one sample a step, in an order that is drawn, fixed, or chosen by the gradients themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.problem import FiniteSum
from steepest.solve.solver import Solver, generator, seeded

ORDERS = ("replacement", "once", "reshuffle", "grab")


@dataclass
class ShuffledState:
    """Point, this pass's order and the next one's, steps in this pass, and the state of the random generator.

    GraB's, else zeros: how many samples stand in front in the next order, the signed sum s of centred gradients, the mean of
    the last pass's gradients, and that of this one's so far.
    """

    x: Tensor
    order: Tensor
    following: Tensor
    t: int
    random: Tensor
    front: int
    s: Tensor
    mean: Tensor
    new_mean: Tensor


@dataclass(frozen=True)
class ShuffledSGD(Solver[FiniteSum, ShuffledState]):
    r"""Stochastic gradient descent, :math:`x^+ = x - \eta \nabla f_{\sigma(t)}(x)`, by passes over orders σ.

    With "grab", each gradient is centred by the mean of those of the last pass, :math:`c = g - m`, and takes the sign that
    keeps :math:`\lVert s \pm c\rVert` small; where it is +, the sample stands next from the front in the order of the next
    pass, else next from its end. So prefixes of the sum of gradients stay close to their share of it (herding).

    Args:
        lr: η.
        order: "replacement", "once" (one permutation for all passes), "reshuffle" (default; a new one each), or "grab".
        seed: of samples and permutations, default 0.

    Measures ``objective`` f(x) and ``residual`` ‖∇f(x)‖ over all samples, evaluated for it: take ``every=`` large.

    Source: Cha, Lee & Yun 2023, arXiv:2303.07160, for the orders and what none of them can do better; Lu, Guo & De Sa 2022,
    arXiv:2205.10733, Algorithm 4 with the deterministic balancing of its Algorithm 5.

    Note: the authors' package balances pairs of gradients by default; this is the paper's mode, by the mean.
    """

    lr: float
    order: str = "reshuffle"
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "seed": "[0, inf)"}

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"ShuffledSGD: order must be one of {', '.join(map(repr, ORDERS))}, got {self.order!r}")
        super().__post_init__()

    def init(self, problem: FiniteSum) -> ShuffledState:
        """The first order."""
        random, zero = generator(seeded(self.seed)), torch.zeros_like(problem.start)
        order = torch.randperm(problem.n, generator=random)
        return ShuffledState(problem.start, order, order, 0, random.get_state(), 0, zero, zero, zero)

    def step(self, problem: FiniteSum, state: ShuffledState) -> ShuffledState:
        """One gradient of one sample, and a new order after the last."""
        random, n, t = generator(state.random), problem.n, state.t
        i = torch.randint(n, (1,), generator=random) if self.order == "replacement" else state.order[t : t + 1]
        g = problem.grad_of(state.x, i.to(state.x.device))
        following, front, s, mean, new_mean = state.following, state.front, state.s, state.mean, state.new_mean
        if self.order == "grab":
            c, new_mean, following = g - mean, new_mean + g / n, following.clone()
            plus = float((s + c).norm()) < float((s - c).norm())
            following[front if plus else n - 1 - (t - front)] = i[0]
            front, s = front + plus, s + c if plus else s - c
        order, t = state.order, t + 1
        if t == n:
            if self.order == "reshuffle":
                following = torch.randperm(n, generator=random)
            order, t, front, s, mean, new_mean = following, 0, 0, torch.zeros_like(s), new_mean, torch.zeros_like(s)
        return ShuffledState(state.x - g * self.lr, order, following, t, random.get_state(), front, s, mean, new_mean)

    def measure(self, problem: FiniteSum, state: ShuffledState) -> dict[str, float]:
        """Over all samples."""
        f, g = problem.value_and_grad(state.x)
        return {"objective": f, "residual": float(g.norm())}
