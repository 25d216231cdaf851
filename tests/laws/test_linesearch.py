"""Laws of line searches: what a search may not do to itself, to the weights and to its memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest import direction as D
from steepest import stepsize as S
from tests.laws.common import directions, few, matrices, streams, vectors

SEARCHES: dict[str, Callable[[], S.LineSearch]] = {
    "PoNoS": S.PoNoS,
    "PoNoS, long steps": lambda: S.PoNoS(delta=0.9),
    "SLS": S.SLS,
    "SLS, halving": lambda: S.SLS(shrink=0.5),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES)
def test_a_step_that_rounds_away_teaches_nothing(make: Callable[[], S.LineSearch], dtype: torch.dtype) -> None:
    """One loss that is higher everywhere but at x: no step is right, and the next ones are as long as ever."""

    def run(trapped: bool) -> tuple[list[float], Tensor]:
        x = nn.Parameter(torch.tensor([1.0, -2.0], dtype=dtype))
        opt = steepest.Optimizer([x], step_size=make(), lift="eager")
        lengths = []
        for t in range(6):
            start = x.detach().clone()

            def closure(t: int = t, start: Tensor = start) -> Tensor:
                left = bool((x != start).any())
                return torch.sqrt(1 + x * x).sum() + 50 + 100.0 * (trapped and t == 2 and left)

            opt.step(closure)
            lengths.append(float((x.detach() - start).norm() / start.norm()))
        return lengths, x.detach()

    (trapped, _), (free, _) = run(True), run(False)
    assert trapped[2] == 0.0
    assert min(trapped[:2] + trapped[3:]) > 0.01 * min(free)


@pytest.mark.parametrize("growth", [1, 500])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_does_not_shorten_the_steps_that_are_remembered(dtype: torch.dtype, growth: int) -> None:
    """At the minimum every loss is the same to rounding; a step that was good on the way there still is."""
    x = nn.Parameter(torch.linspace(1, 2, 20, dtype=dtype))
    curvature = torch.logspace(0, -1, 20, dtype=dtype)
    opt = steepest.Optimizer([x], step_size=S.SLS(shrink=0.5, batches_per_epoch=growth))
    remembered = []
    for _ in range(400):
        opt.step(lambda: 5 + (curvature * x * x).sum() / 2)
        remembered.append(opt.param_groups[0]["eta_prev"])
    assert float(x.detach().norm()) < 1e-3
    assert min(remembered) > 0.4


@pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES)
def test_the_number_of_backtracks_is_told(make: Callable[[], S.LineSearch]) -> None:
    """One forward for the loss, one for the step that is accepted, and one for each that was not."""
    x = nn.Parameter(torch.tensor([3.0, -1.0, 2.0]))
    opt, told = steepest.Optimizer([x], step_size=make(), lift="eager"), 0.0
    scales = torch.tensor([[9.0, 1.0, 0.1], [0.3, 5.0, 2.0]])
    for t in range(12):
        opt.step(lambda t=t: (scales[t % 2] * x * x).sum())  # type: ignore[misc]
        told += opt.param_groups[0]["shortened"]
    assert told > 0
    assert opt.counters.forwards == 2 * 12 + told


@few
@given(seed=st.integers(0, 50), c=st.sampled_from([0.1, 0.5, 0.9]), phi=st.sampled_from([1.0, 0.5, 0.125]))
def test_ponos_backtracks_once_a_step_at_most_on_the_long_run(seed: int, c: float, phi: float) -> None:
    """l̄ ← max(l̄ + l - φ, 0): the sum of all l is φ times the number of steps, plus l̄, less what l̄ ≥ 0 cut off."""
    a = matrices(8, 5, seed)
    x, backtracks, idle = nn.Parameter(torch.ones(5, dtype=torch.float64)), 0.0, 0.0
    opt = steepest.Optimizer([x], step_size=S.PoNoS(c=c, forget=phi), lift="eager")
    for t in range(30):
        before = opt.param_groups[0]["backtracks"]
        opt.step(lambda t=t: (a[t % 8] @ x).square() + 0.1)  # type: ignore[misc]
        backtracks += opt.param_groups[0]["shortened"]
        idle += max(phi - before - opt.param_groups[0]["shortened"], 0)
    assert backtracks == 30 * phi - idle + opt.param_groups[0]["backtracks"]
    assert backtracks <= 30 * phi + opt.param_groups[0]["backtracks"]


@pytest.mark.parametrize("make", [*SEARCHES.values(), lambda: S.SPS(growth=1.1)], ids=[*SEARCHES, "SPS, growing"])
def test_a_run_goes_on_inside_the_memory_of_a_search(make: Callable[[], S.StepSize]) -> None:
    """Saved where the memory matters (without it the path is another), the run goes on to the bit."""
    a = matrices(8, 5, 3)

    def walk(x: Tensor, opt: steepest.Optimizer, steps: range) -> list[Tensor]:
        path = []
        for t in steps:
            opt.step(lambda t=t: ((a[t % 8] @ x) * (1 + t % 3)).square() + 0.1)  # type: ignore[misc]
            path.append(x.detach().clone())
        return path

    x = nn.Parameter(torch.ones(5, dtype=torch.float64))
    opt = steepest.Optimizer([x], step_size=make(), lift="eager")
    begun = walk(x, opt, range(7))
    saved = copy.deepcopy(opt.state_dict())
    rest = walk(x, opt, range(7, 14))
    for forgets in (False, True):
        twin = nn.Parameter(begun[-1].clone())
        other = steepest.Optimizer([twin], step_size=make(), lift="eager")
        other.load_state_dict(saved)
        if forgets:
            other.param_groups[0].update(other.step_size.memory)
        again = walk(twin, other, range(7, 14))
        assert all(map(torch.equal, again, rest)) is not forgets


ALONG: dict[str, Callable[[], D.Direction]] = {
    "Adam": D.Adam,
    "Adam without momentum": lambda: D.Adam(beta1=0.0),
    "momentum": D.Momentum,
    "NAdam": D.NAdam,
    "Adam-SQR": D.AdamSQR,
}


@pytest.mark.parametrize("make", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize("along", ALONG.values(), ids=ALONG)
def test_the_slope_is_that_of_the_move(make: Callable[[], S.LineSearch], along: Callable[[], D.Direction]) -> None:
    """f(x⁺) ≤ max(C, f(x)) - c⟨g, x - x⁺⟩ with this mini-batch's g, whatever the direction; uphill nothing moves."""
    a = matrices(8, 5, 1)
    x = nn.Parameter(matrices(5, 1, 2).reshape(-1))
    opt = steepest.Optimizer([x], step_size=make(), direction=along(), lift="eager")
    moved = 0
    for t in range(40):

        def loss(p: Tensor, t: int = t) -> Tensor:
            return torch.sqrt(1 + (a[t % 8] @ p).square()) - 0.9

        start, group = x.detach().clone(), opt.param_groups[0]
        g = torch.func.grad(loss)(start)
        here = float(opt.step(lambda: loss(x)))
        reference = max(here, group.get("C", here))
        step = start - x.detach()
        moved += bool(step.any())
        assert float(loss(x.detach())) <= reference - group["c"] * float(g @ step) + 1e-12
        assert float(g @ step) >= 0
    assert moved > 15


