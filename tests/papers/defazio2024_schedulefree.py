"""Schedule-free learning (Defazio et al. 2024, arXiv:2405.15682)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import steepest
from steepest import direction as D
from steepest import geometry, point
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Vector
from tests.rows import Row, Setting

ALONG = "the weights are rounded once more when they move along with the average"
DRAWN = "a weight moves along with its average where its gradient is left out, too"
CONTRACT = {
    "ScheduleFreeAdamW": Setting(
        {"lr": 0.03, "weight_decay": 0.1, "gamma": 1},
        root=True,
        exceptions={
            "guard_stops_only_what_is_spoiled": DRAWN,
            "short_weights_are_rounded_once-bfloat16": ALONG,
            "short_weights_are_rounded_once-float16": ALONG,
        },
    ),
    "ScheduleFreeSGD": Setting(
        {"lr": 0.1, "weight_decay": 0.1},
        exceptions={
            "guard_stops_only_what_is_spoiled": DRAWN,
            "short_weights_are_rounded_once-bfloat16": ALONG,
            "short_weights_are_rounded_once-float16": ALONG,
        },
    ),
}


def schedule_free(params: Any, power: int = 2, gamma: int = 0, **options: Any) -> steepest.Optimizer:
    """Schedule-free SGD with decoupled decay."""
    at = point.ScheduleFree(pull=0.7, power=power, gamma=gamma)
    return steepest.Optimizer(params, point=at, geometry=geometry.Decay(weight_decay=0.3), **options)


def schedule_free_adamw(params: Any, power: int = 2, **options: Any) -> steepest.Optimizer:
    """Schedule-free AdamW."""
    return schedule_free(params, power, direction=D.Adam(beta1=0.0, beta2=0.9, eps=0.01), **options)


def schedule_free_path(f: Problem, x: Vector, etas: Rates, beta: float = 0.9, b2: float | None = None, eps: float = 0.0,
                  lam: float = 0.0, power: int = 2, age: int = 0) -> Path:  # fmt: skip
    """arXiv:2405.15682, equations 3 to 5; with ``b2`` Algorithm 1, ε beside the corrected root.  Yields the average."""
    y = z = x
    v, total = 0 * x, 0.0
    for t, eta in enumerate(etas, 1):
        g = f.grad(y, t)
        if b2 is not None:
            v, gamma = b2 * v + (1 - b2) * g**2, eta * math.sqrt(1 - b2**t)
            d = g / (np.sqrt(v) + eps * math.sqrt(1 - b2**t))
        else:
            gamma, d = eta, g
        z = z - gamma * d - gamma * lam * y
        weight = math.comb(t + age - 1, age) * gamma**power
        total += weight
        c = weight / total
        x = (1 - c) * x + c * z
        y = (1 - beta) * z + beta * x
        yield x


ORACLE = [
    Row(schedule_free, schedule_free_path, {}, {"beta": 0.7, "lam": 0.3}, returned=True),
    Row(schedule_free, schedule_free_path, {"power": 0}, {"beta": 0.7, "lam": 0.3, "power": 0}, returned=True),
    Row(schedule_free, schedule_free_path, {"gamma": 2}, {"beta": 0.7, "lam": 0.3, "age": 2}, returned=True),
    Row(schedule_free, schedule_free_path, {"power": 0, "gamma": 3},
        {"beta": 0.7, "lam": 0.3, "power": 0, "age": 3}, returned=True),
    Row(schedule_free_adamw, schedule_free_path, {}, {"beta": 0.7, "b2": 0.9, "eps": 0.01, "lam": 0.3},
        returned=True),
    Row("ScheduleFreeSGD", schedule_free_path, {"pull": 0.7, "weight_decay": 0.3, "gamma": 1},
        {"beta": 0.7, "lam": 0.3, "age": 1}, returned=True),
    Row("ScheduleFreeAdamW", schedule_free_path, {"betas": (0.7, 0.9), "eps": 0.01, "weight_decay": 0.3},
        {"beta": 0.7, "b2": 0.9, "eps": 0.01, "lam": 0.3}, returned=True),
]  # fmt: skip


COLLAPSES = {
    "Adam without a first moment is RMSprop with a bias correction":
    (D.CorrectedRMSprop(alpha=0.9), D.Adam(beta1=0.0, beta2=0.9)),
}  # fmt: skip
