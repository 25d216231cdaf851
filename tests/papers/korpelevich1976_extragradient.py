"""Extragradient (Korpelevich 1976), and Adam fed by both half steps (Gidel et al. 2019, arXiv:1802.10551)."""

from __future__ import annotations

from math import sqrt

import numpy as np

import steepest
from tests.oracle.equations import Moments, Path, Rates
from tests.oracle.problems import Game, Problem, Quadratic, Vector, gap
from tests.rows import HALF, HALF_TERMS, Hand, Row, Setting, by_hand

CONTRACT = {
    "ExtraAdam": Setting({"lr": 0.03}, counts=2, root=True),
    "ExtraSGD": Setting({"lr": 0.1}, counts=2),
}


def extragradient(f: Problem, z: Vector, etas: Rates) -> Path:
    for t, eta in enumerate(etas, 1):
        half = z - eta * f.grad(z, t)
        z = z - eta * f.grad(half, t)
        yield z


def extra_adam(f: Problem, z: Vector, etas: Rates, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> Path:
    d = Moments(b1, b2, eps)  # fed by both half steps, and its counter counts both
    for t, eta in enumerate(etas, 1):
        half = z - eta * d(f.grad(z, t))
        z = z - eta * d(f.grad(half, t))
        yield z


ORACLE = [
    Row("ExtraSGD", extragradient, game=True),
    Row("ExtraSGD", extragradient, lr=0.3),
    Row("ExtraAdam", extra_adam, {"betas": (0.5, 0.9)}, {"b1": 0.5, "b2": 0.9}, lr=0.03, game=True),
    Row("ExtraAdam", extra_adam, lr=0.03),
]  # fmt: skip
HANDS = [
    # f = xy: F = (y, -x). Half way (0.8, 2.1), F there (2.1, -0.8); then half way (0.374, 2.238)
    Hand("extragradient", steepest.ExtraSGD, {}, extragradient, {}, Game([[1.0]], 0, False, ([1.0], [2.0])),
         [0.1, 0.2], [(0.79, 2.08), (0.3424, 2.1548)]),
]  # fmt: skip


def test_extra_adam_by_hand() -> None:
    """f = x²/2 from 5.  Half step 1: p = 5/6, to 5 - 4.8·5/6 = 1.  Full step, g = 1: m = 1.75, v = 6.75, both over
    1 - ½²: p = (7/3)/(3 + 1), to 5 - 4.8·7/12 = 2.2.  Half step 3: m = 0.875 + 1.1, v = 3.375 + 2.42, over 1 - ½³.
    """
    half = 2.2 - 0.1 * (1.975 / 0.875) / (sqrt(5.795 / 0.875) + 1)
    m, v = 1.975 / 2 + half / 2, 5.795 / 2 + half**2 / 2
    full = 2.2 - 0.1 * (m / 0.9375) / (sqrt(v / 0.9375) + 1)
    trail = by_hand(steepest.ExtraAdam, HALF, extra_adam, HALF_TERMS, Quadratic([1], [5.0]), [4.8, 0.1],
                  [(2.2,), (full,)])  # fmt: skip
    assert gap(trail.asked[1], [np.array([2.2]), np.array([half])]) < 1e-14
