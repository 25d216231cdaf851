"""D-Adaptation (Defazio & Mishchenko 2023, arXiv:2301.07733): dual averaging, AdaGrad, SGD and Adam."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pytest
from torch import Tensor

import steepest
from steepest import direction as D
from steepest import stepsize
from tests.oracle.equations import Path, Rates, dot
from tests.oracle.problems import Linear, Problem, Vector, follow, join
from tests.rows import NEVER_FALLS, PIECES, SUM, B, Row, Setting, by_hand

SWAY = "at a constant rate it sways around the minimum, and from where it begins anew a little further"

CONTRACT = {
    "DAdaptAdam": Setting(
        {"lr": 0.3, "d0": 1e-3, "weight_decay": 0.1},
        whole=SUM,
        root=True,
        unguarded={"exploding-0": NEVER_FALLS, "exploding-5": NEVER_FALLS},
    ),
    "DAdaptAdaGrad": Setting(
        {"d0": 0.01, "weight_decay": 0.1},
        whole=SUM,
        root=True,
        worse={"exploding-0": SWAY},
        unguarded={"exploding-0": NEVER_FALLS, "exploding-5": NEVER_FALLS},
    ),
    "DAdaptDual": Setting(
        {"d0": 0.01, "weight_decay": 0.1},
        whole=SUM,
        loose={"lifts_agree": PIECES},
        unguarded={"exploding-0": NEVER_FALLS, "exploding-5": NEVER_FALLS},
    ),
    "DAdaptSGD": Setting(
        {"d0": 0.01, "weight_decay": 0.1},
        whole=SUM,
        loose={"lifts_agree": PIECES},
        worse={"exploding-0": SWAY},
        unguarded={"exploding-0": NEVER_FALLS, "exploding-5": NEVER_FALLS},
    ),
}


def layerwise_d_adapt(params: Any, **options: Any) -> steepest.Optimizer:
    """An estimate of the distance for each tensor."""
    return steepest.Optimizer(params, direction=D.Direction(), step_size=stepsize.DAdaptSGD(d0=0.1, per="tensor"),
                              **options)  # fmt: skip


def grouped_d_adapt_sgd(f: Problem, x: Vector, etas: Rates, d0: float) -> Path:
    """D-Adaptation for gradient descent with an estimate for each tensor."""
    start, s = [p.copy() for p in f.parts(x)], [0 * p for p in f.parts(x)]
    d, r, G = [d0] * len(s), [0.0] * len(s), [0.0] * len(s)
    for t, lr in enumerate(etas, 1):
        for i, g in enumerate(f.parts(f.grad(x, t))):
            G[i] = G[i] or float(np.linalg.norm(g))
            if G[i] > 0:
                w = d[i] * lr / G[i]
                r[i] += w * float((g * s[i]).sum())
                s[i] = s[i] + w * g
                if s[i].any():
                    d[i] = max(d[i], 2 * r[i] / float(np.linalg.norm(s[i])))
        x = join([a - b for a, b in zip(start, s, strict=True)])
        yield x


def raised(d: float, inner: bool, walked: list[tuple[float, Vector, Vector, Vector]], x0: Vector, s: Vector, up: Vector,
           norm: float) -> float:  # fmt: skip
    """D-Adaptation's next estimate; ``walked`` has λ, g, x and the old scaling of each step, ``up`` is the new scaling."""
    if norm == 0:
        return d
    if inner:
        return max(d, 2 * sum(w * dot(g, x0 - x) for w, g, x, _ in walked) / norm)
    return max(d, (dot(s, up * s) - sum(w**2 * dot(g, a * g) for w, g, _, a in walked)) / (2 * norm))


def d_adapt_dual(
    f: Problem, x: Vector, etas: Rates, d0: float, G: float = 0.0, inner: bool = True, lam: float = 0.0
) -> Path:
    x0, s, d, squares, walked = x, 0 * x, d0, G**2, []
    for k, lr in enumerate(etas):
        g = f.grad(x, k + 1) + lam * x
        old = squares or dot(g, g)
        squares += dot(g, g)
        s = s + d * lr * g
        one = np.ones_like(x)
        walked.append((d * lr, g, x, one / math.sqrt(old) if old else 0 * one))
        gamma = 1 / math.sqrt(squares) if squares else 0.0
        d = raised(d, inner, walked, x0, s, gamma * one, math.sqrt(dot(s, s)))
        x = x0 - gamma * s
        yield x


def inverse(a: Vector) -> Vector:
    """1/a, and 0 where a is."""
    return np.where(a > 0, 1 / np.where(a > 0, a, 1.0), 0.0)


