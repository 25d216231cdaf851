"""Twenty arms and data of two policies: one nearly always pulls the best arm, one another arm twice as often as that.

The best arm's reward is 1 with probability 0.7, the others' with probabilities drawn below. Of N pulls in the data a part
1/C is of the best arm: C = 1.2, the rest spread over the others, most of which are seen a few times; and C = 4, where half of
the pulls are of one worse arm. On the first the rival is the best empirical mean, on the second imitation, the arm that was
pulled most. The level is the logarithm of arms over a probability of error of 0.1, the same everywhere. The control has the
level 0, and a trivial rival is imitation.
"""

from __future__ import annotations

import math
from functools import cache

import torch

from steepest.applications.rl import lower_bounds
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source

ARMS, SIZES = 20, (100, 300, 1000)
CHOICES = ("pessimistic", "empirical", "imitation")


@cache
def loss(choice: str, expert: bool, size: int, repeats: int) -> float:
    """Mean reward that is given away, over data sets of this size."""
    g = torch.Generator().manual_seed(size)
    chances = 0.7 * torch.rand(repeats, ARMS, generator=g, dtype=torch.float64)
    chances[:, 0] = 0.7
    chances[:, 1] = 0.4
    behaviour = torch.full(
        (ARMS,), (1 / 6 if expert else 1 / 4) / (ARMS - 1 if expert else ARMS - 2), dtype=torch.float64
    )
    behaviour[:1], behaviour[1:2] = (5 / 6, behaviour[1]) if expert else (0.25, 0.5)
    arms = torch.multinomial(behaviour.expand(repeats, -1), size, replacement=True, generator=g)
    rewards = (torch.rand(repeats, size, generator=g, dtype=torch.float64) < chances.gather(1, arms)).double()
    counts = torch.zeros(repeats, ARMS, dtype=torch.float64).scatter_add_(1, arms, torch.ones_like(rewards))
    means = torch.zeros_like(counts).scatter_add_(1, arms, rewards) / counts.clamp(min=1)
    level = math.log(2 * ARMS / 0.1) / 2 if choice == "pessimistic" else 0.0
    chosen = (counts if choice == "imitation" else lower_bounds(means, counts, level)).argmax(1)
    return float((0.7 - chances.gather(1, chosen[:, None])).mean())


def worst(choice: str, repeats: int) -> float:
    """Loss relative to that of the rival which fails on those data, over kinds of data and sizes."""
    rivals = {True: "empirical", False: "imitation"}
    return max(loss(choice, e, n, repeats) / loss(rival, e, n, repeats) for e, rival in rivals.items() for n in SIZES)


def experiment(fast: bool, control: bool) -> Measured:
    """The worst of six ratios."""
    repeats = 200 if fast else 4000
    curves = {
        f"{c}, {'expert' if e else 'mixed'}": [loss(c, e, n, repeats) for n in SIZES]
        for c in CHOICES
        for e in (True, False)
    }
    numbers = {"ratio": worst("empirical" if control else "pessimistic", repeats),
               **{f"{label} {n}": v for label, line in curves.items() for n, v in zip(SIZES, line, strict=True)}}  # fmt: skip
    lines = {label: (SIZES, [line]) for label, line in curves.items()}
    return Measured(numbers, [Lines("reward given away", "pulls in the data", "reward", lines, log="x")],
                    {"imitation": {"ratio": worst("imitation", repeats)}})  # fmt: skip


CLAIMS = (
    Claim(
        name="pessimism-expert-data",
        sentence="The choice by lower confidence bounds is good on data of a nearly optimal policy, where empirical means "
        "fail, and on mixed data, where imitation fails.",
        source=Source(
            "rashidinejad2022pessimism",
            "abstract: between imitation and offline reinforcement learning",
        ),
        methods=("lower_bounds",),
        rows=("002-35",),
        bounds=(
            Bound(
                "ratio",
                "≤",
                0.5,
                "reward given away relative to the choice that fails there, worst of two kinds and three sizes",
            ),
        ),
        experiment=experiment,
        control="level 0: no pessimism",
        seeds=4000,
        minutes=0.5,
        untested="the rates 1/N and 1/√N, contexts, Markov decision processes; the level of the paper's proof.",
    ),
)
