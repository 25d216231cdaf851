"""AdAdaGrad: let the batch grow when the gradient's noise asks for it, and need fewer updates.

A small net learns from 20,000 rows of a teacher by AdaGrad for a number of epochs: with a batch of 8 rows, with one of 1,000,
and with batches that begin at 8 and grow by the norm test. Each has its best learning rate of four. The control takes the noise
away from the test, so that no batch ever grows. A second claim adds up the squared norms of the whole gradient along a run of
AdaGrad-Norm: the rate 1/K says that the sum stays bounded.
"""

from __future__ import annotations

import statistics
from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Lines, Measured, Source
from steepest.claims.lab.tasks import Task, best, digits, network

FIRST, MOST, RATES = 8, 1000, (0.01, 0.03, 0.1, 0.3)
Run = tuple[float, list[int], float]  # last training loss, batch sizes, part of the test rows that are wrong


@cache
def problem() -> Task:
    """20,000 training rows, five classes by a net of 64 tanh units; 4,000 rows to test."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(24_000, 20, generator=g)
    with torch.no_grad():
        y = network(20, 64, 5, hidden=nn.Tanh)(99)(x / 2).argmax(1)
    return Task(network(20, 64, 5), (x[:20_000], y[:20_000]), (x[20_000:], y[20_000:]), F.cross_entropy, FIRST)


@cache
def train(kind: str, lr: float, seed: int, epochs: int) -> Run:
    """Train with batches that are "growing", "deaf" (growing, but for a test that hears no noise), or of a fixed size."""
    task = problem()
    model = task.model(seed)
    x, y = task.train
    opt = steepest.AdaGrad(model.parameters(), lr=lr)
    grows = kind in ("growing", "deaf")
    sampler = steepest.schedule.GrowingBatchSampler(len(x), FIRST if grows else int(kind), MOST, seed=seed)
    test = steepest.schedule.NormTest(sampler, eta=0.9)
    sizes: list[int] = []
    for _ in range(epochs):
        for rows in sampler:
            sizes.append(len(rows))
            if grows:
                grads = steepest.schedule.row_gradients(model, F.cross_entropy, x[rows], y[rows])
                for p, g in zip(model.parameters(), grads, strict=True):
                    p.grad = g.mean(0)
                test.update([g.mean(0).expand_as(g) for g in grads] if kind == "deaf" else grads)
            else:
                opt.zero_grad()
                task.loss(model(x[rows]), y[rows]).backward()
            opt.step()
            sampler.step()
    return min(task.cost(model, task.train), 1e3), sizes, 1 - task.accuracy(model)


@cache
def experiment(fast: bool, control: bool) -> Measured:
    """Loss, updates and batch sizes, each at its best learning rate."""
    seeds, epochs, rates = (1, 1, RATES[1:2]) if fast else (3, 3, RATES)
    ours = "deaf" if control else "growing"
    runs: dict[str, list[Run]] = {}
    numbers: dict[str, float] = {}

    def tuned(kind: str, label: str) -> None:
        lr = best({r: train(kind, r, 0, epochs)[0] for r in rates})
        runs[label] = [train(kind, lr, seed, epochs) for seed in range(seeds)]
        numbers.update({f"lr {label}": lr, f"loss {label}": statistics.mean(r[0] for r in runs[label]),
                        f"updates {label}": statistics.mean(len(r[1]) for r in runs[label]),
                        f"test error {label}": statistics.mean(r[2] for r in runs[label])})  # fmt: skip

    for kind, label in ((ours, "growing"), (str(FIRST), "small"), (str(MOST), "large")):
        tuned(kind, label)
    tuned(str(round(20_000 * epochs / numbers["updates growing"])), "even")  # as many updates as with growing ones
    numbers["growth"] = min(max(r[1]) for r in runs["growing"]) / FIRST
    numbers["updates"] = numbers["updates growing"] / numbers["updates small"]
    for rival in ("small", "large", "even"):
        numbers[f"to_{rival}"] = numbers["loss growing"] / numbers[f"loss {rival}"]
    numbers["gap"] = numbers["loss large"] / numbers["loss small"]
    numbers["before"] = min(sum(b for b in r[1] if b < MOST) / sum(r[1]) for r in runs["growing"])
    names = {"growing": "growing", "small": f"always {FIRST}", "large": f"always {MOST}", "even": "equal updates"}
    done = [torch.tensor(r[1]).cumsum(0) / 20_000 for r in runs["growing"]]
    longest = max(range(seeds), key=lambda s: len(done[s]))
    sizes = Lines("batch size", "epochs", "rows",
                  {"growing": (done[longest].tolist(), [list(map(float, runs["growing"][longest][1]))])}, log="y")  # fmt: skip
    losses = Dots(
        "training loss at the end", "loss", {names[k]: [r[0] for r in row] for k, row in runs.items()}, log="y"
    )
    return Measured(numbers, [losses, sizes])


def sums(seed: int, steps: tuple[int, ...], grows: bool) -> list[float]:
    """Sum of the squared norms of the whole gradient over the first K steps, for each K."""
    task = digits(16, hidden=nn.Tanh)
    model = task.model(seed)
    x, y = task.train
    wrong = torch.rand(len(y), generator=torch.Generator().manual_seed(seed)) < 0.2
    y = torch.where(wrong, (y + 1) % 10, y)  # no net of this size fits it all
    params = list(model.parameters())
    opt = steepest.AdaGradNorm(params, lr=1.0, b0=1.0)
    sampler = steepest.schedule.GrowingBatchSampler(len(x), FIRST, seed=seed)
    test = steepest.schedule.NormTest(sampler, eta=0.5)
    total = 0.0
    seen: list[float] = []
    while len(seen) < steps[-1]:
        for rows in sampler:
            whole = torch.autograd.grad(task.loss(model(x), y), params)
            total += sum(float(g.square().sum()) for g in whole)
            seen.append(total)
            if grows and sampler.batch < sampler.most:
                test.update(steepest.schedule.row_gradients(model, F.cross_entropy, x[rows], y[rows]))
            opt.zero_grad()
            task.loss(model(x[rows]), y[rows]).backward()
            opt.step()
    return [seen[k - 1] for k in steps]


def rate(fast: bool, control: bool) -> Measured:
    """Growth of the sum while the number of steps grows sixteenfold."""
    seeds, steps = (1, (10, 40, 160)) if fast else (3, (100, 400, 1600))
    rows = [sums(seed, steps, not control) for seed in range(seeds)]
    numbers = {"growth": max(row[-1] / row[0] for row in rows)}
    numbers |= {f"sum after {k}": statistics.mean(row[i] for row in rows) for i, k in enumerate(steps)}
    ks = [float(k) for k in steps]
    return Measured(
        numbers, [Lines("squared gradient norms, added up", "updates", "sum", {"growing": (ks, rows)}, log="xy")]
    )


NOTE = (
    "η = 0.9. On the digits, with 1,000 rows and at most 400 in a batch, the batch was at its most after ten updates: not held "
    "(loss 0.38, 0.078 with batches of 8, 0.32 with 400), in one claim. Rows, most, η and the regime came after that; the "
    "limits are the same. With a harder teacher, seen through noise, large batches lost 2 %, outside of the regime; with this "
    "one the batch is at its most a little too soon on one seed. The limits would not have been kept (1.70 and 1.27)."
)
REGIME = (
    Bound("gap", "≥", 1.1, "training loss with always 1,000 relative to always 8"),
    Bound("before", "≥", 0.3, "part of the rows that are seen before the batch is at its most, worst seed"),
)
CLAIMS = (
    Claim(
        name="adadagrad-batches",
        sentence="AdaGrad with batches that grow by the norm test needs far fewer updates than with small ones, at no loss "
        "after equally many epochs.",
        source=Source("lau2024adadagrad", "abstract and the experiments on images"),
        methods=("AdaGrad",),
        rows=("001-082", "002-07"),
        bounds=(
            Bound("growth", "≥", 8.0, "largest over first batch size, worst seed"),
            Bound("updates", "≤", 0.5, "updates relative to a batch of always 8"),
            Bound("to_small", "≤", 1.0, "mean last training loss relative to a batch of always 8"),
        ),
        experiment=experiment,
        control="the norm test is told that all rows have the same gradient",
        seeds=3,
        minutes=1.0,
        untested="ImageNet and CIFAR; the rate 1/K of the squared gradient norm; the test by coordinates.",
        note=NOTE,
        regime=REGIME,
    ),
    Claim(
        name="adadagrad-over-large",
        sentence="AdaGrad with batches that grow by the norm test ends lower after equally many epochs than with large ones "
        "from the start.",
        source=Source("lau2024adadagrad", "abstract and the experiments on images"),
        methods=("AdaGrad",),
        rows=("001-082", "002-07"),
        bounds=(
            Bound("to_large", "<", 1.0, "mean last training loss relative to a batch of always 1,000"),
            Bound("growth", "≥", 8.0, "largest over first batch size, worst seed"),
        ),
        experiment=experiment,
        control="the norm test is told that all rows have the same gradient",
        seeds=3,
        minutes=1.0,
        untested="ImageNet and CIFAR; that batches of one size between, for as many updates, are worse (measured as to_even).",
        note=NOTE,
        regime=REGIME,
    ),
    Claim(
        name="adadagradnorm-rate",
        sentence="With batches that grow by the norm test AdaGrad-Norm finds a stationary point of a smooth problem that is "
        "not convex at the rate 1/K, where small batches are slower.",
        source=Source("lau2024adadagrad", "abstract and the theorem on AdAdaGrad-Norm"),
        methods=("AdaGradNorm",),
        rows=("001-082", "002-07"),
        bounds=(
            Bound("growth", "≤", 3.0, "squared norms of the whole gradient, added up over 1,600 updates relative to over 100, "
                  "worst seed"),
        ),
        experiment=rate,
        control="the batch stays at 8",
        seeds=3,
        minutes=0.5,
        untested="The constants of the theorem; batches that must keep growing because data are endless.",
    ),
)  # fmt: skip
