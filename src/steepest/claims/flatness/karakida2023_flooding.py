"""Flooding takes a step up whenever the loss is below its level, and that is the penalty on the gradient's norm.

A network learns the digits by whole-batch descent of the flooded loss, in float64. From the moment when the loss first
passes the level, steps are looked at two by two: a step up and one down must move the weights by -η² times the forward
difference of F-GR with ε = η, one down and one up by that of B-GR. The control has the level 0, which is never reached,
so that all steps are down.
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Literal

import torch
from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.tasks import digits, network

LR, LEVEL = 0.2, 0.5


def difference(loss: partial[Tensor], x: Tensor, side: Literal["forward", "backward", "centred"]) -> Tensor:
    """Δ of the library's own finite-difference regularization at x, by what it descends beyond the gradient."""
    ends = []
    for strength in (1.0, 0.0):
        p = torch.nn.Parameter(x.clone())
        steepest.FGR([p], lr=1.0, strength=strength, ascent=LR, side=side, momentum=0.0).step(partial(loss, p))
        ends.append(p.detach())
    return ends[1] - ends[0]


def run(seed: int, steps: int, level: float) -> tuple[float, float, list[float]]:
    """Worst misfit of pairs of steps, the part of pairs that alternate, and ‖∇L‖ step by step, after LEVEL was passed."""
    task = digits(32, hidden=torch.nn.Tanh)
    build, (x, y) = network(64, 32, 10, hidden=torch.nn.Tanh), (task.train[0].double(), task.train[1])
    model = build(seed).double()
    shapes = {name: p.shape for name, p in model.named_parameters()}
    weights = torch.nn.Parameter(torch.cat([p.detach().reshape(-1) for p in model.parameters()]))

    def loss(w: Tensor) -> Tensor:
        pieces = w.split([shape.numel() for shape in shapes.values()])
        named = {n: piece.view(shape) for (n, shape), piece in zip(shapes.items(), pieces, strict=True)}
        return task.loss(torch.func.functional_call(model, named, (x,)), y)

    opt, plain = steepest.SGD([weights], lr=LR), partial(loss)
    seen: list[tuple[Tensor, float]] = []
    norms: list[float] = []
    while len(seen) < steps:
        value = float(loss(weights.detach()))
        if seen or value < LEVEL:
            seen.append((weights.detach().clone(), value))
        opt.step(lambda: steepest.nn.flood(loss(weights), level))
        if seen:
            assert weights.grad is not None
            norms.append(float(weights.grad.norm()))
    pairs = [(seen[k], seen[k + 1], seen[k + 2]) for k in range(0, steps - 2, 2)]
    turns = [(a[1] < level) != (b[1] < level) for a, b, _ in pairs]
    misses = []
    for (start, value), _, (end, _) in [p for p, turn in zip(pairs, turns, strict=True) if turn or level == 0.0][:20]:
        expected = -(LR**2) * difference(plain, start, "forward" if value < level else "backward")
        misses.append(float((end - start - expected).norm() / expected.norm()))
    return max(misses), statistics.mean(turns), norms


def flooding(fast: bool, control: bool) -> Measured:
    """Pairs of steps against F-GR and B-GR, and how much the gradient shrinks at the level."""
    seeds, steps = (1, 200) if fast else (5, 500)
    found = [run(seed, steps, 0.0 if control else LEVEL) for seed in range(seeds)]
    shrinks = [statistics.mean(norms[-20:]) / statistics.mean(norms[:20]) for *_, norms in found]
    numbers = {"miss_worst": max(miss for miss, *_ in found), "turns_least": min(turns for _, turns, _ in found),
               "norm_worst": max(shrinks)}  # fmt: skip
    panel = Lines("norm of the gradient since the level was passed", "step", "‖∇L‖",
                  {"flooding": (list(range(steps)), [norms for *_, norms in found])}, log="y")  # fmt: skip
    return Measured(numbers, [panel])


CLAIMS = (
    Claim(
        name="flooding-is-fgr",
        sentence="Flooding performs finite-difference gradient regularization in an implicit way.",
        source=Source("karakida2023gradient", "abstract"),
        methods=("FGR",),
        rows=("001-056",),
        bounds=(
            Bound("turns_least", ">", 0.9, "part of pairs of steps at the level that are one up and one down, worst seed"),
            Bound("miss_worst", "<", 1e-9, "what such a pair moves relative to -η²Δ of F-GR or B-GR with ε = η, worst of 20 "
                  "pairs a seed"),
        ),
        experiment=flooding,
        control="the level 0, which is never reached",
        seeds=5,
        minutes=1.0,
        untested="Mini-batches, where the level is passed by chance; momentum; whether flooding generalises better. That the "
        "norm of the gradient falls is shown and not judged: at this level and learning rate five hundred steps are too few to "
        "tell.",
    ),
)  # fmt: skip
