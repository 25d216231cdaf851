"""Caution: a step never goes where the gradient says no.

On a 50-dimensional quadratic of condition number 1000 heavy-ball momentum of 0.99 overshoots, and its loss rises in
every other step; with the mask it hardly ever does. On Python's source the cautious versions of AdamW and Lion must
reach the last loss of their plain versions in fewer steps. The control takes the mask off.
"""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.baselines import last, reach, tuned


def quadratic(direction: Any, seed: int, steps: int) -> list[float]:
    """Losses before each step and after the last."""
    g = torch.Generator().manual_seed(seed)
    curvature = torch.logspace(-3, 0, 50, dtype=torch.float64)
    x = torch.nn.Parameter(torch.randn(50, generator=g, dtype=torch.float64))
    opt = steepest.Optimizer([x], lr=0.05, direction=direction)
    losses = [float(opt.step(lambda: 0.5 * (curvature * x * x).sum())) for _ in range(steps)]
    return [*losses, float(0.5 * (curvature * x.detach() ** 2).sum())]


def monotone(fast: bool, control: bool) -> Measured:
    """Number of steps that raise the loss, and losses at checkpoints."""
    seeds, steps = (1 if fast else 5), 2_000
    rises: dict[str, list[int]] = {"cautious": [], "plain": []}
    ways: dict[str, list[list[float]]] = {"cautious": [], "plain": []}
    for seed in range(seeds):
        for label in rises:
            momentum = steepest.direction.Momentum(momentum=0.99)
            masked = label == "cautious" and not control
            losses = quadratic(steepest.direction.Cautious(momentum) if masked else momentum, seed, steps)
            rises[label].append(sum(b > a for a, b in pairwise(losses)))
            ways[label].append(losses)
    above = [
        c[k] / p[k] for c, p in zip(ways["cautious"], ways["plain"], strict=True) for k in range(100, steps + 1, 100)
    ]
    numbers = {
        "rises_ratio": max(c / p for c, p in zip(rises["cautious"], rises["plain"], strict=True)),
        "loss_ratio": max(above),
        "rises_cautious": statistics.median(rises["cautious"]),
        "rises_plain": statistics.median(rises["plain"]),
    }
    t = [float(k) for k in range(steps + 1)]
    return Measured(numbers, [Lines("loss", "steps", "loss", {k: (t, v) for k, v in ways.items()}, log="y")])


def speed(fast: bool, control: bool) -> Measured:
    """Steps to the last loss of the plain version, as a part of its steps, mean over seeds, for AdamW and Lion."""
    seeds = 1 if fast else 3
    numbers: dict[str, float] = {}
    panels = []
    for plain, masked in (("AdamW", "CAdamW"), ("Lion", "CLion"))[: 1 if fast else 2]:
        base = tuned(plain, fast, seeds)
        ours = base if control else tuned(masked, fast, seeds)
        parts = [reach(o.curve, b.curve[-1]) for o, b in zip(ours, base, strict=True)]
        numbers[f"part {masked}"] = statistics.mean(parts)
        numbers[f"loss {masked} - {plain}"] = last(ours) - last(base)
        numbers |= {f"lr {plain}": base[0].lr, f"lr {masked}": ours[0].lr}
        curves = {masked: (ours[0].times, [o.curve for o in ours]), plain: (base[0].times, [b.curve for b in base])}
        panels.append(Lines("held-out loss", "steps", "nats a byte", curves))
    numbers["part_worst"] = max(v for k, v in numbers.items() if k.startswith("part"))
    return Measured(numbers, panels)


CLAIMS = (
    Claim(
        name="cautious-descends",
        sentence="Masking the coordinates in which an update disagrees with the gradient makes momentum methods descend "
        "(almost) monotonically.",
        source=Source("liang2024cautious", "the section on the Hamiltonian; quadratic example"),
        methods=("CAdamW", "CLion"),
        rows=("001-174",),
        bounds=(
            Bound("rises_ratio", "≤", 0.1, "steps that raise the loss, relative to plain heavy ball, worst seed"),
            Bound("loss_ratio", "<", 1.0, "loss relative to plain heavy ball, worst of the checkpoints 100, 200, … and seeds"),
        ),
        experiment=monotone,
        control="mask off",
        seeds=5,
        minutes=0.3,
        untested="The continuous-time theory.",
    ),
    Claim(
        name="cautious-faster",
        sentence="The one-line change speeds up AdamW and Lion in pre-training.",
        source=Source("liang2024cautious", "abstract (up to 1.47 times on Llama)"),
        methods=("CAdamW", "CLion"),
        rows=("001-174",),
        bounds=(Bound("part_worst", "≤", 0.95, "steps to the plain version's last held-out loss, as a part of its steps, mean "
                      "over seeds, worse of AdamW and Lion, both at their best of four learning rates"),),
        experiment=speed,
        control="mask off",
        seeds=3,
        minutes=2.5,
        untested="Llama and MAE; anything larger than a two-layer byte-level transformer and 240 steps.",
    ),
)  # fmt: skip
