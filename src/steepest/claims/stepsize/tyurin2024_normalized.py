"""With huge steps logistic regression is the batch perceptron, which many easy rows hold up; normalized, they do not.

The hard example: n - 1 copies of one row, and a rare one that points elsewhere. Gradient descent moves by the rare row over
n, so its steps grow with n. Divided by the total weight of the rows they must not. On Gaussian classes with a margin a
larger step size must separate as soon while its loss is higher. Controls: no rare row; equal step sizes.
"""

from __future__ import annotations

import statistics

import torch
from torch import Tensor

from steepest import solve
from steepest.claims.lab.base import Bound, Claim, Dots, Lines, Measured, Source

GAMMA = 1e4


def rare(n: int, control: bool) -> tuple[Tensor, Tensor]:
    """n - 1 copies of an easy row and one hard one; in the control n copies."""
    A = torch.tensor([1.0, 0.2], dtype=torch.float64).repeat(n, 1)
    if not control:
        A[-1] = torch.tensor([-0.8, 1.0])
    return A, torch.ones(n)


def gaussian(seed: int, n: int, d: int, margin: float = 0.1) -> tuple[Tensor, Tensor]:
    """Two classes, rows nearer than the margin to the plane between them left out."""
    random = torch.Generator().manual_seed(seed)
    u = torch.nn.functional.normalize(torch.randn(d, generator=random, dtype=torch.float64), dim=0)
    A = torch.randn(2 * n, d, generator=random, dtype=torch.float64)
    A = A[(A @ u).abs() > margin][:n]
    return A, (A @ u).sign()


def copies(fast: bool, control: bool) -> Measured:
    """Steps with and without normalization, and the limit."""
    sizes, seeds, n = ((100, 1000), 2, 200) if fast else ((100, 1000, 10_000), 10, 1000)
    plain = [solve.lr_gd(*rare(size, control), gamma=GAMMA).steps for size in sizes]
    normal = [solve.normalized_lr_gd(*rare(size, control), gamma=GAMMA).steps for size in sizes]
    gap = 0.0
    for seed in range(seeds):
        huge, limit = solve.lr_gd(*gaussian(seed, n, 20), gamma=1e8).x, solve.batch_perceptron(*gaussian(seed, n, 20)).x
        if limit is not None and huge is not None:
            gap = max(gap, float((huge / 1e8 - limit).norm() / limit.norm()))
    numbers = {"growth": plain[-1] / plain[0] / (sizes[-1] / sizes[0]), "normalized": float(max(normal)), "gap": gap,
               "plain": float(max(plain))}  # fmt: skip
    x = [float(s) for s in sizes]
    curves = {"normalized": (x, [[float(v) for v in normal]]), "gradient descent": (x, [[float(v) for v in plain]])}
    return Measured(numbers, [Lines("steps to separate", "rows", "steps", curves, log="xy")])


def sizes(fast: bool, control: bool) -> Measured:
    """Steps and peak loss at a huge step size relative to a small one."""
    seeds, n = (2, 200) if fast else (10, 1000)
    faster, higher, steps = [], [], []
    for seed in range(seeds):
        A, y = gaussian(seed, n, 100, 0.02)
        small, large = (solve.lr_gd(A, y, gamma=g, steps=100_000) for g in (0.1, 0.1 if control else GAMMA))
        steps.append(large.steps)
        faster.append(large.steps / small.steps)
        higher.append(max(large.history["loss"]) / max(small.history["loss"]))
    numbers = {"faster": max(faster), "higher": min(higher), "higher median": statistics.median(higher),
               "steps": float(statistics.median(steps))}  # fmt: skip
    columns = {"steps": faster, "peak loss": higher}
    return Measured(numbers, [Dots("γ = 1e4 relative to γ = 0.1", "ratio", columns, {"equal": 1.0}, log="y")])


CLAIMS = (
    Claim(
        name="normalized-logistic-regression",
        sentence="Logistic regression with huge steps is a batch perceptron, whose steps grow with the number of rows; the "
        "steps of the normalized method do not.",
        source=Source("tyurin2024logistic", "abstract"),
        methods=("lr_gd", "batch_perceptron", "normalized_lr_gd"),
        rows=("001-125", "002-12"),
        bounds=(
            Bound("growth", "≥", 0.5, "steps of gradient descent, largest n over n = 100, relative to the rows"),
            Bound("normalized", "≤", 20.0, "steps of the normalized method, worst n"),
            Bound("gap", "≤", 1e-6, "iterate at γ = 1e8 over γ from the batch perceptron's, relative, worst seed"),
        ),
        experiment=copies,
        control="no rare row among the copies",
        seeds=10,
        minutes=0.2,
        untested="Whether the normalization is the paper's to the letter: it is reconstructed from its abstract.",
        note="All from zero, at γ = 1e4.",
    ),
    Claim(
        name="huge-steps-high-loss",
        sentence="Larger step sizes make gradient descent on logistic regression separate sooner, at a higher loss.",
        source=Source("tyurin2024logistic", "abstract"),
        methods=("lr_gd",),
        rows=("001-125", "002-12"),
        bounds=(
            Bound("faster", "≤", 1.2, "steps to separate at γ = 1e4 relative to γ = 0.1, worst seed"),
            Bound("higher", "≥", 10.0, "peak loss at γ = 1e4 relative to γ = 0.1, worst seed"),
        ),
        experiment=sizes,
        control="both step sizes are 0.1",
        seeds=10,
        minutes=0.3,
        untested="Step sizes between, other losses.",
        note="In 100 dimensions with a margin of 0.02. The claim was not held in 20 with 0.1, where four steps separate and "
        "the peak was the start's loss on the worst seed (8.6 times as high in the median). In 50, which a trial had shown to "
        "pass, five steps separate: not tested, for the regime had been set before. The bounds are the same throughout.",
        regime=(Bound("steps", "≥", 8.0, "steps to separate at γ = 1e4, median of seeds"),),
    ),
)
