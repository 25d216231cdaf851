"""SGDR: anneal to zero, start again with a longer cycle, and have a good model at the end of each.

A small net learns digits by SGD with momentum: with warm restarts after 2, 6 and 14 epochs, and with the step schedule of
the paper's baseline (a fifth at 30, 60 and 80 % of the 14 epochs), each at its best learning rate. Held-out errors are
compared where cycles end. The control restarts, but never anneals. A second claim averages the predictions of the three
snapshots; its control averages three copies of the last.
"""

from __future__ import annotations

import statistics
from functools import cache

from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LambdaLR, LRScheduler, MultiStepLR

import steepest
from steepest.claims.lab.base import Bound, Claim, Dots, Lines, Measured, Source
from steepest.claims.lab.tasks import best, digits

RATES, ENDS, TUNING = (0.02, 0.05, 0.1, 0.2), (2, 6, 14), 100
Run = tuple[list[float], float]  # held-out errors after each epoch, and of the ensemble of snapshots


@cache
def train(kind: str, lr: float, seed: int) -> Run:
    """Train for 14 epochs with "restarts", "step" or "constant"."""
    task = digits(64, batch=32)
    epoch = task.epoch
    model = task.model(seed)
    opt = steepest.SGD(model.parameters(), lr=lr, momentum=0.9)
    schedule: LRScheduler
    if kind == "restarts":
        schedule = CosineAnnealingWarmRestarts(opt, T_0=2 * epoch, T_mult=2)
    elif kind == "step":
        schedule = MultiStepLR(opt, [round(part * 14 * epoch) for part in (0.3, 0.6, 0.8)], 0.2)
    else:
        schedule = LambdaLR(opt, lambda t: 1.0)
    snapshots = steepest.schedule.Snapshots(model, schedule) if kind == "restarts" else None  # type: ignore[arg-type]
    errors: list[float] = []
    batches = task.batches(seed)
    for k in range(14 * epoch):
        x, y = next(batches)
        opt.zero_grad()
        task.loss(model(x), y).backward()
        opt.step()
        schedule.step()
        if snapshots is not None:
            snapshots.step()
        if (k + 1) % epoch == 0:
            errors.append(1 - task.accuracy(model))
    if snapshots is None:
        return errors, errors[-1]
    right = snapshots.predict(task.test[0]).argmax(-1) == task.test[1]
    return errors, 1 - float(right.double().mean())


def runs(kind: str, seeds: int, rates: tuple[float, ...]) -> tuple[float, list[Run]]:
    """The learning rate that is best at the end for a seed that is not used otherwise, and the runs."""
    lr = best({rate: train(kind, rate, TUNING)[0][-1] for rate in rates})
    return lr, [train(kind, lr, seed) for seed in range(seeds)]


def anytime(fast: bool, control: bool) -> Measured:
    """Held-out errors where cycles end, restarts against steps."""
    seeds, rates = (3, RATES[1:2]) if fast else (10, RATES)
    lr, ours = runs("constant" if control else "restarts", seeds, rates)
    step_lr, steps = runs("step", seeds, rates)
    at = {
        name: [statistics.mean(r[0][end - 1] for r in rows) for end in ENDS]
        for name, rows in (("ours", ours), ("step", steps))
    }
    numbers = {
        "anytime": statistics.mean(at["ours"]) / statistics.mean(at["step"]),
        "last": 100 * (at["ours"][-1] - at["step"][-1]),
        **{f"error after {end} epochs, restarts": value for end, value in zip(ENDS, at["ours"], strict=True)},
        **{f"error after {end} epochs, step": value for end, value in zip(ENDS, at["step"], strict=True)},
        "lr": lr,
        "lr step": step_lr,
    }
    epochs = [float(k) for k in range(1, 15)]
    curves = {"restarts": (epochs, [r[0] for r in ours]), "step": (epochs, [r[0] for r in steps])}
    return Measured(numbers, [Lines("held-out error", "epochs", "part wrong", curves, log="y")])


def ensemble(fast: bool, control: bool) -> Measured:
    """Held-out errors of the last model and of the mean of three snapshots."""
    seeds, rates = (3, RATES[1:2]) if fast else (10, RATES)
    lr, rows = runs("restarts", seeds, rates)
    last = [r[0][-1] for r in rows]
    ours = last if control else [r[1] for r in rows]
    numbers = {
        "gain": 100 * (statistics.mean(last) - statistics.mean(ours)),
        "error of the last": statistics.mean(last),
        "error of the ensemble": statistics.mean(ours),
        "lr": lr,
    }
    return Measured(numbers, [Dots("held-out error", "part wrong", {"three snapshots": ours, "the last": last})])


CLAIMS = (
    Claim(
        name="sgdr-anytime",
        sentence="With warm restarts a run has a good model early and again at the end of each cycle, at least as good as a "
        "step schedule's on average, and is not worse at the end.",
        source=Source("loshchilov2017sgdr", "abstract and the experiments on CIFAR"),
        methods=("SGD",),
        rows=("001-094",),
        bounds=(
            Bound("anytime", "≤", 1.0, "held-out error relative to the step schedule's, mean over the ends of three cycles"),
            Bound("last", "≤", 0.3, "points of held-out error by which it is behind at the end"),
        ),
        experiment=anytime,
        control="the learning rate is constant",
        seeds=10,
        minutes=1.0,
        untested="CIFAR, EEG, and wide residual nets, where the paper needs two to four times fewer epochs.",
        note="Both schedules chose the largest learning rate of the grid.",
    ),
    Claim(
        name="sgdr-ensemble",
        sentence="The mean of the predictions at the ends of cycles is better than the last model alone.",
        source=Source("loshchilov2017sgdr", "the section on ensembles of snapshots"),
        methods=("SGD",),
        rows=("001-094",),
        bounds=(Bound("gain", ">", 0.0, "points of held-out error that the ensemble of three gains over the last model"),),
        experiment=ensemble,
        control="three copies of the last model",
        seeds=10,
        minutes=1.0,
        untested="CIFAR; ensembles of several runs, with which the paper had its records.",
    ),
)  # fmt: skip
