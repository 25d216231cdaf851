"""Laws of step sizes: they know the units of f and x, keep the inequality they promise, and never lose what they learnt."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest import direction as D
from steepest import stepsize as S
from tests.collect import named
from tests.laws.common import few, matrices, positive, streams, tensor, vectors, walk

Loss = Callable[[Tensor], Tensor]


def descend(
    step_size: S.StepSize, loss: Loss, start: Tensor, steps: int = 6, **options: Any
) -> tuple[list[Tensor], Any]:
    """The points of a run, the start first, and the optimizer."""
    x = nn.Parameter(start.clone())
    opt, points = steepest.Optimizer([x], step_size=step_size, lift="eager", **options), [start]
    for _ in range(steps):
        opt.step(lambda: loss(x))
        points.append(x.detach().clone())
    return points, opt


def bowl(seed: int, power: int = 0) -> Loss:
    """A convex loss that is not a quadratic, times a power of two."""
    A, b = matrices(6, 3, seed), matrices(6, 1, seed + 1).reshape(-1)
    return lambda x: (torch.sqrt(1 + (A @ x - b).square()) - 1).sum() * 2.0**power


SEEDS = st.integers(0, 50)
POWERS = st.integers(-20, 20)

# ---- units -------------------------------------------------------------------------------------------------------------

UNITLESS: dict[str, Callable[[int], S.StepSize]] = named("UNITLESS")


@pytest.mark.parametrize("make", UNITLESS.values(), ids=UNITLESS)
@few
@given(seed=SEEDS, power=POWERS)
def test_the_unit_of_the_loss_does_not_matter(make: Callable[[int], S.StepSize], seed: int, power: int) -> None:
    """f → cf: g grows by c, η falls by c, x goes the same way, to the bit for powers of two."""
    start = matrices(3, 1, seed + 2).reshape(-1)
    a, _ = descend(make(0), bowl(seed), start)
    b, _ = descend(make(power), bowl(seed, power), start)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    assert not torch.equal(a[0], a[-1])


@few
@given(seed=SEEDS, power=st.integers(-5, 5))
def test_d_adapted_adam_without_eps_knows_no_unit_of_the_loss(seed: int, power: int) -> None:
    inner, start = D.Adam(eps=0.0, bias_correction=False), matrices(3, 1, seed).reshape(-1)
    a, _ = descend(S.DAdaptAdam(d0=0.01), bowl(seed), start, direction=inner)
    b, _ = descend(S.DAdaptAdam(d0=0.01), bowl(seed, power), start, direction=inner)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("make", [steepest.DAdaptDual, steepest.DAdaptAdaGrad])
@pytest.mark.parametrize("bound", ["inner", "norms"])
@few
@given(seed=SEEDS, power=st.integers(-5, 5))
def test_d_adapted_dual_averaging_knows_no_unit_of_the_loss(make: Any, bound: str, seed: int, power: int) -> None:
    """To the bit for powers of four: the root of a sum of squares is exact for those."""
    start, ends = matrices(3, 1, seed).reshape(-1), []
    for one in (0, 2 * power):
        x, loss = nn.Parameter(start.clone()), bowl(seed, one)
        opt = make([x], d0=0.01, bound=bound, lift="eager")
        for _ in range(6):
            opt.step(lambda x=x, loss=loss: loss(x))
        ends.append(x.detach())
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], start)


LENGTHS: dict[str, Callable[[float, Tensor], S.StepSize]] = named("LENGTHS")


@pytest.mark.parametrize("make", LENGTHS.values(), ids=LENGTHS)
@few
@given(seed=SEEDS, power=st.integers(-6, 6))
def test_the_unit_of_length_does_not_matter(make: Callable[[float, Tensor], S.StepSize], seed: int, power: int) -> None:
    """x → sx: g falls by s, η grows by s², and the path is the same, s times as large."""
    scale, start, loss = 2.0**power, matrices(3, 1, seed + 2).reshape(-1), bowl(seed)
    a, _ = descend(make(1.0, start), loss, start)
    b, _ = descend(make(scale, start), lambda x: loss(x / scale), start * scale)
    assert all(torch.allclose(p * scale, q, rtol=1e-9, atol=1e-9 * scale) for p, q in zip(a, b, strict=True))


# ---- promises ----------------------------------------------------------------------------------------------------------


@few
@given(seed=SEEDS, c=st.sampled_from([0.1, 0.5, 0.9]))
def test_armijo_holds_where_sls_stops_and_not_before(seed: int, c: float) -> None:
    """f(x⁺) ≤ f(x) - cη‖g‖², and the trial before was too long."""
    loss, start = bowl(seed), matrices(3, 1, seed).reshape(-1)
    points, opt = descend(S.SLS(c=c, eta_max=100.0, shrink=0.5, reset="max"), loss, start, steps=1)
    g = torch.func.grad(loss)(start)
    eta = opt.param_groups[0]["eta_prev"]
    assert torch.allclose(points[1], start - eta * g, rtol=1e-14)
    assert loss(points[1]) <= loss(start) - c * eta * g @ g + 1e-14
    if eta < 100:
        assert loss(start - 2 * eta * g) > loss(start) - c * 2 * eta * g @ g


@pytest.mark.parametrize("stored", ["mean", "max"])
@few
@given(seed=SEEDS)
def test_the_reference_of_ponos_bounds_every_loss(stored: Literal["mean", "max"], seed: int) -> None:
    """f(x⁺) < C, and C falls: what a nonmonotone search promises on one batch."""
    loss, x = bowl(seed), nn.Parameter(matrices(3, 1, seed).reshape(-1))
    opt, references = steepest.PoNoS([x], stored=stored), [float("inf")]
    for _ in range(8):
        opt.step(lambda: loss(x))
        references.append(opt.param_groups[0]["C"])
        assert loss(x) <= references[-1]
    assert references == sorted(references, reverse=True)


@few
@given(x=vectors(), c=st.sampled_from([0.5, 1.0]))
def test_polyak_knows_the_way_on_a_ball(x: Tensor, c: float) -> None:
    """f = ‖x‖²/2: gap/‖g‖² is ½, so c = ½ goes to the minimum at once, c = 1 half way."""
    points, _ = descend(S.SPS(c=c), lambda p: p @ p / 2, x, steps=1)
    assert torch.allclose(points[1], x * (1 - 0.5 / c), rtol=1e-15, atol=0)


@pytest.mark.parametrize("make", [S.DAdaptSGD, S.DAdaptAdam])
@few
@given(gs=streams(length=8))
def test_the_distance_never_falls(make: Callable[[], S.StepSize], gs: list[Tensor]) -> None:
    distances = []
    for n in range(1, len(gs) + 1):
        x = nn.Parameter(torch.zeros_like(gs[0]))
        opt = steepest.Optimizer([x], direction=D.Adam(bias_correction=False), step_size=make(), lift="eager")
        for g in gs[:n]:
            opt.step(lambda g=g: (g * x).sum())  # type: ignore[misc]
        distances.append(opt.param_groups[0]["distance"])
    assert distances == sorted(distances)
    assert distances[0] == 1e-6


@pytest.mark.parametrize(("make", "norm"), [(steepest.DAdaptDual, 2), (steepest.DAdaptAdaGrad, math.inf)])
@pytest.mark.parametrize("bound", ["inner", "norms"])
@pytest.mark.parametrize("n", [1, 3])
@few
@given(seed=SEEDS, d0=st.sampled_from([1e-6, 1e-2]))
def test_the_distance_is_a_lower_bound(make: Any, norm: float, bound: str, n: int, seed: int, d0: float) -> None:
    """On a convex loss, as the theorems have it; for the inner product half of it is."""
    A, end = matrices(2 * n, n, seed), matrices(n, 1, seed + 1).reshape(-1)
    x = nn.Parameter(end + 2 * matrices(n, 1, seed + 2).reshape(-1))
    D = float(torch.linalg.vector_norm(x.detach() - end, norm))
    opt, found = make([x], d0=d0, bound=bound, lift="eager"), []
    for _ in range(200):
        opt.step(lambda: (A @ (x - end)).abs().sum())
        found.append(opt.param_groups[0]["distance"] / (2 if bound == "inner" else 1))
    assert found == sorted(found)
    assert found[-1] <= D * (1 + 1e-12)
    assert found[-1] > 3 * d0 or bound == "norms"


@pytest.mark.parametrize("make", [steepest.DAdaptDual, steepest.DAdaptAdaGrad])
@few
@given(gs=streams(length=8))
def test_norms_say_no_more_than_the_inner_product(make: Any, gs: list[Tensor]) -> None:
    """γ‖s‖² - Σγλ²‖g‖² ≤ 2Σλ⟨g, x₀ - x⟩ (section 4), and in the norms of A, along one path: the estimate is held."""
    runs = []
    for bound in ("norms", "inner"):
        x, seen = nn.Parameter(torch.zeros_like(gs[0])), []
        opt = make([x], d0=0.5, bound=bound, lift="eager", oracle=steepest.oracle.Oracle())
        opt.step_size.grow = lambda *_: None
        for g in gs:
            opt.step(lambda g=g, x=x: (g * x).sum())
            s, group = opt.state[x], opt.param_groups[0]
            scaled = s["s"] * group["gain"] if "gain" in group else s["s"] / s["v"].sqrt().clamp(min=1e-300)
            seen.append((float((s["s"] * scaled).sum()), group["numerator"]))
        runs.append(seen)
    for (square, norms), (same, inner) in zip(*runs, strict=True):
        assert square == same
        assert square + norms <= 2 * inner + 1e-12 * square


@few
@given(gs=streams(length=6), reps=st.sampled_from([1e-6, 0.1, 1.0]))
def test_dog_is_a_distance_over_gradients(gs: list[Tensor], reps: float) -> None:
    """η_t = r̄_t/√G_t from what can be seen: the points and the gradients."""
    points = [torch.zeros_like(gs[0]), *walk(steepest.DoG, gs, reps_rel=reps, G0=1.0)]
    far, total = reps, 1.0
    for t, g in enumerate(gs):
        far, total = max(far, float(points[t].norm())), total + float(g @ g)
        assert torch.allclose(points[t + 1], points[t] - far / total**0.5 * g, rtol=1e-12, atol=1e-15)


@few
@given(gs=streams(length=6))
def test_taming_shortens_steps_by_what_theory_asks_and_no_more(gs: list[Tensor]) -> None:
    """Never longer than r̄/(64 θ · 4 ℓ̄), and t = 0 is exactly that; with a bound that holds, η does not know its gradient."""
    theta = math.log(60 * math.log(6 * 50) / 0.1)
    x = nn.Parameter(torch.zeros_like(gs[0]))
    opt = steepest.TDoG([x], reps_rel=0.5, delta=0.1, steps=50, bound=1e4, lift="eager")
    for t, g in enumerate(gs):
        before, memory = x.detach().clone(), opt.param_groups[0]
        opt.step(lambda g=g: (g * x).sum())  # type: ignore[misc]
        longest = memory["rbar"] / (256 * theta * 1e4)
        moved = float((x.detach() - before).norm())
        assert moved <= longest * float(g.norm()) * (1 + 1e-12)
        if t == 0:
            assert moved == pytest.approx(longest * float(g.norm()), rel=1e-12)


@pytest.mark.parametrize("make", [S.SPS, S.SLS, S.PoNoS, S.SANIA, S.DoG, S.TDoG, S.AdaGradNorm, S.DAdaptSGD])
@few
@given(seed=SEEDS, lr=positive)
def test_lr_multiplies(make: Callable[[], S.StepSize], seed: int, lr: float) -> None:
    """One step is lr times as long; a search may shorten it further, along the same line."""
    loss, start = bowl(seed), matrices(3, 1, seed).reshape(-1)
    whole = descend(make(), loss, start, steps=1)[0][1] - start
    part = descend(make(), loss, start, steps=1, lr=lr)[0][1] - start
    if isinstance(make(), S.LineSearch):
        ratio = float(part.norm() / whole.norm())
        assert torch.allclose(part, whole * ratio, rtol=1e-10, atol=1e-12)
        assert loss(start + part) < loss(start)
    else:
        assert torch.allclose(part, whole * lr, rtol=1e-12, atol=1e-14)


# ---- company -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [D.AdaBelief, D.Adopt, D.Lion, D.Momentum, D.Direction, D.NAdam])
def test_weighing_step_sizes_want_a_direction_that_weighs(make: Callable[[], D.Direction]) -> None:
    """D-Adaptation for Adam enters the first moment; a direction that does not let it in would take whole steps."""
    with pytest.raises(ValueError, match="DAdaptAdam"):
        steepest.Optimizer([nn.Parameter(torch.ones(2))], direction=make(), step_size=S.DAdaptAdam())


def test_directions_see_the_memory_of_this_step() -> None:
    """γ is 1/√(9 + 16) in the step where (3) and (4) have gradients, for the one that comes late as well."""
    x, y = (nn.Parameter(torch.tensor([1.0], dtype=torch.float64)) for _ in range(2))
    opt = steepest.DAdaptDual([x, y], d0=0.5, bound="norms")
    opt.step(lambda: 0.0 * x.sum())
    x.grad, y.grad = torch.full_like(x, 3.0), torch.full_like(y, 4.0)
    opt.step()
    assert (x.item(), y.item()) == pytest.approx((1 - 0.5 * 3 / 5, 1 - 0.5 * 4 / 5), rel=1e-15)
    assert [opt.state[p]["step"] for p in (x, y)] == [2, 1]


@pytest.mark.parametrize("make", [lambda: D.Adam(bias_correction=False), lambda: D.AMSGrad(bias_correction=False),
                                  lambda: D.Cautious(D.Adam(bias_correction=False))])  # fmt: skip
@few
@given(gs=streams(length=3))
def test_weighed_directions_move_by_the_distance(make: Callable[[], D.Direction], gs: list[Tensor]) -> None:
    """In units of d₀: doubling it doubles the first moves, which are of its size."""
    one, two = (walk(steepest.Optimizer, gs, direction=make(), step_size=S.DAdaptAdam(d0=d0)) for d0 in (1e-6, 2e-6))
    assert all(torch.allclose(2 * p, q, rtol=1e-12, atol=0) for p, q in zip(one, two, strict=True))
    assert one[-1].abs().max() < 1e-3


@pytest.mark.parametrize("make", [S.SPS, S.SLS, S.PoNoS, S.DoG, S.TDoG, S.AdaGradNorm, S.DAdaptSGD])
@pytest.mark.parametrize("inner", [D.Adam, D.AdaBelief, D.Lion, D.Momentum, lambda: D.Mars(D.Adam())])
def test_step_sizes_go_with_every_direction(make: Callable[[], S.StepSize], inner: Callable[[], D.Direction]) -> None:
    """They can be put together and move; Armijo's search never lets the loss rise, whatever it searches along."""
    loss, start = bowl(0), matrices(3, 1, 0).reshape(-1)
    points, _ = descend(make(), loss, start, steps=20, direction=inner())
    assert all(torch.isfinite(p).all() for p in points)
    assert not torch.equal(points[-1], start)
    if isinstance(make(), S.SLS):
        losses = [float(loss(p)) for p in points]
        assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("name", ["DAdaptAdaGrad", "DAdaptAdam", "DAdaptDual", "DAdaptSGD"])
