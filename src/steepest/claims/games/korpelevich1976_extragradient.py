"""Games: gradient descent-ascent spirals outward, extragradient and its optimistic shortcut spiral inward.

On the bilinear game x'Ay the iterates have a closed form, a power of a matrix, so the implementation is checked to
rounding and not only by eye: with F the rotation field, extragradient multiplies by I - ηF + η²F², optimistic gradient
follows z₊ = z - 2ηFz + ηFz₋. The singular values of A lie between ½ and 1. The controls take away the half step, or the
correction: what is left is simultaneous descent-ascent, which must diverge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source

Closed = Callable[[Tensor, Tensor, Tensor], Tensor]  # (η F, z, z₋) -> z₊
ETA = 0.5  # half of one over the Lipschitz constant


def game(seed: int, n: int) -> tuple[Tensor, Tensor]:
    """A with singular values in [½, 1], and a starting point (x, y)."""
    g = torch.Generator().manual_seed(seed)
    u, _, v = torch.linalg.svd(torch.randn(n, n, generator=g, dtype=torch.float64))
    A = u @ torch.diag(torch.linspace(0.5, 1.0, n, dtype=torch.float64)) @ v
    return A, torch.randn(2, n, generator=g, dtype=torch.float64)


def play(make: Any, seed: int, steps: int, closed: Closed) -> tuple[list[float], float, float]:
    """Distances to the solution relative to the start, largest difference from the closed form, gradients a step."""
    n = 20
    A, start = game(seed, n)
    x, y = torch.nn.Parameter(start[0].clone()), torch.nn.Parameter(start[1].clone())
    opt = make([{"params": [x]}, {"params": [y], "maximize": True}])
    zero = torch.zeros(n, n, dtype=torch.float64)
    F = ETA * torch.cat([torch.cat([zero, A], 1), torch.cat([-A.T, zero], 1)])
    z, before = start.flatten(), torch.zeros(2 * n, dtype=torch.float64)
    far, error = [1.0], 0.0
    for _ in range(steps):
        opt.step(lambda: x @ A @ y)
        z, before = closed(F, z, before), z
        now = torch.cat([x.detach(), y.detach()])
        far.append(float(now.norm() / start.norm()))
        error = max(error, float((now - z).norm() / z.norm()))
    return far, error, opt.counters.backwards / steps


def compare(make: Any, closed: Closed, label: str, fast: bool, control: bool) -> Measured:
    """The method under test (in the control: descent-ascent in its place) against descent-ascent."""
    steps, seeds = 400, 1 if fast else 5

    def simultaneous(groups: Any) -> Any:
        return steepest.SGD(groups, lr=ETA)

    ours = [play(simultaneous if control else make, s, steps, closed) for s in range(seeds)]
    plain = [play(simultaneous, s, steps, closed) for s in range(seeds)]
    numbers = {
        "far": max(far[-1] for far, _, _ in ours),
        "far_descent_ascent": min(far[-1] for far, _, _ in plain),
        "error": max(error for _, error, _ in ours),
        "gradients": max(count for _, _, count in ours),
    }
    t = list(range(steps + 1))
    curves: Any = {label: (t, [o[0] for o in ours]), "descent-ascent": (t, [p[0] for p in plain])}
    return Measured(numbers, [Lines("distance to the solution", "steps", "relative distance", curves, log="y")])


def extragradient(fast: bool, control: bool) -> Measured:
    """Korpelevich's half step."""
    return compare(lambda groups: steepest.ExtraSGD(groups, lr=ETA), lambda F, z, _: z - F @ (z - F @ z), "extragradient",
                   fast, control)  # fmt: skip


def optimistic(fast: bool, control: bool) -> Measured:
    """Popov's correction by the step before; the field before the first step counts as zero."""

    def closed(F: Tensor, z: Tensor, before: Tensor) -> Tensor:
        return z - 2 * F @ z + F @ before

    return compare(lambda groups: steepest.OptimisticSGD(groups, lr=ETA), closed, "optimistic", fast, control)


FAR = Bound("far", "<", 1e-3, "distance to the solution after 400 steps relative to the start, worst seed")
APART = Bound("far_descent_ascent", ">", 10.0, "the same for simultaneous descent-ascent, best seed")
EXACT = Bound("error", "<", 1e-10, "largest relative difference from the closed form along the way, worst seed")

CLAIMS = (
    Claim(
        name="extragradient-converges",
        sentence="Extragradient converges to the saddle point of a bilinear game, where following both gradients diverges.",
        source=Source("korpelevich1976extragradient", "main theorem"),
        methods=("ExtraSGD",),
        bounds=(FAR, APART, EXACT),
        experiment=extragradient,
        control="no half step: simultaneous descent-ascent in its place",
        seeds=5,
        minutes=0.2,
        untested="Constraints and general monotone operators.",
    ),
    Claim(
        name="optimistic-one-gradient",
        sentence="The optimistic (past extragradient) method converges like extragradient with one gradient a step.",
        source=Source("hsieh2019convergence", "single-call variants; the method is Popov's (1980)"),
        methods=("OptimisticSGD",),
        rows=("001-101",),
        bounds=(FAR, APART, EXACT, Bound("gradients", "≤", 1.0, "gradients a step")),
        experiment=optimistic,
        control="no correction: simultaneous descent-ascent in its place",
        seeds=5,
        minutes=0.2,
        untested="Stochastic gradients and the local O(1/t) rate of the last iterate.",
    ),
)
