"""Gradient methods worked out by hand: two or three coordinates, the first steps as numbers, the rest by the equations.

Each row says how its numbers come about; the moments are chosen so that most roots are whole.  The paper's equations
in numpy are held to the same numbers, so a slip in them shows, too.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

import steepest
from steepest import direction as D
from steepest import geometry
from tests.collect import listed
from tests.oracle import papers, papers_more
from tests.oracle.problems import Game, Linear, Quadratic, follow, gap, join
from tests.rows import Hand

STEPS = 8


def mean_cautious(params: Any, **options: Any) -> steepest.Optimizer:
    inner = D.Cautious(D.Adam(beta1=0.5, beta2=0.5, eps=1.0), scale="mean")
    return steepest.Optimizer(params, direction=inner, geometry=geometry.Decay(weight_decay=0.5), **options)


HALF = {"betas": (0.5, 0.5), "eps": 1.0}
HALF_TERMS = {"b1": 0.5, "b2": 0.5, "eps": 1.0}
MOST = {"betas": (0.5, 0.75), "eps": 1.0}
MOST_TERMS = {"b1": 0.5, "b2": 0.75, "eps": 1.0}
BOWL = Quadratic([1, 2], [1.0, -1.0])  # g = (x, 2y)
TWO = ([1.0, -2.0], [-1.0, -2.0])  # gradients with |g| constant: the corrected second moment is g², its root |g|

HANDS = [
    # g₁ = (1, -2) = m₁, x₁ = x - 0.1 m; g₂ = (0.9, -1.6), m₂ = m₁/2 + g₂ = (1.4, -2.6), x₂ = x₁ - 0.2 m₂
    Hand("heavy ball", steepest.SGD, {"momentum": 0.5}, papers.sgd, {"mu": 0.5}, BOWL, [0.1, 0.2],
         [(0.9, -0.8), (0.62, -0.28)]),
    # d₁ = g₁ + m₁/2 = (1.5, -3); g₂ = (0.85, -1.4), m₂ = (1.35, -2.4), d₂ = g₂ + m₂/2 = (1.525, -2.6)
    Hand("Nesterov", steepest.SGD, {"momentum": 0.5, "nesterov": True}, papers.sgd, {"mu": 0.5, "nesterov": True}, BOWL,
         [0.1, 0.2], [(0.85, -0.7), (0.545, -0.18)]),
    # g + x = (2x, 3y): m₁ = (2, -3) whole; g₂ = (1.6, -2.1), m₂ = m₁/2 + g₂/2 = (1.8, -2.55)
    Hand("dampening and decay", steepest.SGD, {"momentum": 0.5, "dampening": 0.5, "weight_decay": 1.0}, papers.sgd,
         {"mu": 0.5, "damp": 0.5, "lam": 1.0}, BOWL, [0.1, 0.2], [(0.8, -0.7), (0.44, -0.19)]),
    # every coordinate by lr, none where g = 0
    Hand("sign", steepest.SignSGD, {}, papers.sign_sgd, {}, Linear([1, -1], [0.3, 0], [-4, 5]), [0.1, 0.2],
         [(0.9, -1.0), (1.1, -1.2)]),
    # z₁ = (0.7, -0.1, 0.6), threshold 0.1·2; z₂ = (0.3, 0.6, 0.2), threshold 0.4
    Hand("prox", steepest.ProxSGD, {"l1": 2.0}, papers.prox_sgd, {"lam": 2.0},
         Linear([1, -0.1, 0.5], [3, 0, -1], [1, -3, 1]), [0.1, 0.2], [(0.5, 0, 0.4), (0, 0.2, 0)]),
    # z₁ = (0.6, -0.9), z₂ = (0.3, -1.1), clipped to [-1, 0.5]
    Hand("box", steepest.ProjectedSGD, {"lower": -1.0, "upper": 0.5}, papers.box_sgd, {"low": -1.0, "high": 0.5},
         Linear([0.2, -0.8], [-4, 1], [1, 1]), [0.1, 0.2], [(0.5, -0.9), (0.3, -1.0)]),
    # z₁ = (0.7, 0.4, -0.1): θ = (0.7 + 0.4 - 1)/2 = 0.05; z₂ = (1.65, 0.35, 0): θ = 0.65
    Hand("simplex", steepest.SimplexSGD, {}, papers.simplex_sgd, {},
         Linear([0.5, 0.5, 0], [-2, 1, 1], [-5, 0, 0]), [0.1, 0.2], [(0.65, 0.35, 0), (1, 0, 0)]),
    # g + x = (1, -2), then (-1, -2): m̂₁ = (1, -2), d₁ = m̂/(|g| + 1) = (1/2, -2/3);
    # m₂ = g₁/4 + g₂/2, m̂₂ = m₂/(3/4) = (-1/3, -2), d₂ = (-1/6, -2/3)
    Hand("Adam, coupled decay", steepest.Adam, {**MOST, "weight_decay": 1.0}, papers.adam, {**MOST_TERMS, "lam": 1.0},
         Linear([1, -1], [0, -1], [-1.85, -1.2]), [0.3, 0.6], [(0.85, -0.8), (0.95, -0.4)]),
    # the same directions; x₁ = 0.85 x - 0.3 d₁, x₂ = 0.7 x₁ - 0.6 d₂
    Hand("AdamW", steepest.AdamW, {**MOST, "weight_decay": 0.5}, papers.adam, {**MOST_TERMS, "decoupled": 0.5},
         Linear([1, -1], *TWO), [0.3, 0.6], [(0.7, -0.65), (0.59, -0.055)]),
    # m = (2, 0), (1, -4); v = (4, 0), (3, 16), its maximum (4, 16): d = (2/(2+2), 0), then (1/(2+2), -4/(4+2))
    Hand("AMSGrad as printed", steepest.AMSGrad, {"betas": (0.5, 0.75), "eps": 2.0, "bias_correction": False},
         papers.amsgrad, {"b1": 0.5, "b2": 0.75, "eps": 2.0, "corrects": False}, Linear([1, 1], [4, 0], [0, -8]),
         [0.3, 0.6], [(0.85, 1.0), (0.7, 1.4)]),
    # corrected: m̂₁ = 4, √(4/¼) = 4; m̂₂ = m₂/(3/4), the maximum over 7/16: √(64/7), √(256/7)
    Hand("AMSGrad as in torch", steepest.AMSGrad, {"betas": (0.5, 0.75), "eps": 2.0}, papers.amsgrad,
         {"b1": 0.5, "b2": 0.75, "eps": 2.0}, Linear([1, 1], [4, 0], [0, -8]), [0.3, 0.6],
         [(0.8, 1.0), (0.8 - 0.6 * (4 / 3) / (8 / sqrt(7) + 2), 1 + 0.6 * (16 / 3) / (16 / sqrt(7) + 2))]),
    # ψ = 0: μ = 1/4 throughout, Πμ = 1/4, 1/16, 1/64: μm/(1 - Πμ) + (1-μ)g/(1 - Πμ) is (1/8)/(15/16) g + g = (17/15) g,
    # then (16/63) m₂ + (4/5) g₂ with m₂ = (-0.25, -1.5); both over |g| + 1 = (2, 3)
    Hand("NAdam", steepest.NAdam, {**MOST, "momentum_decay": 0.0}, papers.nadam, {**MOST_TERMS, "psi": 0.0},
         Linear([1, -1], *TWO), [0.3, 0.6],
         [(0.83, -1 + 10.2 / 45), (0.83 + 0.3 * (4 / 63 + 0.8), -1 + 10.2 / 45 + 0.2 * (24 / 63 + 1.6))]),
    # s₁ = (g/2)²/4 + 1, ŝ₁ = (g/2)² + 4 = 2.5², 4.25²: d₁ = (3/3.5, -7.5/5.25); then g₂ = m₂, so
    # s₂ = ¾ s₁ + 1 = (139/64, 1123/256), over 7/16; m̂₂ = m₂/(3/4) = (2, -5)
    Hand("AdaBelief", steepest.AdaBelief, MOST, papers.adabelief, MOST_TERMS, Linear([1, -1], [3, -7.5], [1.5, -3.75]),
         [0.7, 0.7], [(0.4, 0), (0.4 - 1.4 / (sqrt(139 / 28) + 1), 3.5 / (sqrt(1123 / 112) + 1))]),
    # u₁ = (1/2, -2/3, 5/6), all agree: s = 3/(3+1); m₂ = (0.75, -1.5, 0.75), v̂₂ = (1, 4, 9): u₂ = (1/2, -2/3, 1/4), the
    # last against g₂ = -1: s = 3/(2+1); decay by 0.85 and 0.7 first, unmasked
    Hand("Cautious AdamW", steepest.CAdamW, {**HALF, "weight_decay": 0.5}, papers.cautious_adamw,
         {**HALF_TERMS, "lam": 0.5}, Linear([1, -1, 2], [1, -2, 5], [1, -2, -1]), [0.3, 0.6],
         [(0.7375, -0.7, 1.5125), (0.21625, -0.09, 1.05875)]),
    # the same with s = 1 and 3/2
    Hand("Cautious AdamW, mean", mean_cautious, {}, papers.cautious_adamw, {**HALF_TERMS, "lam": 0.5, "scale": "mean"},
         Linear([1, -1, 2], [1, -2, 5], [1, -2, -1]), [0.3, 0.6], [(0.7, -0.65, 1.45), (0.04, 0.145, 1.015)]),
    # u₁ = sign(g₁/2), s = 3/4; m₁ = g₁/4; c₂ = (0.05, 0.5, 1.625) against g₂ = (-0.4, 2, 3): the first is masked, s = 1
    Hand("Cautious Lion", steepest.CLion, {"betas": (0.5, 0.75)}, papers.cautious_lion, {"b1": 0.5, "b2": 0.75},
         Linear([1, -1, 2], [2, -4, 1], [-0.4, 2, 3]), [0.1, 0.2], [(0.925, -0.925, 1.925), (0.925, -1.125, 1.725)]),
    # c₁ = g₁/5 = (0.6, 0.8), d₁ = (0.6/1.6, 0.8/1.8); c₂ = g₂ + (g₂ - g₁) = (0.6, -0.8) of length 1;
    # m̂₂ = (0.6, -0.2/0.75), d₂ = (0.6/1.6, -(4/15)/1.8)
    Hand("MARS", steepest.MARS, {**HALF, "gamma": 1.0}, papers.mars, {**HALF_TERMS, "gamma": 1.0},
         Linear([1, -1], [3, 4], [1.8, 1.6]), [0.9, 0.27], [(0.6625, -1.4), (0.56125, -1.36)]),
    # AdamW's (0.7, -0.65) and (0.59, -0.055); after two steps a quarter of the way from the start to there
    Hand("Lookahead", steepest.LookaheadAdamW, {**MOST, "weight_decay": 0.5, "alpha": 0.25, "k": 2},
         papers.lookahead_adamw, {**MOST_TERMS, "lam": 0.5, "alpha": 0.25, "k": 2}, Linear([1, -1], *TWO), [0.3, 0.6],
         [(0.7, -0.65), (0.8975, -0.76375)]),
    # g = (3, 4), e = (0.3, 0.4), g(x + e) = (3.3, 4.8); then x = (0, -26/11), e = (0, -0.5), g(x + e) = (0, -63/11),
    # m = (1.65, 2.4 - 63/11)
    Hand("SAM", steepest.SAM, {"rho": 0.5, "momentum": 0.5}, papers.sam, {"rho": 0.5, "mu": 0.5},
         Quadratic([1, 2], [3.0, 2.0]), [10 / 11, 0.1], [(0, -26 / 11), (-0.165, -22.34 / 11)]),
    # f = xy: F = (y, -x). Half way (0.8, 2.1), F there (2.1, -0.8); then half way (0.374, 2.238)
    Hand("extragradient", steepest.ExtraSGD, {}, papers.extragradient, {}, Game([[1.0]], 0, False, ([1.0], [2.0])),
         [0.1, 0.2], [(0.79, 2.08), (0.3424, 2.1548)]),
    # F₁ = (2, -1), twice as far at first; F₂ = (2.2, -0.6): x₂ = x₁ - 0.4 F₂ + 0.2 F₁
    Hand("optimistic", steepest.OptimisticSGD, {}, papers.optimistic, {}, Game([[1.0]], 0, False, ([1.0], [2.0])),
         [0.1, 0.2], [(0.6, 2.2), (0.12, 2.24)]),
    # p₁ = (5/6, 1/2); m₂ = (1.75, 0.75), v̂₂ = (9, 1), p₂ = ((7/3)/4, 1/2): x₂ = x₁ - 0.24 p₂ + 0.12 p₁
    Hand("optimistic Adam", steepest.OptimisticAdam, HALF, papers.optimistic_adam, HALF_TERMS,
         Linear([1, -1], [5, 1], [1, 1]), [0.6, 0.12], [(0, -1.6), (-0.04, -1.66)]),
    # p₁ = g₁ = (3, -1, 2, 0.5): two largest sent, e = (0, -1, 0, 0.5); p₂ = (1, -2, 0, 1.1)
    Hand("error feedback", steepest.CompressedSGD, {"keep": 0.5}, papers_more.error_feedback, {"keep": 0.5},
         Linear([0, 0, 0, 0], [3, -1, 2, 0.5], [1, -1, 0, 0.6]), [0.1, 0.2],
         [(-0.3, 0, -0.2, 0), (-0.3, 0.4, -0.2, -0.22)]),
]  # fmt: skip


HANDS += listed("HANDS")


@pytest.mark.parametrize("hand", HANDS, ids=lambda hand: hand.id)
def test_the_numbers(hand: Hand) -> None:
    problem = hand.problem
    etas = [*hand.etas, *(0.1 + 0.05 * t for t in range(STEPS - len(hand.etas)))]
    ours = follow(hand.make, problem, etas, lift="eager", **hand.hyper).x
    paper = list(hand.paper(problem, join(problem.start), etas, **hand.terms))
    want = [np.array(x, dtype=np.float64) for x in hand.want]
    assert gap(ours[: len(want)], want) < 1e-14
    assert gap(paper[: len(want)], want) < 1e-14
    assert gap(ours, paper) < 1e-12
