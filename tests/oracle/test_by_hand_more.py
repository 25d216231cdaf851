"""By hand, continued: methods that ask twice, see part of the gradient, or find their own step."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest

import steepest
from tests.oracle import papers, papers_distance, papers_more, papers_search
from tests.oracle.problems import Linear, Quadratic, follow, gap
from tests.rows import by_hand

STEPS = 8
HALF = {"betas": (0.5, 0.5), "eps": 1.0}
HALF_TERMS = {"b1": 0.5, "b2": 0.5, "eps": 1.0}


def test_extra_adam() -> None:
    """f = x²/2 from 5.  Half step 1: p = 5/6, to 5 - 4.8·5/6 = 1.  Full step, g = 1: m = 1.75, v = 6.75, both over
    1 - ½²: p = (7/3)/(3 + 1), to 5 - 4.8·7/12 = 2.2.  Half step 3: m = 0.875 + 1.1, v = 3.375 + 2.42, over 1 - ½³.
    """
    half = 2.2 - 0.1 * (1.975 / 0.875) / (sqrt(5.795 / 0.875) + 1)
    m, v = 1.975 / 2 + half / 2, 5.795 / 2 + half**2 / 2
    full = 2.2 - 0.1 * (m / 0.9375) / (sqrt(v / 0.9375) + 1)
    trail = by_hand(steepest.ExtraAdam, HALF, papers.extra_adam, HALF_TERMS, Quadratic([1], [5.0]), [4.8, 0.1],
                  [(2.2,), (full,)])  # fmt: skip
    assert gap(trail.asked[1], [np.array([2.2]), np.array([half])]) < 1e-14


def test_mezo() -> None:
    """f = g·x, so the slope along z is g·z whatever the radius: x⁺ = x - η ((g·z) z + λ x), with the z it drew."""
    problem, x, radius, eta, lam = Linear([1, -1], [3, 4]), np.array([1.0, -1.0]), 0.5, 0.01, 0.5
    terms, hyper = {"radius": radius, "lam": lam}, {"radius": radius, "weight_decay": lam}
    trail = follow(steepest.MeZO, problem, [eta] * STEPS, lift="eager", **hyper)
    for asked, after, loss in zip(trail.asked, trail.x, trail.returned, strict=True):
        z = (asked[0] - x) / radius
        assert np.allclose(asked[1], x - radius * z, atol=1e-14)  # both sides, in this order
        assert loss == pytest.approx(3 * x[0] + 4 * x[1], rel=1e-12)  # the mean of both sides
        x = x * (1 - eta * lam) - eta * (3 * z[0] + 4 * z[1]) * z
        assert gap([after], [x]) < 1e-14
        x = after
    assert len({asked[0].tobytes() for asked in trail.asked}) == STEPS  # a new z at every step
    want = [tuple(x) for x in trail.x[:2]]
    by_hand(steepest.MeZO, hyper, papers_more.mezo, terms, problem, [eta], want, sees=True)


def test_galore() -> None:
    """G₁ = diag(5, 1): P = e₁, PᵀG = (5, 0, 0), N = 5/6, then G₂ = diag(1, 9) in the same P: m = 1.75, v̂ = 9, N = 7/12.
    W is all ones; decay by 0.7 and 0.4; the first entry also moves by 0.5·0.6·5/6 and 0.5·1.2·7/12.
    """
    hyper = {**HALF, "rank": 1, "every": 2, "scale": 0.5, "weight_decay": 0.5}
    terms = {**HALF_TERMS, "rank": 1, "every": 2, "scale": 0.5, "lam": 0.5, "kind": "svd"}
    W, diag = np.ones((2, 3)), lambda a, b: [[a, 0, 0], [0, b, 0]]
    problem = Linear(W, diag(5, 1), diag(1, 9), diag(0, 4))
    one, two = [0.7] * 6, [0.28] * 6
    one[0], two[0] = 0.45, 0.18 - 0.35
    trail = by_hand(
        steepest.GaLore, hyper, papers_more.low_rank, terms, problem, [0.6, 1.2, 0.1], [one, two], sees=True
    )
    assert np.abs(trail.states[1][0]["P"]).tolist() == [[1], [0]]
    assert np.abs(trail.states[2][0]["P"]).tolist() == [[0], [1]]  # refreshed at the third step, from that gradient
    assert trail.states[2][0]["m"].shape == (1, 3)
    # the moments live on as they are: m = 1.75/2 in the first column, though P has turned
    assert np.abs(trail.states[2][0]["m"]).tolist() == [[0.875, 2, 0]]


def test_frugal() -> None:
    """Both rows have gradients (5, 1, -2), then (1, 1, -2).  The row with state moves by Adam's (5/6, 1/2, -2/3), then
    (7/12, 1/2, -2/3), the other by half of (1, 1, -1); η = 0.6, then 1.2; all from 1.
    """
    hyper = {**HALF, "rank": 1, "every": 3, "rest": 0.5}
    terms = {**HALF_TERMS, "rank": 1, "every": 3, "rest": 0.5, "kind": "columns", "lam": 0.0}
    problem = Linear(np.ones((2, 3)), [[5, 1, -2]] * 2, [[1, 1, -2]] * 2)
    full, free = [(0.5, 0.7, 1.4), (-0.2, 0.1, 2.2)], [(0.7, 0.7, 1.3), (0.1, 0.1, 1.9)]
    seen = follow(steepest.FRUGAL, problem, [0.6], lift="eager", **hyper).states[0][0]["P"]
    want = [a + b if seen[0] == 0 else b + a for a, b in zip(full, free, strict=True)]
    trail = by_hand(steepest.FRUGAL, hyper, papers_more.low_rank, terms, problem, [0.6, 1.2], want, sees=True)
    assert {tuple(s[0]["P"]) for s in trail.states} == {(0,), (1,)}  # drawn anew at steps 4 and 7
    assert trail.states[3][0]["m"].tolist() == [[0.5, 0.5, -1]]  # half of the gradient of step 4: fresh moments


def test_sps() -> None:
    """f = ‖x‖²/2 from (3, 4), f* = 2.5: (12.5 - 2.5)/25 = 0.4 > η_max = 0.3, to (2.1, 2.8); then 3.625/12.25."""
    by_hand(steepest.SPS, {"c": 1.0, "f_star": 2.5, "eta_max": 0.3}, papers_more.sps,
          {"c": 1.0, "f_star": 2.5, "most": 0.3}, Quadratic([1, 1], [3.0, 4.0]), [1.0],
          [(2.1, 2.8), (2.1 * 69 / 98, 2.8 * 69 / 98)])  # fmt: skip


def test_sps_growth() -> None:
    """Gradients (4, 0), (1, 0), constant 8: from 0, 8/(½·16) = 1, to -4; then (8 - 4)/(½·1) = 8 > 1.5·1, to -5.5."""
    problem = Linear([0, 0], [4, 0], [1, 0], constant=8)
    by_hand(steepest.SPS, {"growth": 1.5}, papers_more.sps, {"tau": 1.5}, problem, [1.0], [(-4, 0), (-5.5, 0)])


def test_sls() -> None:
    """f = 2‖x‖²: f(x - ηg) = (1 - 4η)² f falls by 0.4 η·8f as long as η ≤ 0.3.  Trials 1, 0.6, 0.36, 0.216: x times
    1 - 0.864; then 2·0.216 = 0.432 and 0.2592: times 1 - 1.0368.
    """
    trail = by_hand(steepest.SLS, {"c": 0.4, "shrink": 0.6, "batches_per_epoch": 1}, papers_more.sls,
                  {"c": 0.4, "beta": 0.6, "batches": 1}, Quadratic([4, 4], [1.0, -2.0]), [1.0],
                  [(0.136, -0.272), (-0.0050048, 0.0100096)])  # fmt: skip
    assert [len(asked) for asked in trail.asked[:2]] == [1 + 4, 1 + 2]
    assert trail.opt.counters.forwards == sum(len(asked) for asked in trail.asked)
    assert trail.opt.counters.backwards == STEPS


def test_ponos() -> None:
    """f = 2‖x‖² = 10, ‖g‖² = 8f: Polyak's step is 1/(8·0.1) = 1.25, and Armijo with c = ½ holds up to η = ¼.  Trials
    1.25, 0.625, 0.3125, 0.15625: x times 1 - 0.625, l̄ = 3 - 1.  Then C = (10 + 1.40625)/2, the first trial is 1.25/4,
    and (1 - 1.25)² f ≤ C - ½·0.3125·8f holds though 0.3125 > ¼: x times -0.25, l̄ = 1.
    """
    trail = by_hand(steepest.PoNoS, {}, papers_more.ponos, {}, Quadratic([4, 4], [1.0, -2.0]), [1.0],
                  [(0.375, -0.75), (-0.09375, 0.1875)])  # fmt: skip
    assert [len(asked) for asked in trail.asked[:2]] == [1 + 4, 1 + 1]


def test_dog() -> None:
    """f = ‖x‖²/2 from (3, 4): r̄ = 0.1 (1 + 5), G = 11 + 25: η = 0.1; then ‖x - x₀‖ = 0.5 < r̄, G = 36 + 4.5² = 7.5²."""
    by_hand(steepest.DoG, {"reps_rel": 0.1, "G0": 11.0}, papers_more.dog, {"reps": 0.1, "eps": 11.0},
          Quadratic([1, 1], [3.0, 4.0]), [1.0], [(2.7, 3.6), (2.484, 3.312)])  # fmt: skip


def test_dog_distance() -> None:
    """Constant gradient 1, ε = 0: r̄ = 0.5·(1 + 0), η = 0.5; then r̄ is still 0.5, √G = √2; then r̄ = 0.5 + 0.5/√2, √3."""
    far = 0.5 + 0.5 / sqrt(2)
    by_hand(steepest.DoG, {"reps_rel": 0.5, "G0": 0.0}, papers_more.dog, {"reps": 0.5, "eps": 0.0}, Linear([0], [1]),
          [1.0], [(-0.5,), (-far,), (-far - far / sqrt(3),)])  # fmt: skip


def test_tdog() -> None:
    """Constant gradient 1 = ℓ, T = 10, δ = ½, and a rate that takes 64 θ away: r̄ = 0.5, G' = 16; then log₊(1 + 1) = 1 + log 2
    and 1 + 16; then r̄ is how far that was, log₊(1 + 2) and 2 + 16.
    """
    theta, far = log(60 * log(60) / 0.5), 0.5 + 0.5 / ((1 + log(2)) * sqrt(17))
    rates = {"reps": 0.5, "T": 10, "delta": 0.5, "L": 1.0}
    by_hand(steepest.TDoG, {"reps_rel": 0.5, "delta": 0.5, "steps": 10, "bound": 1.0}, papers_distance.tamed_dog, rates,
          Linear([0], [1]), [64 * theta * 4, 64 * theta, 64 * theta],
          [(-0.5,), (-far,), (-far - far / ((1 + log(3)) * sqrt(18)),)])  # fmt: skip


def test_d_adapt_sgd() -> None:
    """Constant gradient (3, 4), d₀ = 0.5: λ = 0.1; r = 0, 0.25, 0.75; ‖s‖ = 0.5, 1, 1.5; 2r/‖s‖ = 0, 0.5, 1: d = 1 and
    λ = 0.2 from the fourth step on.
    """
    by_hand(steepest.DAdaptSGD, {"d0": 0.5}, papers_more.d_adapt_sgd, {"d0": 0.5}, Linear([1, -1], [3, 4]), [1.0],
          [(0.7, -1.4), (0.4, -1.8), (0.1, -2.2), (-0.5, -3.0)])  # fmt: skip


def test_d_adapt_dual_and_adagrad() -> None:
    """Constant gradient (3, 4), d₀ = 0.5: λ = 0.5 thrice, s = 0.5, 1 and 1.5 times (3, 4); γ = 1/5, 1/√50, 1/√75, or
    a = 1, √2 and √3 times (3, 4).  Σλ⟨g, x₀ - x⟩ = 0, 1.25, 1.25 + 1.25 √2 over ‖s‖ = 2.5, 5, 7.5 (0, 1.75, 1.75 + 1.75 √2
    over ‖s‖₁ = 3.5, 7, 10.5): twice that is 0, 0.5 and (1 + √2)/3 for both, which is the fourth λ.
    """
    problem, last = Linear([1, -1], [3, 4]), 1.5 + (1 + sqrt(2)) / 3
    far = (0.5, 1 / sqrt(2), 1.5 / sqrt(3), last / 2)
    by_hand(steepest.DAdaptDual, {"d0": 0.5}, papers_distance.d_adapt_dual, {"d0": 0.5}, problem, [1.0],
          [(1 - 0.6 * r, -1 - 0.8 * r) for r in far])  # fmt: skip
    by_hand(steepest.DAdaptAdaGrad, {"d0": 0.5}, papers_distance.d_adapt_adagrad, {"d0": 0.5}, problem, [1.0],
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


def test_smbi() -> None:
    """f = x²/2 from 1, η = 4, κ = ½: from 1 to -3 the loss rises, so 1 waits.  Next, s = -4 and y = -4: σ = (4 (4 + 2) - 16)/2
    = 4, and the step is -16/(8 + 32) = -0.4.  From 0.6 the plain step fails again.
    """
    by_hand(steepest.SMBi, {"kappa": 0.5}, papers_search.smb, {"kappa": 0.5, "independent": True}, Quadratic([1], [1.0]), [4.0],
          [(1.0,), (0.6,), (0.6,), (0.36,)])  # fmt: skip


def test_d_adapt_adam() -> None:
    """β = (0.5, 0.36), q = 0.6, ε = 1, d = 0.2.  g = 5: m = 0.5, v = 16, A = 5, s = 0.4·0.2·5 = 0.4, r = 0.  g = 4:
    v = 16, A = 5, m = 0.25 + 0.4, r = 0.4·0.2·(4·0.4/5) = 0.0256, s = 0.24 + 0.32; r/(0.4·0.56) < d, so d stays.
    """
    problem, hyper = Linear([1, -1], [5, 0], [4, 0]), {"betas": (0.5, 0.36), "eps": 1.0, "d0": 0.2}
    terms = {"b1": 0.5, "b2": 0.36, "eps": 1.0, "d0": 0.2}
    by_hand(steepest.DAdaptAdam, hyper, papers_more.d_adapt_adam, terms, problem, [1.0], [(0.9, -1), (0.77, -1)])
    second = follow(steepest.DAdaptAdam, problem, [1.0, 1.0], lift="eager", **hyper)
    group = second.opt.param_groups[0]
    assert group["numerator"] == pytest.approx(0.0256, rel=1e-14)
    assert group["distance"] == 0.2
    assert second.states[1][0]["s"] == pytest.approx([0.56, 0], rel=1e-14)
    later = follow(steepest.DAdaptAdam, problem, [1.0] * STEPS, lift="eager", **hyper).opt.param_groups[0]
    assert later["distance"] > 0.25
