"""Bilinear games, where every method is a matrix: the closed form of the whole run is a matrix power."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import steepest
from steepest import point
from tests.oracle.problems import Game, Linear, Vector, follow, gap, join

STEPS, ETA = 60, 0.2
GAME = Game(quartic=0.0, turns=False)
I, B, O = np.eye(4), GAME.B, np.zeros((2, 2))
A = np.block([[O, B], [-B.T, O]])  # the field: F(z) = A z
START = join(GAME.start)


def proximal_point(params: Any, rounds: int, damping: float, **options: Any) -> steepest.Optimizer:
    """The proximal point method."""
    return steepest.Optimizer(params, point=point.ProximalPoint(rounds=rounds, damping=damping), **options)


def reflected_gradient(params: Any, **options: Any) -> steepest.Optimizer:
    """The reflected gradient method."""
    return steepest.Optimizer(params, point=point.Reflected(), **options)


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


def test_reflected_gradient() -> None:
    """(z, z₋) ← ((I - 2ηA) z + ηA z₋, z) again, but from z₋₁ = z: on a linear field it is the optimistic method."""
    M = np.block([[I - 2 * ETA * A, ETA * A], [I, np.zeros((4, 4))]])
    want = [both[:4] for both in powers(M, join([START, START]))]
    trail = follow(reflected_gradient, GAME, [ETA] * STEPS)
    assert gap(trail.x, want) < 1e-12
    assert np.linalg.norm(trail.x[-1]) < 0.5 * np.linalg.norm(START)
    assert trail.opt.counters.backwards == STEPS


def test_gradients_from_elsewhere_are_refused() -> None:
    """A micro-batch that was backpropagated at x is none of the reflection's; nothing moves."""
    x = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    opt = reflected_gradient([x], lr=0.1)

    def closure() -> torch.Tensor:
        loss = x.square().sum()
        loss.backward()
        return loss

    for step in range(2):
        opt.zero_grad()
        opt.step(closure)
        before = x.detach().clone()
        opt.zero_grad()
        x.sum().backward()
        with pytest.raises(RuntimeError, match="go through all micro-batches"):
            opt.step(closure)
        assert torch.equal(x.detach(), before), step


def test_proximal_point_is_implicit() -> None:
    """With rounds enough z ← (I + ηA)⁻¹ z, for any step: here one at which undamped rounds diverge."""
    eta = 2.0
    trail = follow(proximal_point, GAME, [eta] * 10, rounds=400, damping=0.2)
    inverse = np.linalg.inv(I + eta * A)
    assert gap(trail.x, [np.linalg.matrix_power(inverse, t) @ START for t in range(1, 11)]) < 1e-9


class Rotation(Linear):
    """The field F(z) = Q z that turns by an angle of cosine -c: it is negatively comonotone with ρ = c."""

    def __init__(self, c: float) -> None:
        super().__init__([1.0, 0.0], [0.0, 0.0])
        self.Q = np.array([[-c, -((1 - c * c) ** 0.5)], [(1 - c * c) ** 0.5, -c]])

    def grad(self, x: Vector, t: int) -> Vector:
        return self.Q @ x

    def loss(self, x: Vector, t: int) -> float:
        return 0.0

    def torch_loss(self, p: Any, t: int) -> Any:
        return (torch.from_numpy(self.Q) @ p[0].detach()) @ p[0]  # whose gradient is the field


@pytest.mark.parametrize(("make", "c", "eta", "more", "radius"), [
    (proximal_point, 0.4, 1.2, {"rounds": 200, "damping": 0.3}, 0.82),
    (proximal_point, 0.4, 0.6, {"rounds": 200, "damping": 0.3}, 1.07),
    (steepest.ExtraSGD, 0.4, 0.05, {"ahead": 20.0}, 0.989),
    (steepest.ExtraSGD, 0.6, 0.05, {"ahead": 20.0}, 1.020),
])  # fmt: skip
def test_negative_comonotonicity(make: Any, c: float, eta: float, more: dict[str, Any], radius: float) -> None:
    """PP contracts for η > 2ρ and not below; EG with γ₁ = 1/L and a short γ₂ contracts for ρ < 1/2L and not above."""
    trail = follow(make, Rotation(c), [eta] * 30, **more)
    norms = [np.linalg.norm(x) for x in trail.x]
    assert norms[-1] / norms[-2] == pytest.approx(radius, abs=0.006)


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
