"""SMGD (Schaipp et al. 2024, arXiv:2402.12828): along the median of gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import steepest
from steepest import direction as D
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import SUM, Hand, Row, Setting

CONTRACT = {
    "SMGD": Setting(
        {"lr": 0.1, "weight_decay": 0.1},
        whole=SUM,
        loose={"lifts_agree": (1e-6, "float64 sums over pieces of another length")},
    )
}


def smgd(f: Problem, x: Vector, etas: Rates, tau: float = 0.1, component: bool = False, lam: float = 0.0) -> Path:
    """m moves by the proximal point step of the ℓ₁ or the ℓ₂ norm, then x along m."""
    m = 0 * x
    for t, eta in enumerate(etas, 1):
        away = f.grad(x, t) - m
        length = math.sqrt(float(away @ away))
        m = m + (np.clip(away, -tau, tau) if component else min(1.0, tau / length if length else 1.0) * away)
        x = x - eta * (m + lam * x)
        yield x


COMPONENT = {"median": "component"}
ORACLE = [
    Row("SMGD", smgd, {"weight_decay": 0.1}, {"lam": 0.1}, lr=0.1),
    Row("SMGD", smgd, {"tau": 0.02}, {"tau": 0.02}, lr=0.1),
    Row(
        "SMGD",
        smgd,
        {**COMPONENT, "tau": 0.03, "weight_decay": 0.1},
        {"component": True, "tau": 0.03, "lam": 0.1},
        lr=0.1,
    ),
]
HANDS = [
    # g₁ is 5 away: m₁ = (0.6, 0.8); g₂ half a unit: m₂ = g₂
    Hand("SMGD", steepest.SMGD, {"tau": 1.0}, smgd, {"tau": 1.0}, Linear([0, 0], [3, 4], [0.9, 1.2]), [0.1, 0.2],
         [(-0.06, -0.08), (-0.24, -0.32)]),
    # m₁ = (1, -½), m₂ = (1 - 1, -½ - 1)
    Hand("SMGD by components", steepest.SMGD, {**COMPONENT, "tau": 1.0}, smgd, {"tau": 1.0, "component": True},
         Linear([0, 0], [3, -0.5], [0, -4]), [0.1, 0.2], [(-0.1, 0.05), (-0.1, 0.35)]),
]  # fmt: skip

DIRECTIONS = {"median by components": D.ComponentMedian}
COLLAPSES = {"the median of one gradient is the gradient": (D.ComponentMedian(tau=1e300), D.Direction())}


def test_the_geometric_median_needs_its_distance() -> None:
    with pytest.raises(ValueError, match="distance to the median"):
        steepest.Optimizer([nn.Parameter(torch.ones(1))], lr=0.1, direction=D.GeometricMedian())


def test_the_word_is_checked() -> None:
    with pytest.raises(ValueError, match="'geometric' or 'component'"):
        steepest.SMGD([nn.Parameter(torch.ones(1))], median="mean")  # type: ignore[arg-type]


@pytest.mark.parametrize("median", ["geometric", "component"])
def test_m_tends_to_the_median_and_not_to_the_mean(median: str) -> None:
    """Skewed noise: |z| of Student's t with 1.5 degrees of freedom has the mean 2.0 and the median 0.9 or so."""
    r = np.random.default_rng(0)
    noise = np.abs(r.standard_t(1.5, size=(20_000, 3)))
    x = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    opt = steepest.SMGD([x], lr=0.0, tau=0.01, median=median)  # type: ignore[arg-type]
    late = []
    for k, row in enumerate(noise):
        x.grad = torch.from_numpy(row)
        opt.step()
        if k >= 10_000:
            late.append(opt.state[x]["m"].numpy().copy())
    centre = np.median(noise, 0)
    if median == "geometric":  # Weiszfeld's iteration
        for _ in range(200):
            w = 1 / np.linalg.norm(noise - centre, axis=1)[:, None]
            centre = (noise * w).sum(0) / w.sum()
    found = np.mean(late, 0)
    assert np.abs(found - centre).max() < 0.05 < np.abs(found - noise.mean(0)).min() / 4
