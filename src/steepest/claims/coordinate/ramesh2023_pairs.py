"""Two coordinates at a time under a fixed sum: greedy pairs do not feel the dimension, and steepest descent in the 1-norm goes
further than any pair where there are bounds.

The first problem is a diagonal quadratic whose solution has ten numbers other than zero, padded with more and more zeros;
control: pairs at random. The second is the dual of a support vector machine: at the iterates of GS-q, the best pair of all, the
progress that each rule's model guarantees is compared, and then what equally many steps of each reach; control: GS-s, the pair
of largest violation, in the place of the 1-norm.
"""

from __future__ import annotations

import torch
from torch import Tensor

from steepest import solve
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.rates import slope


def padded(n: int) -> tuple[solve.Quadratic, float]:
    """A diagonal quadratic with ten numbers to be found among n, and its minimum."""
    h, x = torch.ones(n, dtype=torch.float64), torch.zeros(n, dtype=torch.float64)
    h[:10], x[:10] = (torch.linspace(*ends, 10, dtype=torch.float64) for ends in ((0.5, 1.0), (-1.0, 1.0)))
    return solve.Quadratic(torch.diag(h), -h * x, torch.zeros_like(x), fixed_sum=True), -float(h @ x.square()) / 2


def steps_by_size(rule: str, sizes: list[int], seed: int) -> list[float]:
    """Steps to a thousandth of the first gap."""
    counted = []
    for n in sizes:
        problem, least = padded(n)
        result = solve.solve(problem, solve.GreedyPairs(rule, seed=seed), max_steps=100 * n,
                             callback=lambda now, least=least: now.numbers["objective"] - least <= -1e-3 * least)  # type: ignore[misc]  # fmt: skip
        counted.append(float(result.steps))
    return counted


def dimension(fast: bool, control: bool) -> Measured:
    """Slopes of log steps by log n."""
    sizes, seeds = ([20, 40], 1) if fast else ([20, 40, 80, 160, 320], 3)
    ours = [steps_by_size("random" if control else "1-norm", sizes, 10)]
    theirs = [steps_by_size("random", sizes, seed) for seed in range(seeds)]
    x = [float(n) for n in sizes]
    numbers = {"growth": ours[0][-1] / ours[0][0], "greedy": ours[0][-1], "slope": min(slope(x, run) for run in theirs),
               "random": min(run[-1] for run in theirs)}  # fmt: skip
    return Measured(numbers, [Lines("a thousandth of the gap", "numbers", "steps",
                                    {"greedy": (x, ours), "random": (x, theirs)}, log="xy")])  # fmt: skip


def machine(n: int, seed: int) -> solve.Quadratic:
    """Two overlapping clouds of points and a Gaussian kernel."""
    random = torch.Generator().manual_seed(seed)
    X = torch.randn(n, 5, generator=random, dtype=torch.float64)
    y = (X[:, 0] + 0.5 * torch.randn(n, generator=random, dtype=torch.float64)).sign()
    return solve.svm_dual(torch.exp(-0.2 * torch.cdist(X, X).square()), y, C=1.0)


def walked(problem: solve.Quadratic, rule: str, steps: int) -> tuple[list[Tensor], solve.Result]:
    """All points of a run, and its result."""
    path: list[Tensor] = []
    return path, solve.solve(problem, solve.GreedyPairs(rule), max_steps=steps, callback=lambda now: path.append(now.x))


def guaranteed(problem: solve.Quadratic, rule: str, x: Tensor) -> float:
    """How far the rule's step takes its own upper bound g'd + L/2 ‖d‖₁² down from x."""
    here = solve.Quadratic(problem.H, problem.c, x, lower=problem.lower, upper=problem.upper, fixed_sum=True)
    d = solve.solve(here, solve.GreedyPairs(rule), max_steps=1).x - x
    g = problem.gradient(x)
    return -float(g @ d + problem.diagonal.max() / 2 * d.abs().sum() ** 2)


def progress(fast: bool, control: bool) -> Measured:
    """Ratios of guaranteed progress along the path of GS-q, and of the gaps after equally many steps."""
    n, steps, seeds = (60, 40, 1) if fast else (500, 400, 3)
    ratios, gaps, curves = [], [], {}
    for seed in range(seeds):
        problem, ours = machine(n, seed), "pair" if control else "1-norm"
        path, exact = walked(problem, "quadratic", steps)
        runs = {"quadratic": exact} | {rule: walked(problem, rule, steps)[1] for rule in dict.fromkeys(("pair", ours))}
        most = 200 if fast else 20_000
        best = solve.solve(problem, solve.GreedyPairs(), until={"violation": 1e-6}, max_steps=most, every=100)
        least = min(best.history["objective"][-1], *(run.history["objective"][-1] for run in runs.values()))
        ratios += [guaranteed(problem, ours, x) / guaranteed(problem, "quadratic", x)
                   for x in path[: -1 : max(1, steps // 40)]]  # fmt: skip
        left = {rule: run.history["objective"][-1] - least for rule, run in runs.items()}
        gaps.append(left["quadratic"] / left[ours])
        for rule, run in runs.items():
            curves[f"{rule}, seed {seed}"] = ([float(t) for t in run.at],
                                              [[max(f - least, 1e-12) for f in run.history["objective"]]])  # fmt: skip
    numbers = {"ratio": min(ratios), "median": sorted(ratios)[len(ratios) // 2], "gap": min(gaps)}
    return Measured(numbers, [Lines("dual of a support vector machine", "steps", "f - f*", curves, log="y")])


SOURCE = Source("ramesh2023greedy", "abstract")

CLAIMS = (
    Claim(
        name="greedy-pairs-any-dimension",
        sentence="Greedy pairs of coordinates under a fixed sum have a rate that does not depend on the dimension, and random "
        "pairs have not.",
        source=SOURCE,
        methods=("GreedyPairs",),
        rows=("000-08",),
        bounds=(
            Bound("growth", "≤", 1.05, "steps at 320 numbers over those at 20"),
            Bound("slope", "≥", 0.8, "slope of log steps by log n for random pairs, least steep seed"),
        ),
        experiment=dimension,
        control="random pairs in the place of greedy ones",
        seeds=3,
        minutes=0.5,
        untested="Losses that are not quadratic; the constants of the rate.",
    ),
    Claim(
        name="one-norm-descent-most-progress",
        sentence="Under bounds and a fixed sum, steepest descent in the 1-norm guarantees more progress in a step than any "
        "rule for pairs, and needs O(n log n).",
        source=SOURCE,
        methods=("GreedyPairs",),
        rows=("000-08",),
        bounds=(
            Bound(
                "ratio",
                "≥",
                1 - 1e-9,
                "guaranteed progress over that of the best pair, smallest on its path",
            ),
            Bound("median", ">", 1.0, "the same, in the median"),
            Bound("gap", ">", 1.0, "gap of the best pair after 400 steps over that of the 1-norm, worst seed"),
        ),
        experiment=progress,
        control="GS-s, the pair of largest violation, in the place of the 1-norm",
        seeds=3,
        minutes=1.0,
        untested="The time: one sort a step by construction, and not measured.",
    ),
)
