"""AdaGrad-Norm adapts to smoothness and noise it does not know.

Least squares in twenty dimensions, D = 1 and L = 1, with noise whose variance is s₀² + s₁²‖∇f‖². The average of the
points is judged at its 95th percentile over seeds: how does f - f* fall with the number of steps T, for first steps ten
times too short and ten times too long? The control is SGD with a fixed step of 3/L.
"""

from __future__ import annotations

from typing import Any

import torch

import steepest
from steepest.claims.base import Bound, Claim, Lines, Measured, Source

ETAS, S1 = (0.1, 1.0, 10.0), 0.5
CURVATURE = torch.logspace(0, -1, 20, dtype=torch.float64)
HUGE = 1e9


def gaps(eta: float, s0: float, seeds: int, times: list[int], control: bool) -> list[list[float]]:
    """f - f* of the average after each of these numbers of steps, for each seed."""
    random = torch.Generator().manual_seed(0)
    star = torch.ones(20, dtype=torch.float64) / 20**0.5
    xs = [torch.nn.Parameter(torch.zeros_like(star)) for _ in range(seeds)]
    average = steepest.point.Average(gamma=0)
    opt: Any = (steepest.SGD(xs, lr=3.0, point=average, nonfinite="propagate") if control
                else steepest.AdaGradNorm(xs, lr=eta, per="tensor", point=average))  # fmt: skip
    rows = []
    for t in range(1, times[-1] + 1):
        noise = torch.randn(seeds, 2, 20, generator=random, dtype=torch.float64) / 20**0.5
        for x, (plain, relative) in zip(xs, noise, strict=True):
            g = CURVATURE * (x.detach() - star)
            x.grad = g + s0 * plain + S1 * g.norm() * relative
        opt.step()
        if t in times:
            with opt.averaged():
                found = [float((CURVATURE * (x.detach() - star) ** 2).sum() / 2) for x in xs]
            rows.append([min(v, HUGE) if v == v else HUGE for v in found])
    return [list(row) for row in zip(*rows, strict=True)]


def slope(times: list[int], values: list[float]) -> float:
    """Of the logarithms, by least squares."""
    x, y = torch.tensor(times, dtype=torch.float64).log(), torch.tensor(values, dtype=torch.float64).log()
    return float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())


def experiment(fast: bool, control: bool) -> Measured:
    """Slopes of the 95th percentile over the last decade, worst first step, without and with additive noise."""
    seeds, times = (8, [50, 100, 200, 400]) if fast else (40, [200, 400, 800, 1400, 2000])
    numbers, panels = {}, []
    for s0 in (0.0, 1.0):
        curves = {}
        for eta in ETAS:
            rows = gaps(eta, s0, seeds, times, control)
            top = [float(torch.tensor(column).quantile(0.95)) for column in zip(*rows, strict=True)]
            numbers[f"slope s0={s0:g} eta={eta:g}"] = slope(times, top)
            curves[f"first step {eta:g}"] = (times, rows)
        numbers["slope_noisy" if s0 else "slope_quiet"] = max(numbers[f"slope s0={s0:g} eta={eta:g}"] for eta in ETAS)
        panels.append(Lines(f"additive noise {s0:g}", "steps", "f - f*", curves, log="xy"))
    return Measured(numbers, panels)


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
        control="SGD with a fixed step of 3/L",
        seeds=40,
        minutes=0.8,
        untested="The non-convex case; unbounded gradients; that 1/√T is not beaten (on a quadratic averages may do better).",
    ),
)  # fmt: skip