def d_adapt_adagrad(f: Problem, x: Vector, etas: Rates, d0: float, v0: float = 0.0, inner: bool = True, lam: float = 0.0,
                    alone: bool = False) -> Path:  # fmt: skip
    """If alone, each tensor has its own estimate."""
    x0, s, v, walked = x, 0 * x, 0 * x + v0, []
    places = np.arange(x.size, dtype=float)
    owners = [p.reshape(-1).astype(int) for p in (f.parts(places) if alone else [places])]
    d = np.full(x.size, d0)
    for k, lr in enumerate(etas):
        g = f.grad(x, k + 1) + lam * x
        old = np.where(v > 0, np.sqrt(v), np.abs(g))
        v = v + g * g
        s = s + d * lr * g
        walked.append((d * lr, g, x, inverse(old)))
        up = inverse(np.sqrt(v))
        d = d.copy()
        for own in owners:
            mine = [(float(w[own][0]), gi[own], xi[own], ai[own]) for w, gi, xi, ai in walked]
            d[own] = raised(float(d[own][0]), inner, mine, x0[own], s[own], up[own], float(np.abs(s[own]).sum()))
        x = x0 - up * s
        yield x


def d_adapt_sgd(f: Problem, x: Vector, etas: Rates, d0: float = 1e-6, lam: float = 0.0, beta: float = 0.0,
                most: float = math.inf) -> Path:  # fmt: skip
    x0, s, r, d, G = x, 0 * x, 0.0, d0, 0.0
    for k, lr in enumerate(etas):
        g = f.grad(x, k + 1) + lam * x
        G = G or math.sqrt(dot(g, g))
        if G > 0:
            weight = d * lr / G
            r = r + weight * dot(g, s)
            s = s + weight * g
            if s.any():
                d = max(d, min(2 * r / math.sqrt(dot(s, s)), most * d))
            x = beta * x + (1 - beta) * (x0 - s)
        yield x


def d_adapt_adam(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
                 d0: float = 1e-6, lam: float = 0.0, most: float = math.inf) -> Path:  # fmt: skip
    m, v, s, r, d, q = 0 * x, 0 * x, 0 * x, 0.0, d0, math.sqrt(b2)
    for k, lr in enumerate(etas):
        g = f.grad(x, k + 1)
        used = d * lr
        m, v = b1 * m + (1 - b1) * used * g, b2 * v + (1 - b2) * g**2
        A = np.sqrt(v) + eps  # the new one, as in the paper's box
        r = q * r + (1 - q) * used * dot(g, s / A)
        s = q * s + (1 - q) * used * g
        if s.any():
            d = max(d, min(r / ((1 - q) * np.abs(s).sum()), most * d))
        x = x - used * lam * x - m / A
        yield x


ORACLE = [
    Row("DAdaptSGD", d_adapt_sgd, {"d0": 1e-2, "weight_decay": 0.1}, {"d0": 1e-2, "lam": 0.1}, lr=1.0),
    Row("DAdaptSGD", d_adapt_sgd, {"d0": 1e-2, "momentum": 0.8, "growth_rate": 1.3, "weight_decay": 0.1},
        {"d0": 1e-2, "beta": 0.8, "most": 1.3, "lam": 0.1}, lr=1.0),
    Row("DAdaptAdam", d_adapt_adam, {"betas": (0.8, 0.9), "d0": 1e-2, "growth_rate": 1.1},
        {**B, "d0": 1e-2, "most": 1.1}, lr=1.0),
    Row("DAdaptAdam", d_adapt_adam, {"betas": (0.8, 0.9), "d0": 1e-2, "weight_decay": 0.1},
        {**B, "d0": 1e-2, "lam": 0.1}, lr=1.0),
    Row("DAdaptDual", d_adapt_dual, {"d0": 1e-2, "weight_decay": 0.1}, {"d0": 1e-2, "lam": 0.1}, lr=1.0),
    Row("DAdaptDual", d_adapt_dual, {"d0": 0.1, "bound": "norms", "G0": 0.5}, {"d0": 0.1, "inner": False, "G": 0.5},
        lr=0.7),
    Row("DAdaptDual", d_adapt_dual, {"d0": 0.1, "bound": "norms"}, {"d0": 0.1, "inner": False}, lr=1.0),
    Row("DAdaptAdaGrad", d_adapt_adagrad, {"d0": 1e-2, "weight_decay": 0.1}, {"d0": 1e-2, "lam": 0.1}, lr=1.0),
    Row("DAdaptAdaGrad", d_adapt_adagrad, {"d0": 0.1, "bound": "norms"}, {"d0": 0.1, "inner": False}, lr=1.0),
    Row("DAdaptAdaGrad", d_adapt_adagrad, {"d0": 0.1, "bound": "norms", "initial_accumulator_value": 0.2},
        {"d0": 0.1, "inner": False, "v0": 0.2}, lr=0.7),
    Row("DAdaptAdaGrad", d_adapt_adagrad, {"d0": 1e-2, "per": "tensor"}, {"d0": 1e-2, "alone": True}, lr=1.0),
    Row(layerwise_d_adapt, grouped_d_adapt_sgd, {}, {"d0": 0.1}, lr=1.0),
]  # fmt: skip
EDGES = [
    Row("DAdaptSGD", d_adapt_sgd, {"d0": 0.1}, {"d0": 0.1}, lr=1.0),
    Row("DAdaptSGD", d_adapt_sgd, {"d0": 0.1}, {"d0": 0.1}, lr=1.0, on=Linear([1.0], [0.0], [2.0])),
]  # fmt: skip