@pytest.mark.parametrize("make", [S.PoNoS, S.SPS, S.SANIA], ids=["PoNoS", "SPS", "SANIA"])
@pytest.mark.parametrize("value", [0.0, -3.0])
def test_no_gap_no_step(make: Callable[..., S.StepSize], value: float) -> None:
    """A loss at or below f* leaves the weights; the next one above it moves them; a lower f* moves them at once."""
    for f_star, moves in ((0.0, False), (value - 1.0, True)):
        x = nn.Parameter(torch.tensor([1.0, -1.0]))
        opt = steepest.Optimizer([x], step_size=make(f_star=f_star), lift="eager")
        opt.step(lambda: (x * x).sum() - 2.0 + value)
        assert torch.equal(x.detach(), torch.tensor([1.0, -1.0])) is not moves
        before = x.detach().clone()
        opt.step(lambda: (x * x).sum() + 1.0)
        assert not torch.equal(x.detach(), before)


# ---- SANIA -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [steepest.AdaGradSQR, steepest.AdamSQR])
@few
@given(seed=st.integers(0, 50), powers=st.lists(st.integers(-20, 20), min_size=4, max_size=4))
def test_the_units_of_x_do_not_matter(make: Callable[..., steepest.Optimizer], seed: int, powers: list[int]) -> None:
    """x = V x̃ with V diagonal: the same losses and the same path, to the bit for powers of two."""
    a, v = matrices(6, 4, seed), 2.0 ** torch.tensor(powers, dtype=torch.float64)

    def path(v: Tensor) -> tuple[list[float], Tensor]:
        x = nn.Parameter(torch.zeros(4, dtype=torch.float64))
        opt = make([x], lift="eager")
        losses = [float(opt.step(lambda t=t: torch.log1p(torch.exp(a[t % 6] @ (v * x))))) for t in range(12)]  # type: ignore[misc]
        return losses, v * x.detach()

    (plain, x), (scaled, z) = path(torch.ones(4, dtype=torch.float64)), path(v)
    assert plain == scaled
    assert torch.equal(x, z)
    assert plain[-1] != plain[0]


@few
@given(x=vectors(), c=st.sampled_from([0.25, 1.0]))
def test_sania_ends_where_its_model_says(x: Tensor, c: float) -> None:
    """f = c‖x‖²/2, so ν = 1/c.  The model is right for c = 1: to the minimum at once; too flat for c = ¼, where it
    never falls to f*: to its minimum, x - cx.
    """
    points = [x.clone()]
    p = nn.Parameter(x.clone())
    steepest.Optimizer([p], step_size=S.SANIA()).step(lambda: c * (p @ p) / 2)
    points.append(p.detach())
    assert torch.allclose(points[1], x * (1 - c), rtol=1e-14, atol=1e-14)


@few
@given(gap=st.floats(1e-12, 10), slope=st.floats(1e-6, 10))
def test_sania_lies_between_half_of_polyak_and_one(gap: float, slope: float) -> None:
    """ν/2 ≤ η ≤ min(ν, 1), also where 1 - √(1 - ν) would cancel; its model is f* at the end."""
    eta, nu = S.SANIA().eta({"gd": slope}, {}, SimpleNamespace(f_star=0.0), gap), 2 * gap / slope
    assert min(nu, 1.0) / 2 <= eta <= min(nu, 1.0)
    if nu <= 1:
        assert gap - eta * slope + eta**2 * slope / 2 == pytest.approx(0.0, abs=1e-12 * gap)


@few
@given(gs=streams(), beta=st.sampled_from([0.5, 0.9]))
def test_squares_under_the_root_are_adam(gs: list[Tensor], beta: float) -> None:
    """Adam-SQR with the root is Adam without momentum and ε; AdaGrad-SQR's first direction is 1/g."""
    a = directions(D.AdamSQR(decay=beta, root=True), gs)
    b = directions(D.Adam(beta1=0.0, beta2=beta, eps=1e-300), gs)
    assert all(torch.allclose(p, q, rtol=1e-12, atol=0) for p, q in zip(a, b, strict=True))
    first = directions(D.AdaGradSQR(), gs)[0]
    assert torch.allclose(first * gs[0], (gs[0] != 0).double(), rtol=1e-15)
