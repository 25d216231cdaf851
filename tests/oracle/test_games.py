"""Bilinear games, where every method is a matrix: the closed form of the whole run is a matrix power."""

from __future__ import annotations

import numpy as np
import pytest

import steepest
from tests.oracle.problems import Game, Vector, follow, gap, join

STEPS, ETA = 60, 0.2
GAME = Game(quartic=0.0, turns=False)
I, B, O = np.eye(4), GAME.B, np.zeros((2, 2))
A = np.block([[O, B], [-B.T, O]])  # the field: F(z) = A z
START = join(GAME.start)


def powers(M: Vector, z: Vector) -> list[Vector]:
    """M z, M² z, ..., by powers and not by steps."""
    return [np.linalg.matrix_power(M, t) @ z for t in range(1, STEPS + 1)]


def test_gradient_descent_ascent_spirals_outwards() -> None:
    """z ← (I - ηA) z: the control, which extragradient is there to mend."""
    trail = follow(steepest.SGD, GAME, [ETA] * STEPS)
    assert gap(trail.x, powers(I - ETA * A, START)) < 1e-12
    assert np.linalg.norm(trail.x[-1]) > 2 * np.linalg.norm(START)


def test_extragradient() -> None:
    """z ← z - ηA(z - ηA z) = (I - ηA + η²A²) z."""
    trail = follow(steepest.ExtraSGD, GAME, [ETA] * STEPS)
    assert gap(trail.x, powers(I - ETA * A + ETA**2 * A @ A, START)) < 1e-12
    assert np.linalg.norm(trail.x[-1]) < 0.5 * np.linalg.norm(START)


def test_optimistic() -> None:
    """(z, z₋) ← ((I - 2ηA) z + ηA z₋, z), and F(z₋₁) = 0 is z₋₁ = 0."""
    M = np.block([[I - 2 * ETA * A, ETA * A], [I, np.zeros((4, 4))]])
    want = [both[:4] for both in powers(M, join([START, np.zeros(4)]))]
    trail = follow(steepest.OptimisticSGD, GAME, [ETA] * STEPS)
    assert gap(trail.x, want) < 1e-12
    assert np.linalg.norm(trail.x[-1]) < 0.5 * np.linalg.norm(START)


def test_optimistic_is_extrapolation_from_the_past() -> None:
    """Popov's method, from F(zh₋₁) = 0: its half points zh are the optimistic iterates, also where F is not linear."""
    game = Game(turns=False)
    z, past, half = join(game.start), np.zeros(4), [join(game.start)]
    for t in range(1, STEPS + 1):
        past = game.grad(half[-1], t)
        z = z - ETA * past
        half.append(z - ETA * past)
    assert gap(follow(steepest.OptimisticSGD, game, [ETA] * STEPS).x, half[1:]) < 1e-12


@pytest.mark.parametrize("name", ["ExtraSGD", "ExtraAdam"])
def test_two_questions_a_step(name: str) -> None:
    """One question at z, one half way; nothing else, and the loss returned is the one at z."""
    trail = follow(getattr(steepest, name), GAME, [ETA] * 5)
    for t, asked in enumerate(trail.asked):
        here = START if t == 0 else trail.x[t - 1]
        assert len(asked) == 2
        assert (asked[0] == here).all()
        assert trail.returned[t] == pytest.approx(GAME.loss(here, t), rel=1e-13)
        assert (asked[1] != here).any()
    assert trail.opt.counters.gradient_equivalents == 5 * 2 * 3
