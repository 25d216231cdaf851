"""AdamNC converges where Adam does not, because it weighs all squared gradients alike.

Reddi, Kale and Kumar's online problem on [-1, 1], as for AMSGrad: every third loss is C x, the others are -x; the optimum is
-1, and the start +1. Learning rate α/√t, no momentum, no ε. The control has the fixed β₂ = 1/(1 + C²) in the place of
1 - 1/t, which is Adam.
"""

from __future__ import annotations

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source


def walk(averages: bool, c: float, steps: int) -> tuple[list[float], list[float]]:
    """Steps, and x along the way."""
    x = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    forgets = steepest.direction.Adam(beta1=0.0, beta2=1 / (1 + c * c), eps=0.0, bias_correction=False)
    rule = steepest.direction.AdamNC(beta1=0.0, eps=0.0) if averages else forgets
    opt = steepest.Optimizer([x], lr=0.5, direction=rule, geometry=steepest.geometry.Box(-1, 1))
    large, small = torch.full((1,), c, dtype=torch.float64), torch.full((1,), -1.0, dtype=torch.float64)
    times, seen = [], []
    for t in range(1, steps + 1):
        x.grad, opt.param_groups[0]["lr"] = large if t % 3 == 1 else small, 0.5 / t**0.5
        opt.step()
        if t % (steps // 100) == 0:
            times.append(float(t))
            seen.append(x.item())
    return times, seen


def experiment(fast: bool, control: bool) -> Measured:
    """End points, the worst over C."""
    slopes, steps = ((3.0,), 2_000) if fast else ((3.0, 6.0), 20_000)
    ways = [walk(not control, c, steps) for c in slopes]
    curves = {"AdamNC": (ways[0][0], [seen for _, seen in ways])}
    return Measured({"end": max(seen[-1] for _, seen in ways)},
                    [Lines("x, band over C", "steps", "x", curves, {"optimum": -1.0}, log="x")])  # fmt: skip


CLAIMS = (
    Claim(
        name="adamnc-remembers",
        sentence="Decay rates that grow with time, such as β₂ₜ = 1 - 1/t, give Adam the long memory that it needs to converge.",
        source=Source("reddi2018convergence", "Algorithm 3, Theorem 5 and Corollary 2"),
        methods=("AdamNC",),
        rows=("001-025",),
        bounds=(Bound("end", "<", -0.95, "end point of AdamNC, worst C"),),
        experiment=experiment,
        control="a fixed β₂ = 1/(1 + C²), which is Adam",
        seeds=1,
        minutes=0.3,
        untested="The regret bound; stochastic problems.",
    ),
)