UNITLESS: dict[str, Callable[[int], stepsize.StepSize]] = {
    "D-Adaptation": lambda power: stepsize.DAdaptSGD(d0=0.01),
}
LENGTHS: dict[str, Callable[[float, Tensor], stepsize.StepSize]] = {
    "D-Adaptation": lambda scale, start: stepsize.DAdaptSGD(d0=0.01 * scale),
}


def test_d_adapt_sgd_by_hand() -> None:
    """Constant gradient (3, 4), d₀ = 0.5: λ = 0.1; r = 0, 0.25, 0.75; ‖s‖ = 0.5, 1, 1.5; 2r/‖s‖ = 0, 0.5, 1: d = 1 and
    λ = 0.2 from the fourth step on.
    """
    by_hand(steepest.DAdaptSGD, {"d0": 0.5}, d_adapt_sgd, {"d0": 0.5}, Linear([1, -1], [3, 4]), [1.0],
          [(0.7, -1.4), (0.4, -1.8), (0.1, -2.2), (-0.5, -3.0)])  # fmt: skip


def test_d_adapt_dual_and_adagrad_by_hand() -> None:
    """Constant gradient (3, 4), d₀ = 0.5: λ = 0.5 thrice, s = 0.5, 1 and 1.5 times (3, 4); γ = 1/5, 1/√50, 1/√75, or
    a = 1, √2 and √3 times (3, 4).  Σλ⟨g, x₀ - x⟩ = 0, 1.25, 1.25 + 1.25 √2 over ‖s‖ = 2.5, 5, 7.5 (0, 1.75, 1.75 + 1.75 √2
    over ‖s‖₁ = 3.5, 7, 10.5): twice that is 0, 0.5 and (1 + √2)/3 for both, which is the fourth λ.
    """
    problem, last = Linear([1, -1], [3, 4]), 1.5 + (1 + sqrt(2)) / 3
    far = (0.5, 1 / sqrt(2), 1.5 / sqrt(3), last / 2)
    by_hand(steepest.DAdaptDual, {"d0": 0.5}, d_adapt_dual, {"d0": 0.5}, problem, [1.0],
          [(1 - 0.6 * r, -1 - 0.8 * r) for r in far])  # fmt: skip
    by_hand(steepest.DAdaptAdaGrad, {"d0": 0.5}, d_adapt_adagrad, {"d0": 0.5}, problem, [1.0],
          [(1 - r, -1 - r) for r in far])  # fmt: skip


def test_the_bounds_of_algorithms_1_and_2() -> None:
    """As above with d₀ = 0.5 and norms: γ‖s‖² = 1.25, 25/√50, 56.25/√75, less γλ²‖g‖² = 1.25, 1.25, 6.25/√50, each half of
    it over ‖s‖: all are less than d₀; in A-norms 1.75 and 1.75 √2 and 2.25 · 7/√3, less 1.75, 1.75, 1.75/√2.
    """
    for name, part in ("DAdaptDual", 1.25), ("DAdaptAdaGrad", 1.75):
        trail = follow(
            steepest.methods[name].make, Linear([1, -1], [3, 4]), [1.0] * 3, lift="eager", d0=0.5, bound="norms"
        )
        group = trail.opt.param_groups[0]
        assert group["numerator"] == pytest.approx(-part * (2 + 1 / sqrt(2)), rel=1e-14)
        assert group["distance"] == 0.5


def test_d_adapt_adam_by_hand() -> None:
    """β = (0.5, 0.36), q = 0.6, ε = 1, d = 0.2.  g = 5: m = 0.5, v = 16, A = 5, s = 0.4·0.2·5 = 0.4, r = 0.  g = 4:
    v = 16, A = 5, m = 0.25 + 0.4, r = 0.4·0.2·(4·0.4/5) = 0.0256, s = 0.24 + 0.32; r/(0.4·0.56) < d, so d stays.
    """
    problem, hyper = Linear([1, -1], [5, 0], [4, 0]), {"betas": (0.5, 0.36), "eps": 1.0, "d0": 0.2}
    terms = {"b1": 0.5, "b2": 0.36, "eps": 1.0, "d0": 0.2}
    by_hand(steepest.DAdaptAdam, hyper, d_adapt_adam, terms, problem, [1.0], [(0.9, -1), (0.77, -1)])
    second = follow(steepest.DAdaptAdam, problem, [1.0, 1.0], lift="eager", **hyper)
    group = second.opt.param_groups[0]
    assert group["numerator"] == pytest.approx(0.0256, rel=1e-14)
    assert group["distance"] == 0.2
    assert second.states[1][0]["s"] == pytest.approx([0.56, 0], rel=1e-14)
    later = follow(steepest.DAdaptAdam, problem, [1.0] * 8, lift="eager", **hyper).opt.param_groups[0]
    assert later["distance"] > 0.25
