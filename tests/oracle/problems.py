"""Where methods are followed: losses written twice, in numpy with their gradient by hand, and in torch.

The tensors of a problem lie one after another in a vector x, so that a paper's equation stands here as it is printed;
``parts`` looks at the vector as tensors again.  A loss may change with the step t (mini-batches).  In a game, ``grad``
is the field: players that maximize have it negated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import steepest

Vector = NDArray[np.float64]


def join(parts: Sequence[Any]) -> Vector:
    """Tensors one after another in a vector."""
    return np.concatenate([np.asarray(p, dtype=np.float64).reshape(-1) for p in parts])


class Problem:
    """A loss of a few tensors."""

    start: list[Vector]
    maximizes: tuple[bool, ...] = ()  # one a tensor, in games

    def parts(self, x: Vector) -> list[Vector]:
        """The tensors in x, as views."""
        ends = np.cumsum([p.size for p in self.start])[:-1]
        return [flat.reshape(p.shape) for flat, p in zip(np.split(x, ends), self.start, strict=True)]

    def loss(self, x: Vector, t: int) -> float:
        raise NotImplementedError

    def grad(self, x: Vector, t: int) -> Vector:
        raise NotImplementedError

    def torch_loss(self, p: Sequence[Tensor], t: int) -> Tensor:
        raise NotImplementedError


class Linear(Problem):
    """One tensor, gradients prescribed: the loss of step t is their product with x, plus a constant to be positive."""

    def __init__(self, start: Any, *gradients: Any, constant: float = 0.0) -> None:
        self.start = [np.array(start, dtype=np.float64)]
        self.gradients, self.constant = [np.array(g, dtype=np.float64) for g in gradients], constant

    def grad(self, x: Vector, t: int) -> Vector:
        return self.gradients[(t - 1) % len(self.gradients)].reshape(-1)

    def loss(self, x: Vector, t: int) -> float:
        return float(self.grad(x, t) @ x) + self.constant

    def torch_loss(self, p: Sequence[Tensor], t: int) -> Tensor:
        return (torch.from_numpy(self.grad(self.start[0], t)) * p[0].reshape(-1)).sum() + self.constant


class Trap(Linear):
    """Whoever leaves the start in the first step pays a hundred: a line search must fail there."""

    def loss(self, x: Vector, t: int) -> float:
        return super().loss(x, t) + 100.0 * (t == 1 and bool((x != self.start[0]).any()))

    def torch_loss(self, p: Sequence[Tensor], t: int) -> Tensor:
        left = bool((p[0] != torch.from_numpy(self.start[0])).any())
        return super().torch_loss(p, t) + 100.0 * (t == 1 and left)


class Quadratic(Problem):
    """Half the sum of a x²; x may be one tensor or several."""

    def __init__(self, a: Sequence[float], *start: Any) -> None:
        self.start = [np.array(s, dtype=np.float64) for s in start]
        self.a = np.array(a, dtype=np.float64)

    def grad(self, x: Vector, t: int) -> Vector:
        return self.a * x

    def loss(self, x: Vector, t: int) -> float:
        return float(self.a @ (x * x)) / 2

    def torch_loss(self, p: Sequence[Tensor], t: int) -> Tensor:
        x = torch.cat([q.reshape(-1) for q in p])
        return (torch.from_numpy(self.a) * x * x).sum() / 2


class Separable(Quadratic):
    """Half the sum of a (x² - cos 2x + 1): curved both ways, and its Hessian is diagonal."""

    def grad(self, x: Vector, t: int) -> Vector:
        return self.a * (x + np.sin(2 * x))

    def curvature(self, x: Vector) -> Vector:
        return self.a * (1 + 2 * np.cos(2 * x))

    def loss(self, x: Vector, t: int) -> float:
        return float(self.a @ (x * x - np.cos(2 * x) + 1)) / 2

    def torch_loss(self, p: Sequence[Tensor], t: int) -> Tensor:
        x = torch.cat([q.reshape(-1) for q in p])
        return (torch.from_numpy(self.a) * (x * x - torch.cos(2 * x) + 1)).sum() / 2


class Game(Problem):
    """x descends and y ascends on xᵀBy + (‖x‖⁴ - ‖y‖⁴)/40, with B turning a little from step to step."""

    maximizes = (False, True)

    def __init__(self, B: Any = ((1.0, 0.5), (-0.3, 0.8)), quartic: float = 0.1, turns: bool = True,
                 start: Any = ((1.0, 0.4), (-0.7, 0.5))) -> None:  # fmt: skip
        self.B, self.quartic, self.turns = np.array(B, dtype=np.float64), quartic, turns
        self.start = [np.array(s, dtype=np.float64) for s in start]

    def _b(self, t: int) -> Vector:
        return self.B * (1 + 0.2 * math.sin(t)) if self.turns else self.B

    def grad(self, x: Vector, t: int) -> Vector:
        a, b = self.parts(x)
        return join([self._b(t) @ b + self.quartic * a * (a @ a), -(self._b(t).T @ a) + self.quartic * b * (b @ b)])

    def loss(self, x: Vector, t: int) -> float:
        a, b = self.parts(x)
        return float(a @ self._b(t) @ b + self.quartic * ((a @ a) ** 2 - (b @ b) ** 2) / 4)

    def torch_loss(self, p: Sequence[Tensor], t: int) -> Tensor:
        a, b = p
        return a @ torch.from_numpy(self._b(t)) @ b + self.quartic * ((a @ a) ** 2 - (b @ b) ** 2) / 4


class Net(Problem):
    """Two layers: tall and wide matrices, a vector and a number; four mini-batches in turn; never negative.

    ``pauses`` names steps at which the loss, and with it the gradient, is zero.
    """

    def __init__(self, pauses: Sequence[int] = ()) -> None:
        r = np.random.default_rng(7)
        self.start = [r.normal(size=(5, 3)), r.normal(size=5), r.normal(size=(4, 5)), np.array(0.8)]
        self.a, self.y = r.normal(size=(4, 6, 3)), r.normal(size=(4, 6, 4))
        self.pauses = pauses

    def _forward(self, x: Vector, t: int) -> tuple[Vector, ...]:
        W, b, V, s = self.parts(x)
        h = np.tanh(self.a[t % 4] @ W.T + b)
        o = h @ V.T
        r = s * o - self.y[t % 4]
        return W, V, s, h, o, r, np.sqrt(1 + r * r)

    def loss(self, x: Vector, t: int) -> float:
        return 0.0 if t in self.pauses else float(np.mean(self._forward(x, t)[-1] - 1))

    def grad(self, x: Vector, t: int) -> Vector:
        if t in self.pauses:
            return np.zeros_like(x)
        _, V, s, h, o, r, root = self._forward(x, t)
        dr = r / root / r.size
        dz = (dr * s) @ V * (1 - h * h)
        return join([dz.T @ self.a[t % 4], dz.sum(0), (dr * s).T @ h, (dr * o).sum()])

    def torch_loss(self, p: Sequence[Tensor], t: int) -> Tensor:
        W, b, V, s = p
        h = torch.tanh(torch.from_numpy(self.a[t % 4]) @ W.T + b)
        r = s * (h @ V.T) - torch.from_numpy(self.y[t % 4])
        return (torch.sqrt(1 + r * r) - 1).mean() * float(t not in self.pauses)


@dataclass
class Trail:
    """What a run left behind, step by step."""

    x: list[Vector] = field(default_factory=list)  # after the step
    answers: list[Vector] = field(default_factory=list)  # what the method returns then
    asked: list[list[Vector]] = field(default_factory=list)  # points at which the loss was asked
    returned: list[float] = field(default_factory=list)
    states: list[list[dict[str, Any]]] = field(default_factory=list)  # numpy copies, one dict a tensor
    opt: Any = None


def steps(make: Callable[..., Any], problem: Problem, etas: Sequence[float | None], **hyper: Any) -> Iterator[Trail]:
    """Run our method, one step at a time; ``etas`` are its learning rates, None leaves them alone."""
    params = [nn.Parameter(torch.from_numpy(s.copy())) for s in problem.start]
    ascends = problem.maximizes or (False,) * len(params)
    groups = [{"params": [p for p, up in zip(params, ascends, strict=True) if up is player], "maximize": player}
              for player in sorted(set(ascends))]  # fmt: skip
    opt = make(groups, **hyper)
    trail = Trail(opt=opt)

    def flat() -> Vector:
        return join([p.detach().numpy() for p in params])

    for t, eta in enumerate(etas, 1):
        trail.asked.append([])

        def closure(t: int = t) -> Tensor:
            trail.asked[-1].append(flat())
            return problem.torch_loss(params, t)

        for group in opt.param_groups:
            group["lr"] = group["lr"] if eta is None else eta
        trail.returned.append(float(opt.step(closure)))
        trail.x.append(flat())
        with opt.averaged() if type(opt.point).answer is not steepest.point.Point.answer else nullcontext():
            trail.answers.append(flat())
        trail.states.append([{k: v.clone().numpy() for k, v in opt.state[p].items() if isinstance(v, Tensor)}
                             if p in opt.state else {} for p in params])  # fmt: skip
        yield trail


def follow(make: Callable[..., Any], problem: Problem, etas: Sequence[float | None], **hyper: Any) -> Trail:
    """The whole run."""
    return list(steps(make, problem, etas, **hyper))[-1]


def gap(ours: Sequence[Vector], paper: Sequence[Vector]) -> float:
    """The largest relative difference over all steps; infinite where something is not a number."""
    worst = 0.0
    for a, b in zip(ours, paper, strict=True):
        here = float(np.max(np.abs(a - b)) / max(1.0, float(np.max(np.abs(b)))))
        worst = max(worst, here if math.isfinite(here) else math.inf)
    return worst


#: tensors of no, one, two and three dimensions
SHAPES = Quadratic(range(1, 14), [0.7], [[0.1, 0.9], [-0.2, 0.3]], [[[0.4, 1.0], [0.2, -1.0], [3.0, 0.1]]],
                   np.array(0.1), np.array(2.0))  # fmt: skip
