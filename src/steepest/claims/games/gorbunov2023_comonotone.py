"""Beyond monotonicity: which step sizes arrive, and which don't, where an operator turns a little more than a right angle.

The games are 41 turns of the plane, scaled by s from 0.01 to L = 1, each by an angle θ with cos θ = -ρs, so that each lies
on the border of negative comonotonicity with its ρ. Mass is spread evenly over log s, for which O(1/k) is the rate and not
more. A turn that is scaled by 1 alone shows the thresholds. Controls: a step below the threshold; two equal step sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from steepest import solve
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.rates import slope

RHO = 0.4  # in units of 1/L


def turns(rho: float, scales: Sequence[float]) -> solve.VariationalInequality:
    """Each pair of numbers is turned and scaled; all begin at (1, 0)."""
    s = torch.tensor(scales, dtype=torch.float64)
    cos = -rho * s
    sin = (1 - cos * cos).sqrt()

    def operator(z: Tensor) -> Tensor:
        x, y = z[:, 0], z[:, 1]
        return torch.stack([s * (cos * x - sin * y), s * (sin * x + cos * y)], 1)

    return solve.VariationalInequality(operator, torch.tensor([[1.0, 0.0]], dtype=torch.float64).repeat(len(s), 1))


def falls(solver: Any, rho: float, steps: int) -> tuple[list[float], list[float]]:
    """Steps, and ‖F‖² there, on all turns."""
    problem = turns(rho, torch.logspace(-2, 0, 41).tolist())
    result = solve.solve(problem, solver, max_steps=steps, every=max(1, steps // 60))
    at = [float(t) for t in result.at]
    return at, [min(r * r, 1e300) for r in result.history["residual"]]


def grows(solver: Any, rho: float, steps: int = 40) -> float:
    """What a step multiplies the distance by, on the turn with s = 1."""
    result = solve.solve(turns(rho, [1.0]), solver, max_steps=steps, every=steps)
    return float((result.history["residual"][-1] / result.history["residual"][0]) ** (1 / steps))


def proximal(fast: bool, control: bool) -> Measured:
    """The proximal point method above and below γ = 2ρ."""
    factor, near = (1.9, 1.9) if control else (3.0, 2.1)
    at, squares = falls(solve.ProximalPoint(lr=factor * RHO), RHO, 60 if fast else 600)
    above, below = (grows(solve.ProximalPoint(lr=f * RHO), RHO) for f in (near, 1.9))
    turn = RHO * complex(-RHO, math.sqrt(1 - RHO**2))
    error = max(abs(above - abs(1 / (1 + near * turn))), abs(below - abs(1 / (1 + 1.9 * turn))))
    numbers = {"slope": slope(at, squares, begin=at[-1] / 20), "above": above, "below": below, "error": error}
    return Measured(numbers, [Lines("proximal point", "steps", "‖F‖²", {f"γ = {factor} ρ": (at, [squares])}, log="xy")])


def two_steps(make: Any, fast: bool, control: bool, lengths: Sequence[float]) -> Measured:
    """A long look and a short step; equal ones in the control. The best of a grid each, on the turn with s = 1."""
    steps = 300 if fast else 3000
    ours = make(0.05, 1.0 if control else 20.0 * lengths[0])
    at, squares = falls(ours, RHO, steps)
    equal = min(grows(make(lr, 1.0), RHO) for lr in (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.2))
    numbers = {"slope": slope(at, squares, begin=at[-1] / 20), "factor": grows(ours, RHO), "equal": equal}
    return Measured(numbers, [Lines("two step sizes", "steps", "‖F‖²", {"γ₂ = γ₁/20": (at, [squares])}, log="xy")])


def extragradient(fast: bool, control: bool) -> Measured:
    """Extragradient, with the counterexample above 1/(2L), where no pair of steps arrives."""

    def make(lr: float, ahead: float) -> Any:
        return solve.Extragradient(lr=lr, ahead=ahead)

    measured = two_steps(make, fast, control, [1.0])
    pairs = [(long, ratio) for long in (0.3, 0.6, 0.8, 1.0, 1.2) for ratio in (0.01, 0.05, 0.2, 1.0)]
    beyond = min(grows(make(long * ratio, 1 / ratio), 0.6) for long, ratio in pairs)
    return Measured({**measured.numbers, "beyond": beyond}, measured.panels)


def optimistic(fast: bool, control: bool) -> Measured:
    """The optimistic gradient method: the same with one value of F a step."""
    return two_steps(lambda lr, ahead: solve.SingleCall(lr=lr, ahead=ahead), fast, control, [0.7])


SLOPE = Bound("slope", "≤", -0.9, "slope of log ‖F‖² by log steps over the last factor 20")
EQUAL = Bound("equal", ">", 1.0, "what a step multiplies by with two equal step sizes, best of 9")
FACTOR = Bound("factor", "<", 1.0, "what a step multiplies by on the turn with s = L, ρ = 0.4/L")
SOURCE = Source("gorbunov2023convergence", "abstract and its theorems on PP, EG and OG")

CLAIMS = (
    Claim(
        name="proximal-point-comonotone",
        sentence="Under negative comonotonicity the proximal point method converges as O(1/k) with a step above 2ρ, and can "
        "fail below.",
        source=SOURCE,
        methods=("ProximalPoint",),
        rows=("001-057",),
        bounds=(
            SLOPE,
            Bound("above", "<", 1.0, "what a step of 2.1 ρ multiplies by on the turn with s = L, ρ = 0.4/L"),
            Bound("below", ">", 1.0, "the same with 1.9 ρ"),
            Bound("error", "<", 1e-6, "largest difference of the two from the closed form"),
        ),
        experiment=proximal,
        control="a step below the threshold, 1.9 ρ",
        seeds=1,
        minutes=0.5,
        untested="Operators that are not linear; the constants of the rate.",
    ),
    Claim(
        name="extragradient-comonotone",
        sentence="Extragradient with a long first and a short second step converges as O(1/k) for ρ below 1/(2L), and can fail "
        "beyond for every pair of steps.",
        source=SOURCE,
        methods=("Extragradient",),
        rows=("001-057",),
        bounds=(
            SLOPE,
            FACTOR,
            EQUAL,
            Bound("beyond", ">", 1.0, "what a step multiplies by at ρ = 0.6/L, best of 20 pairs of steps"),
        ),
        experiment=extragradient,
        control="two equal steps",
        seeds=1,
        minutes=0.5,
        untested="Operators that are not linear; the last iterate's smaller range of ρ.",
    ),
    Claim(
        name="optimistic-comonotone",
        sentence="The optimistic gradient method with a long look and a short step converges as O(1/k) for ρ below 1/(2L).",
        source=SOURCE,
        methods=("SingleCall",),
        rows=("001-057",),
        bounds=(SLOPE, FACTOR, EQUAL),
        experiment=optimistic,
        control="two equal steps",
        seeds=1,
        minutes=0.5,
        untested="Operators that are not linear; the counterexample beyond 1/(2L), which a turn is not: OG converges on it.",
    ),
)
