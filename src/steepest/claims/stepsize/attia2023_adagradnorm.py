"""AdaGrad-Norm adapts to smoothness and noise it does not know.

Least squares in 60 dimensions, L = 1 and D = 1, curvatures down to 1e-6 and the solution equally far in every direction, so
that the loss is not strongly convex within the run. There a fixed step 1/L falls like 1/T without additive noise and stops
falling with it, and steps 1/(L√t) are slow where there is none. The variance of the noise is s₀² + s₁²‖∇f‖². The average of
the points is judged at its 95th percentile over seeds: how does f - f* fall with the number of steps T, for first steps ten
times too short and ten times too long? The control freezes AdaGrad's sum at the first gradient. The trivial rivals are a
fixed step 1/L, steps 1/(L√t), and standing still.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source

ETAS, S1, SIZE = (0.1, 1.0, 10.0), 0.5, 60
CURVATURE = torch.logspace(0, -6, SIZE, dtype=torch.float64)
HUGE = 1e9
RIVALS: dict[str, Callable[[int], float]] = {
    "a fixed step 1/L": lambda t: 1.0, "steps 1/(L√t)": lambda t: t**-0.5, "standing still": lambda t: 0.0,
}  # fmt: skip


class Frozen(steepest.stepsize.AdaGradNorm):
    """AdaGrad-Norm whose sum stays what it was after the first gradient."""

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: SimpleNamespace, loss: float) -> float:
        """1/b of the first step."""
        return 1 / math.sqrt(memory["b2"]) if memory["b2"] else super().eta(sums, memory, h, loss)


def adaptive(eta: float, control: bool) -> Callable[[Any], steepest.Optimizer]:
    """AdaGrad-Norm, or the control, with its plain average; a step size for each seed."""
    kind = Frozen if control else steepest.stepsize.AdaGradNorm
    return lambda x: steepest.Optimizer(x, lr=eta, step_size=kind(per="tensor"), point=steepest.point.Average(gamma=0),
                                        nonfinite="propagate")  # fmt: skip


def averaged_sgd(x: Any) -> steepest.Optimizer:
    """SGD with the plain average, whose steps are set from outside."""
    return steepest.SGD(x, lr=0.0, point=steepest.point.Average(gamma=0))


def gaps(make: Callable[[Any], steepest.Optimizer], s0: float, seeds: int, times: list[int],
         lr: Callable[[int], float] | None = None) -> list[list[float]]:  # fmt: skip
    """f - f* of the average after each of these numbers of steps, for each seed."""
    random = torch.Generator().manual_seed(0)
    star = torch.full((SIZE,), SIZE**-0.5, dtype=torch.float64)
    xs = [torch.nn.Parameter(torch.zeros_like(star)) for _ in range(seeds)]
    opt = make(xs)
    rows = []
    for t in range(1, times[-1] + 1):
        plain, relative = torch.randn(2, seeds, SIZE, generator=random, dtype=torch.float64) / SIZE**0.5
        g = CURVATURE * (torch.stack([x.detach() for x in xs]) - star)
        g += s0 * plain + S1 * g.norm(dim=1, keepdim=True) * relative
        for x, slope_here in zip(xs, g, strict=True):
            x.grad = slope_here
        if lr is not None:
            opt.param_groups[0]["lr"] = lr(t)
        opt.step()
        if t in times:
            with opt.averaged():
                found = [float((CURVATURE * (x.detach() - star) ** 2).sum() / 2) for x in xs]
            rows.append([min(v, HUGE) if v == v else HUGE for v in found])
    return [list(row) for row in zip(*rows, strict=True)]


def slope(times: list[int], rows: list[list[float]]) -> float:
    """Of the 95th percentile over seeds, both as logarithms, by least squares."""
    top = torch.tensor(rows, dtype=torch.float64).quantile(0.95, dim=0)
    x, y = torch.tensor(times, dtype=torch.float64).log(), top.log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def experiment(fast: bool, control: bool) -> Measured:
    """Slopes over the last decade, worst first step, without and with additive noise; the rivals' beside them."""
    seeds, times = (8, [50, 100, 200, 400]) if fast else (20, [800, 1400, 2500, 4500, 8000])
    numbers: dict[str, float] = {}
    panels = []
    rivals: dict[str, dict[str, float]] = {} if control else {name: {} for name in RIVALS}
    for key, s0 in (("slope_quiet", 0.0), ("slope_noisy", 1.0)):
        curves = {f"first step {eta:g}": gaps(adaptive(eta, control), s0, seeds, times) for eta in ETAS}
        slopes = {f"{key}, {name}": slope(times, rows) for name, rows in curves.items()}
        numbers |= {key: max(slopes.values()), **slopes}
        for name in rivals:
            rows = gaps(
                lambda x: steepest.SGD(x, lr=0.0, point=steepest.point.Average(gamma=0)), s0, seeds, times, RIVALS[name]
            )
            rivals[name][key] = slope(times, rows)
            curves[name] = rows
        panels.append(
            Lines(f"additive noise {s0:g}", "steps", "f - f*", {k: (times, v) for k, v in curves.items()}, log="xy")
        )
    return Measured(numbers, panels, rivals)


CLAIMS = (
    Claim(
        name="adagradnorm-adapts",
        sentence="SGD with AdaGrad's step size converges with high probability under affine noise, like 1/T where the "
        "additive noise is small and like 1/√T where it is not, without knowing smoothness, distance or noise.",
        source=Source("attia2023adagrad", "abstract, convex case"),
        methods=("AdaGradNorm",),
        rows=("001-006",),
        bounds=(
            Bound("slope_quiet", "≤", -0.9, "slope of log(f - f*) in log T without additive noise, 95th percentile over seeds, "
                  "worst of three first steps"),
            Bound("slope_noisy", "≤", -0.45, "the same with additive noise of variance 1"),
        ),
        experiment=experiment,
        control="the sum of squared gradients frozen at the first",
        seeds=20,
        minutes=2.0,
        untested="The non-convex case; unbounded gradients; that 1/√T is not beaten.",
        note="The experiment was changed after the claim had held with slopes of -1.88 and -0.68 on a strongly convex problem "
        "of 20 dimensions, 2,000 steps: there SGD with a fixed step 1/L passed both bounds as well. The bounds are the same.",
    ),
)  # fmt: skip
