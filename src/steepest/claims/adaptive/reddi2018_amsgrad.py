"""AMSGrad converges where Adam does not, because it never forgets a large gradient.

Reddi, Kale and Kumar's online problem on [-1, 1]: every third loss is C x, the others are -x. The sum has slope C - 2 > 0
and its optimum at -1, but Adam's short memory scales the informative gradient down by the time it would count, and
walks to +1. β₁ = 0, β₂ = 1/(1 + C²), step size α/√t with α below √(1 - β₂), which the theorem asks for; neither bias
correction nor ε, as in the paper. The control takes the maximum away.
"""

from __future__ import annotations

from functools import cache

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source


@cache
def walk(maximum: bool, slopes: tuple[float, ...], steps: int) -> tuple[list[float], list[list[float]]]:
    """Steps, and x along the way by AMSGrad or Adam, one list for each C; all start at +1, the worst point."""
    rule = steepest.direction.AMSGrad if maximum else steepest.direction.Adam
    xs = [torch.nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in slopes]
    groups = [{"params": [x], "betas": (0.0, 1 / (1 + c**2))} for x, c in zip(xs, slopes, strict=True)]
    opt = steepest.Optimizer(
        groups, lr=0.5, direction=rule(eps=0.0, bias_correction=False), geometry=steepest.geometry.Box(-1, 1)
    )
    gradients = [
        (torch.full_like(x, c).detach(), torch.full_like(x, -1.0).detach()) for x, c in zip(xs, slopes, strict=True)
    ]
    times: list[float] = []
    seen: list[list[float]] = [[] for _ in xs]
    for t in range(1, steps + 1):
        for x, pair, group in zip(xs, gradients, opt.param_groups, strict=True):
            x.grad, group["lr"] = pair[t % 3 != 1], 0.5 / t**0.5
        opt.step()
        if t % (steps // 150) == 0:
            times.append(t)
            for row, x in zip(seen, xs, strict=True):
                row.append(x.item())
    return times, seen


def experiment(fast: bool, control: bool) -> Measured:
    """End points of Adam and AMSGrad, the worst over C."""
    slopes, steps = ((3.0,), 3_000) if fast else ((3.0, 6.0), 30_000)
    times, ams = walk(not control, slopes, steps)
    _, adam = walk(False, slopes, steps)
    numbers = {"amsgrad_worst": max(x[-1] for x in ams), "adam_best": min(x[-1] for x in adam)}
    curves = {"AMSGrad": (times, ams), "Adam": (times, adam)}
    return Measured(numbers, [Lines("x, band over C", "steps", "x", curves, {"optimum": -1.0}, log="x")])


CLAIMS = (
    Claim(
        name="amsgrad-remembers",
        sentence="Adam can fail on a simple convex problem because its average forgets rare, informative gradients; a "
        "long-term memory of the second moment mends it.",
        source=Source("reddi2018convergence", "Theorem 1 and Algorithm 2"),
        methods=("AMSGrad",),
        rows=("001-025",),
        bounds=(
            Bound("adam_best", ">", 0.99, "end point of Adam, best C"),
            Bound("amsgrad_worst", "<", -0.95, "end point of AMSGrad, worst C"),
        ),
        experiment=experiment,
        control="without the maximum, which is Adam",
        seeds=1,
        minutes=0.5,
        untested="The stochastic variant (1010 x with probability 0.01) and the regret bound; the problem is deterministic.",
    ),
)
