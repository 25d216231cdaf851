"""Early-learning regularization against cross-entropy on digits with four labels in ten replaced.

A net of 256 units, learning rate 0.1, momentum 0.9, forty epochs. Both have three trials, chosen on other draws of wrong labels
than those they are judged on: λ of the regularization, weight decay of the cross-entropy. The control has λ = 0.
"""

from __future__ import annotations

import statistics
from functools import cache

import torch

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Lines, Measured, Source
from steepest.claims.lab.tasks import digits
from steepest.claims.lab.wronglabels import chosen, paired

PART, LR, BATCH = 0.4, 0.1, 50


@cache
def run(draw: int, weight: float, decay: float, epochs: int) -> tuple[float, float, tuple[float, ...]]:
    """Accuracy at the end in per cent, the part of wrong labels that is learnt by heart, and accuracies by epoch."""
    task = digits(256, batch=BATCH)
    (x, clean), (tx, ty) = task.train, task.test
    g = torch.Generator().manual_seed(500 + draw)
    wrong = torch.rand(len(clean), generator=g) < PART
    y = torch.where(wrong, (clean + torch.randint(1, 10, clean.shape, generator=g)) % 10, clean)
    model = task.model(draw)
    opt = steepest.SGD(model.parameters(), lr=LR, momentum=0.9, weight_decay=decay)
    state, curve = steepest.losses.early_learning_state(len(x), 10), list[float]()
    for epoch in range(epochs):
        g.manual_seed(10_000 * draw + epoch)
        for i in torch.randperm(len(x), generator=g).split(BATCH):
            opt.zero_grad()
            loss, state = steepest.losses.early_learning(model(x[i]), y[i], state, index=i, weight=weight)
            loss.backward()
            opt.step()
        with torch.no_grad():
            curve.append(100 * float((model(tx).argmax(1) == ty).double().mean()))
    with torch.no_grad():
        learnt = float((model(x[wrong]).argmax(1) == y[wrong]).double().mean())
    return curve[-1], learnt, tuple(curve)


def end(draw: int, weight: float = 0.0, decay: float = 0.0, epochs: int = 40) -> float:
    """Accuracy at the end."""
    return run(draw, weight, decay, epochs)[0]


def experiment(fast: bool, control: bool) -> Measured:
    """Gains paired by draw."""
    epochs, judge, choose = (5, range(2), range(50, 51)) if fast else (40, range(5), range(50, 52))
    plain: list[dict[str, float]] = [{"weight": 0.0, "decay": d, "epochs": epochs} for d in (0.0, 1e-3, 1e-2)]
    ours: list[dict[str, float]] = [{"weight": w, "epochs": epochs} for w in ((0.0,) if control else (1.0, 3.0, 7.0))]
    a, b = chosen(end, ours, choose, judge), chosen(end, plain, choose, judge)
    gain, error = paired(a, b)
    best = max(ours, key=lambda hyper: statistics.mean(end(d, hyper["weight"], 0.0, epochs) for d in choose))
    learnt = statistics.mean(run(d, best["weight"], 0.0, epochs)[1] for d in judge)
    bare = [run(d, 0.0, 0.0, epochs) for d in judge]
    numbers = {
        "gain": gain, "error of gain": error, "learnt": learnt, "learnt by cross-entropy": statistics.mean(r[1] for r in bare),
        "fall of cross-entropy": statistics.mean(max(r[2]) - r[0] for r in bare), "regularized": statistics.mean(a),
        "cross-entropy": statistics.mean(b), "weight": best["weight"],
    }  # fmt: skip
    times = [*range(1, epochs + 1)]
    curves = {"regularized": (times, [run(d, best["weight"], 0.0, epochs)[2] for d in judge]),
              "cross-entropy": (times, [r[2] for r in bare])}  # fmt: skip
    return Measured(numbers, [Lines("held-out accuracy", "epochs", "per cent", curves),
                              Dots("at the end", "per cent", {"regularized": a, "cross-entropy with decay": b})])  # fmt: skip


CLAIMS = (
    Claim(
        name="elr-no-memorization",
        sentence="Regularization towards its own early predictions keeps a network from learning wrong labels by heart.",
        source=Source("liu2020elr", "abstract and Section 6"),
        methods=("early_learning",),
        rows=("001-064",),
        bounds=(
            Bound(
                "gain", ">", 2.0, "points of held-out accuracy over cross-entropy with its best decay, mean of draws"
            ),
            Bound("learnt", "<", 0.3, "part of the wrong labels that the network gives at the end"),
        ),
        experiment=experiment,
        control="λ = 0",
        seeds=5,
        minutes=3.0,
        untested="CIFAR, Clothing1M, and ELR+ with two networks, weight averaging and mixup; real noise.",
        regime=(
            Bound("learnt by cross-entropy", ">", 0.4, "part of the wrong labels that plain cross-entropy learns"),
            Bound("fall of cross-entropy", ">", 2.0, "points that its accuracy falls from its peak"),
        ),
    ),
)
