"""Auto, this library's own: relative steps, a distance over gradients, and an oracle that leaves out spikes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import steepest
from steepest import geometry, oracle
from tests.oracle.equations import Path, Rates, caution, dot
from tests.oracle.problems import Problem, Vector, join
from tests.rows import SUM, Row, Setting

ALONG = "its weights are moved once more, along with the average"

CONTRACT = {
    "Auto": Setting(
        {"codec": "float32"},
        whole=SUM,
        root=True,
        state_bytes=12.0,
        exceptions={"short_weights_are_rounded_once-bfloat16": ALONG, "short_weights_are_rounded_once-float16": ALONG},
    ),
}


def long_auto(params: Any, **options: Any) -> steepest.Optimizer:
    """From a usual step that is much too long, and whatever length a gradient has."""
    opt = steepest.Auto(params, oracle=oracle.Oracle(), **options)
    opt.param_groups[0]["usual"] = 6.0
    return opt


def relative(params: Any, **options: Any) -> steepest.Optimizer:
    """Gradient descent in units of each tensor's size."""
    return steepest.Optimizer(params, geometry=geometry.Relative(weight_decay=0.3), **options)


def skipping(params: Any, factor: float, **options: Any) -> steepest.Optimizer:
    """Gradient descent that leaves out what is longer than usual, by little."""
    spikes = oracle.SkipSpikes(factor=factor, window=5, listen=1)
    return steepest.Optimizer(params, oracle=spikes, **options)


def relative_path(f: Problem, x: Vector, etas: Rates, lam: float) -> Path:
    """Step and decay by the root of each tensor's root mean square."""
    for t, eta in enumerate(etas, 1):
        s = join([np.full(q.shape, max(math.sqrt(float((q * q).mean())), 0.01) ** 0.5) for q in f.parts(x)])
        x = x - s * eta * (f.grad(x, t) + lam * x)
        yield x


def auto(f: Problem, x: Vector, etas: Rates, usual: float = 0.06, lam: float = 0.2, averages: bool = False) -> Path:
    """Gradients at y, between the walking point z and the average; the step from what gradients say."""
    z = y = mean = x
    m = v = 0 * x
    eta, phi, up, last = usual / 100, 1.0, False, 0
    c_mean, c_most, cs, slips, turns = 0.0, 0.0, 0, 0, 0
    kappa = 1.0
    for t, lr in enumerate(etas, 1):
        g, asked = f.grad(y, t), kappa
        kappa = min(2.0, max(0.375, kappa * math.exp(0.05 * np.sign(dot(g, y)))))
        slope = dot(g, m / (np.sqrt(v) + 1e-8))
        if slope != 0:
            c = dot(g, m) / math.sqrt(dot(g, g) * dot(m * (g != 0), m))
            cs += 1
            c_mean = c_mean + (c - c_mean) / cs if cs <= 5 else 0.8 * c_mean + 0.2 * c
            c_most = max(c_most, c_mean) if cs >= 5 else 0.0
            old, phi = phi, min(1, max(0.1, 2 * (c_most if cs >= 5 else c_mean)))
            P = usual * phi
            if up:
                eta *= phi / old
                turns += slope * last < 0
                last = np.sign(slope)
                p = 1 / (1 + 7 / 3 * math.exp(phi - 1) * (P / eta) ** 0.7)
                eta = min(eta * 2 ** (((slope > 0) - min(0.9, max(0.05, p))) / (1 + turns)), 10 * P)
            else:
                eta = min(eta, P) * 10 ** ((1 if slope > 0 else -0.5) / (1 + slips))
                slips += slope < 0
                if eta >= 0.999 * P:
                    eta, up = P, True
        m, v = 0.5 * m + 0.5 * g, 0.95 * v + 0.05 * g**2
        d = caution(f, m / (1 - 0.5**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8), g, "mean")
        s = join([np.full(q.shape, max(math.sqrt(float((q * q).mean())), 0.01) ** 0.5) for q in f.parts(y)])
        z = z - lr * eta * s * (d + asked * lam * y)
        mean = mean + 3 / (t + 2) * (z - mean)
        y = 0.4 * z + 0.6 * mean
        yield mean if averages else y


def skipping_path(f: Problem, x: Vector, etas: Rates, factor: float, window: int) -> Path:
    """Gradient descent that leaves out steps with a gradient longer than a multiple of the lower median of the last."""
    norms: list[float] = []
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        norm = math.sqrt(dot(g, g))
        if norm > 0:
            first_was_it = len(norms) == 1 and norms[0] > factor * norm
            norms = [*norms, norm][-window:]
            if norm <= factor * sorted(norms)[(len(norms) - 1) // 2] and not first_was_it:
                x = x - eta * g
        yield x


FACTOR = 1.6  # on the table's problem one step of two dozen is left out
ORACLE = [
    Row(skipping, skipping_path, {"factor": FACTOR}, {"factor": FACTOR, "window": 5}),
    Row(relative, relative_path, {}, {"lam": 0.3}),
    Row("Auto", auto, {"codec": "float32"}, lr=1.0),
    Row("Auto", auto, {"codec": "float32"}, {"averages": True}, lr=0.7, returned=True),
    Row(long_auto, auto, {"codec": "float32"}, {"usual": 6.0}, lr=1.0),
]  # fmt: skip
