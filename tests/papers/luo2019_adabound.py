"""AdaBound and AMSBound (Luo et al. 2019, arXiv:1902.09843): from Adam to SGD by bounds on the step size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from torch import Tensor, nn, ones, tensor

import steepest
from steepest import direction as D
from tests.laws.common import directions, few, streams
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import B, Hand, Row, Setting

CONTRACT = {
    "AdaBound": Setting({"lr": 0.01, "final": 3.0, "gamma": 0.1, "weight_decay": 0.1}, root=True),
    "AMSBound": Setting({"lr": 0.01, "final": 3.0, "gamma": 0.1, "weight_decay": 0.1}, root=True),
}


def adabound(f: Problem, x: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, rho: float = 100.0,
             gamma: float = 1e-3, lam: float = 0.0, corrects: bool = True, largest: bool = False) -> Path:  # fmt: skip
    """Algorithms 2 and 3, with the step sizes of the experiments; ρ is α* / α."""
    m = v = top = 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t) + lam * x
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        top = np.maximum(top, v) if largest else v
        alpha = eta * (math.sqrt(1 - b2**t) / (1 - b1**t) if corrects else 1)
        low, high = rho * eta * (1 - 1 / (gamma * t + 1)), rho * eta * (1 + 1 / (gamma * t))
        with np.errstate(divide="ignore"):
            x = x - np.clip(alpha / (np.sqrt(top) + eps), low, high) * m
        yield x


SHORT = {"betas": (0.8, 0.9), "final": 10.0, "gamma": 0.1, "weight_decay": 0.1}
SHORT_TERMS = {**B, "rho": 10.0, "gamma": 0.1, "lam": 0.1}
PLAIN = {"betas": (0.5, 0.75), "final": 0.5, "gamma": 1.0, "eps": 0.0, "bias_correction": False}
PLAIN_TERMS = {"b1": 0.5, "b2": 0.75, "rho": 0.5, "gamma": 1.0, "eps": 0.0, "corrects": False}
ORACLE = [
    Row("AdaBound", adabound, SHORT, SHORT_TERMS, lr=0.01),
    Row("AdaBound", adabound, {"final": 10.0, "eps": 1e-3, "bias_correction": False},
        {"rho": 10.0, "eps": 1e-3, "corrects": False}, lr=0.01),
    Row("AMSBound", adabound, SHORT, {**SHORT_TERMS, "largest": True}, lr=0.01),
]  # fmt: skip
HANDS = [
    # bounds ½(½, 2) and ½(⅔, 3/2); m₁ = (2, ¼, -50), 1/√v₁ = (½, 4, 1/50) → (½, 1, ¼); m₂ = (2, 3/8, 25), 1/√v₂ → (½, ¾, ⅓)
    Hand("AdaBound", steepest.AdaBound, PLAIN, adabound, PLAIN_TERMS, Linear([0, 0, 0], [4, 0.5, -100], [2, 0.5, 100]),
         [0.1, 0.2], [(-0.1, -0.025, 1.25), (-0.3, -0.08125, 1.25 - 5 / 3)]),
    # v = (4, 4), (3, 19), its maximum (4, 19): 1/√ → ½, ½, then ½ and ⅓ (the bound); m = (2, 2), (1, 5)
    Hand("AMSBound", steepest.AMSBound, PLAIN, adabound, {**PLAIN_TERMS, "largest": True}, Linear([0, 0], [4, 4], [0, 8]),
         [0.1, 0.2], [(-0.1, -0.1), (-0.2, -0.1 - 1 / 3)]),
]  # fmt: skip

DIRECTIONS = {"AdaBound": D.AdaBound, "AMSBound": D.AMSBound}
COLLAPSES = {
    "AdaBound with closed bounds and without momentum is the gradient":
        (D.AdaBound(beta1=0.0, final=1.0, gamma=1e300), D.Direction()),
}  # fmt: skip


@pytest.mark.parametrize("rule", [D.AdaBound, D.AMSBound])
@few
@given(gs=streams(length=6))
def test_step_sizes_are_between_the_bounds(rule: type[D.AdaBound], gs: list[Tensor]) -> None:
    """Without momentum the step size is d/g."""
    for t, (d, g) in enumerate(zip(directions(rule(beta1=0.0, final=2.0, gamma=0.5), gs), gs, strict=True), 1):
        low, high = 2 * (1 - 1 / (0.5 * t + 1)), 2 * (1 + 1 / (0.5 * t))
        assert ((d / g >= low * (1 - 1e-9)) & (d / g <= high * (1 + 1e-9)) | (g == 0)).all()


@few
@given(gs=streams(length=6))
def test_amsbound_is_adabound_while_gradients_grow(gs: list[Tensor]) -> None:
    growing = [g.sign() * (g.abs() + 1) * 3**k for k, g in enumerate(gs)]
    bounded, largest = (directions(rule(beta2=0.9), growing) for rule in (D.AdaBound, D.AMSBound))
    assert all((a == b).all() for a, b in zip(bounded, largest, strict=True))


def test_after_long_it_is_sgd_at_the_last_rate() -> None:
    """After 10⁵ steps the bounds are within 1 % of α*, whatever the gradient's scale."""
    x = nn.Parameter(ones(2).double())
    opt = steepest.AdaBound([x], betas=(0.0, 0.999), lr=1e-3, final=100.0)
    g = tensor([1e-6, 1e3]).double()
    x.grad = g
    opt.step()
    saved = opt.state_dict()
    saved["state"][0]["step"] = saved["param_groups"][0]["t"] = 100_000
    opt.load_state_dict(saved)
    before = x.detach().clone()
    opt.step()
    assert (((before - x.detach()) / g - 0.1).abs() < 1e-3).all()