def test_the_estimate_grows_no_faster_than_allowed(name: str) -> None:
    """Free, the estimate jumps by more than a fifth somewhere; with growth_rate=1.2 it never does, and still grows."""

    def factors(**more: float) -> list[float]:
        x = nn.Parameter(tensor([3.0, -2.0]))
        opt, seen = getattr(steepest, name)([x], d0=1e-3, **more), []
        for _ in range(40):
            opt.step(lambda: (x - 1).abs().sum())
            seen.append(opt.param_groups[0]["distance"])
        return [b / a for a, b in itertools.pairwise(seen)]

    assert max(factors()) > 1.5
    held = factors(growth_rate=1.2)
    assert max(held) == pytest.approx(1.2, rel=1e-12)


def test_momentum_of_d_adaptation_averages_the_points_of_plain_steps() -> None:
    """On a slope, where gradients do not depend on the point: x is the average of z with weights (1 - β) βᵏ."""
    xs: list[Tensor] = []
    zs: list[Tensor] = []
    for beta, kept in ((0.7, xs), (0.0, zs)):
        x = nn.Parameter(tensor([3.0, -2.0]))
        opt = steepest.DAdaptSGD([x], d0=1e-2, momentum=beta)
        kept.append(x.detach().clone())
        for _ in range(12):
            opt.step(lambda: (x * tensor([1.0, 2.0])).sum() + 20)
            kept.append(x.detach().clone())
    want: Tensor = zs[0]
    for got, z in zip(xs[1:], zs[1:], strict=True):
        want = 0.7 * want + 0.3 * z
        assert torch.allclose(got, want, rtol=1e-12)
