"""AdaMax moves no coordinate by more than its step size: a bound that Adam has only where gradients are not sparse.

Moves are measured one by one, relative to the step size, with the paper's defaults and no ε: under constant gradients, normal
ones, one that comes after a thousand zeros, and gradients that fade as fast as the maximum does, g = β₂ᵗ, for which every
past gradient stands in the average with its full weight relative to the maximum. The control has Adam in AdaMax's place,
which moves by 2.5 step sizes at the late gradient. AdaMax's longest move is (1 - β₁)/(1 - β₁/β₂) = 1.0099 step sizes, where
gradients fade: the paper's bound is the right one for β₂ = 1.
"""

from __future__ import annotations

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source

BETA2 = 0.999


def streams(steps: int) -> dict[str, list[float]]:
    """Gradients of one coordinate, step by step."""
    normal = torch.randn(steps, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    return {
        "constant": [1.0] * steps,
        "normal": normal,
        "late": [0.0] * (steps - 1) + [1.0],
        "fading": [BETA2**t for t in range(steps)],
    }


def moves(direction: steepest.direction.Direction, gradients: list[float]) -> list[float]:
    """The length of each move relative to the step size, which is 1 here; x begins at 0 each time, so nothing is rounded."""
    x = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    opt, found = steepest.Optimizer([x], lr=1.0, direction=direction), []
    for g in gradients:
        x.grad = torch.full_like(x, g)
        opt.step()
        found.append(abs(x.item()))
        x.data.zero_()
    return found


def experiment(fast: bool, control: bool) -> Measured:
    """The longest move over all streams."""
    steps = 100 if fast else 1000
    rule = steepest.direction.Adam if control else steepest.direction.AdaMax
    eps = 1e-300 if control else 0.0  # Adam divides 0 by 0 while all gradients are 0
    lengths = {name: moves(rule(beta2=BETA2, eps=eps), gradients) for name, gradients in streams(steps).items()}
    curves = {name: (range(1, steps + 1), [row]) for name, row in lengths.items()}
    return Measured({"longest": max(map(max, lengths.values()))},
                    [Lines("moves in step sizes", "steps", "|Δ| / α", curves, {"bound": 1.0})])  # fmt: skip


CLAIMS = (
    Claim(
        name="adamax-bounded-moves",
        sentence="The magnitude of parameter updates has a simpler bound with AdaMax than Adam, namely |Δ| ≤ α.",
        source=Source("kingma2015adam", "section 7.1"),
        methods=("AdaMax",),
        rows=("001-007",),
        bounds=(Bound("longest", "≤", 1.0, "longest move of a coordinate in step sizes, worst of four streams"),),
        experiment=experiment,
        control="Adam in AdaMax's place",
        seeds=1,
        minutes=0.1,
        untested="Anything about training: the sentence is about single moves. Streams found by search for a longer move.",
    ),
)
