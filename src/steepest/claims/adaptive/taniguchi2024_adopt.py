"""ADOPT converges whatever β₂ is, on a problem where Adam walks to the worst point.

A linear loss on [-1, 1] whose gradient is k with probability 1/k and -1 otherwise: the mean slope is 1/k > 0, so the
optimum is -1. Rare large gradients are the ones that matter; Adam divides each by a second moment that contains it, so
they count no more than the frequent small ones and it walks to +1. ADOPT divides by the second moment from before. The
control gives ADOPT Adam's order: the same algorithm with the present gradient already in v.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source

BETAS = (0.1, 0.5, 0.9, 0.99)


class WithPresent(steepest.direction.Adopt):
    """ADOPT with the present gradient in v before it divides: Adam's order."""

    def __call__(
        self, g: Tensor, x: Tensor, s: SimpleNamespace, h: SimpleNamespace
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The map."""
        v = s.v * h.a2 + g * g * (1 - h.a2)
        u = torch.clamp(g / torch.sqrt(v).clamp(min=h.eps), -h.most, h.most)
        m = s.m * h.beta1 + u * h.a1
        return m, {"m": m, "v": v}


def walk(direction: Any, k: int, steps: int, seeds: int) -> tuple[list[float], Tensor]:
    """Steps and x (step, β₂, seed) along the way; one row of x a β₂, one column a seed."""
    xs = [torch.nn.Parameter(torch.zeros(seeds, dtype=torch.float64)) for _ in BETAS]
    groups = [{"params": [x], "betas": (0.9, beta2)} for x, beta2 in zip(xs, BETAS, strict=True)]
    opt = steepest.Optimizer(groups, lr=0.01, direction=direction, geometry=steepest.geometry.Box(-1, 1))
    generator = torch.Generator().manual_seed(k)
    times: list[float] = []
    seen: list[Tensor] = []
    every = steps // 100
    for t in range(steps):
        if t % 1000 == 0:
            rare = torch.rand(1000, seeds, generator=generator, dtype=torch.float64) < 1 / k
            gradients = torch.where(rare, float(k), -1.0).to(torch.float64)
        for x, group in zip(xs, opt.param_groups, strict=True):
            x.grad, group["lr"] = gradients[t % 1000], 0.01 / (1 + 0.01 * t) ** 0.5
        opt.step()
        if t % every == every - 1:
            times.append(t + 1)
            seen.append(torch.stack([x.detach().clone() for x in xs]))
    return times, torch.stack(seen)


@cache
def adam_walk(k: int, steps: int, seeds: int) -> Tensor:
    """Adam's way, the same for all that are compared with it."""
    return walk(steepest.direction.Adam(), k, steps, seeds)[1]


def measure(k: int, clip: bool, fast: bool, control: bool) -> Measured:
    """Mean end points over seeds: ADOPT's worst over β₂, Adam's best over β₂ ≤ 0.9."""
    steps, seeds = (4_000 if fast else 50_000), 64
    Adopt: Any = WithPresent if control else steepest.direction.Adopt
    times, adopt = walk(Adopt(clip=clip), k, steps, seeds)
    adam = adam_walk(k, steps, seeds)
    end_adopt, end_adam = adopt[-1].mean(1), adam[-1].mean(1)
    numbers = {
        "adopt_worst": end_adopt.max().item(),
        "adam_best": end_adam[:3].min().item(),
        **{f"adopt_{b}": x for b, x in zip(BETAS, end_adopt.tolist(), strict=True)},
        **{f"adam_{b}": x for b, x in zip(BETAS, end_adam.tolist(), strict=True)},
    }
    curves = {"ADOPT": (times, adopt.mean(2).T.tolist()), "Adam": (times, adam.mean(2).T.tolist())}
    panel = Lines(f"k = {k}: mean x, band over β₂", "steps", "x", curves, {"optimum": -1.0})
    return Measured(numbers, [panel])


def unclipped(fast: bool, control: bool) -> Measured:
    """Algorithm 1."""
    return measure(10, False, fast, control)


def clipped(fast: bool, control: bool) -> Measured:
    """Algorithm 2, the recommended one and our default."""
    return measure(10, True, fast, control)


BOUNDS = (
    Bound("adopt_worst", "<", -0.9, "end point of ADOPT, mean over seeds, worst β₂ of 0.1, 0.5, 0.9, 0.99"),
    Bound("adam_best", ">", 0.9, "end point of Adam, mean over seeds, best β₂ of 0.1, 0.5, 0.9"),
)
CLAIMS = (
    Claim(
        name="adopt-any-beta2",
        sentence="ADOPT converges with any β₂, without a bound on the noise; Adam needs a β₂ that depends on the problem.",
        source=Source("taniguchi2024adopt", "abstract and the toy experiment"),
        methods=("ADOPT",),
        rows=("001-162",),
        bounds=BOUNDS,
        experiment=unclipped,
        control="the present gradient enters v before it divides, Adam's order",
        seeds=64,
        minutes=1.5,
        untested="The rate O(1/√T); tasks of the paper (ImageNet, GPT-2, RL). Adam with β₂ = 0.99 is shown, not judged.",
    ),
    Claim(
        name="adopt-clip-any-beta2",
        sentence="Clipped ADOPT (gradient ratio clipped at t^¼), which the authors recommend, still converges with any β₂.",
        source=Source("taniguchi2024adopt", "Algorithm 2"),
        methods=("ADOPT",),
        rows=("001-162",),
        bounds=BOUNDS,
        experiment=clipped,
        control="the present gradient enters v before it divides, Adam's order",
        seeds=64,
        minutes=1.5,
        untested="Larger k, where rare gradients are cut off longer.",
    ),
)
