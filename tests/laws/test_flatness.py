"""Laws of sharpness-aware points: what they collapse to, how far and whither they lean, what rescaling does to them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

import steepest
from steepest import direction as D
from steepest import oracle, point
from tests.collect import named
from tests.laws.common import few, numbers, over_sgd, positive, streams, tensor, vectors
from tests.laws.test_point import equal, train

Make = Callable[..., Any]


def asked(where: point.Point, gradients: list[Tensor], x: Tensor, lr: float = 0.0) -> list[Tensor]:
    """How far from x each step asks for its second gradient, when these are the first ones."""
    p, found = nn.Parameter(x.clone()), []
    opt = steepest.Optimizer([p], lr=lr, point=where)
    for g in gradients:
        here: list[Tensor] = []

        def closure(g: Tensor = g, here: list[Tensor] = here) -> Tensor:
            here.append(p.detach().clone())
            return (g * p).sum()

        opt.step(closure)
        found.append(here[-1] - here[0])
    return found


def test_adaptive_with_a_huge_offset_is_sam() -> None:
    """T = |x| + η is η, and the radius is in units of it."""
    far = train(over_sgd(point.ASAM(rho=0.3e-9, offset=1e9)))[0]
    near = train(over_sgd(point.SAM(rho=0.3)))[0]
    assert all(torch.allclose(a, b, rtol=1e-8, atol=1e-8) for a, b in zip(far, near, strict=True))


@few
@given(g=vectors(n=3), x=vectors(n=3), rho=positive, offset=positive)
def test_adaptive_leans_to_the_edge_of_its_ellipsoid(g: Tensor, x: Tensor, rho: float, offset: float) -> None:
    """‖e / T‖ = ρ, and e / T is parallel to T g: the best that can be done there."""
    assume(bool(g.any()))
    (e,) = asked(point.ASAM(rho=rho, offset=offset), [g], x)
    T = x.abs() + offset
    assert float((e / T).norm()) == pytest.approx(rho, rel=1e-12)
    assert float((e / T) @ (T * g)) == pytest.approx(rho * float((T * g).norm()), rel=1e-12)


@few
@given(g=vectors(n=3), x=vectors(n=3, elements=positive), scale=vectors(n=3, elements=positive))
def test_rescaling_weights_changes_nothing_for_adaptive(g: Tensor, x: Tensor, scale: Tensor) -> None:
    """With η = 0: f(x) = h(a x) is asked at the same relative distance, whatever a is.  SAM is not."""
    assume(bool(g.any()))
    (e,) = asked(point.ASAM(rho=0.5, offset=0.0), [g], x)
    (scaled,) = asked(point.ASAM(rho=0.5, offset=0.0), [g / scale], x * scale)
    assert torch.allclose(scaled, e * scale, rtol=1e-12, atol=1e-13)
    if len({*(scale * g.abs()).tolist()}) == 3:
        assert not torch.allclose(asked(point.SAM(rho=0.5), [g / scale], x * scale)[0],
                                  asked(point.SAM(rho=0.5), [g], x)[0] * scale, rtol=1e-3)  # fmt: skip


@few
@given(gs=streams(length=5, elements=numbers), rho=positive, theta=st.sampled_from([0.1, 0.4, 1.0]))
def test_variance_suppression_leans_along_the_average(gs: list[Tensor], rho: float, theta: float) -> None:
    """At distance ρ along Σ (1 - θ)^(t - k) θ g_k, where the first gradient has all the weight of its past."""
    found = asked(point.VaSSO(rho=rho, theta=theta), gs, torch.zeros_like(gs[0]))
    for t, e in enumerate(found):
        weights = [(1 - theta) ** (t - k) * (theta if k else 1.0) for k in range(t + 1)]
        d = torch.stack([w * g for w, g in zip(weights, gs, strict=False)]).sum(0)
        if float(d.norm()) > 1e-9:
            assert torch.allclose(e, rho * d / d.norm(), rtol=1e-10, atol=1e-10 * rho)


def test_variance_suppression_by_hand() -> None:
    """θ = 1/2, ρ = 5, gradients (3, 4) and (3, -4): d = (3, 4), then (3, 0)."""
    first, second = asked(point.VaSSO(rho=5.0, theta=0.5), [tensor([3, 4]), tensor([3, -4])], tensor([0, 0]))
    assert torch.allclose(first, tensor([3, 4]))
    assert torch.allclose(second, tensor([5, 0]))


def test_adaptive_by_hand() -> None:
    """x = (3, 0), g = (2, 8), η = 1: T = (4, 1), T g = (8, 8), T²g = (32, 8), ρ = √2: e = (4, 1)."""
    (e,) = asked(point.ASAM(rho=math.sqrt(2), offset=1.0), [tensor([2, 8])], tensor([3, 0]))
    assert torch.allclose(e, tensor([4, 1]))


POINTS: dict[str, Callable[..., point.Point]] = named("POINTS")
each = pytest.mark.parametrize("make", POINTS.values(), ids=POINTS)


@each
def test_each_group_has_its_radius(make: Callable[..., point.Point]) -> None:
    """One norm over all groups, a radius for each: halving it halves the step aside of its group and of no other."""
    found = []
    for rho in (0.2, 0.1, 0.0):
        a, b = nn.Parameter(tensor([1.0, -2.0])), nn.Parameter(tensor([0.5]))
        opt = steepest.Optimizer([{"params": [a]}, {"params": [b], "rho": rho}], lr=0.1, point=make(rho=0.2))
        seen: list[Tensor] = []

        def closure(a: Tensor = a, b: Tensor = b, seen: list[Tensor] = seen) -> Tensor:
            seen.append(torch.cat([a, b]).detach().clone())
            return (a * a).sum() + 3.0 * (b * b).sum()

        opt.step(closure)
        found.append(seen[1] - seen[0])
    whole, half, none = found
    assert torch.equal(whole[:2], half[:2])
    assert torch.equal(whole[:2], none[:2])
    assert torch.allclose(half[2:], whole[2:] / 2, rtol=1e-12)
    assert not none[2:].any()


@each
def test_a_radius_that_comes_later_finds_its_memory(make: Callable[..., point.Point]) -> None:
    """While ρ = 0 nobody asks twice, yet what must be remembered is."""
    p = nn.Parameter(tensor([1.0, -2.0]))
    opt = steepest.Optimizer([p], lr=0.1, point=make(rho=0.0))
    for _ in range(3):
        opt.step(lambda: (p * p).sum())
    assert opt.counters.backwards == 3
    if "slope" in opt.state[p]:
        assert bool(opt.state[p]["slope"].any())
    opt.param_groups[0]["rho"] = 0.1
    opt.step(lambda: (p * p).sum())
    assert opt.counters.backwards == 5


@each
@pytest.mark.parametrize("fault", ["raises", "skips"])
def test_a_step_that_is_not_done_is_not_remembered(make: Callable[..., point.Point], fault: str) -> None:
    """At the very first step and later: neither weights nor memory know of it."""
    p, calls = nn.Parameter(tensor([1.0, -2.0])), 0
    opt = steepest.Optimizer([p], lr=0.1, point=make(rho=0.1), nonfinite="skip")

    def bad() -> Tensor:
        nonlocal calls
        calls += 1
        if calls % 2 == 0 and fault == "raises":
            raise KeyError("out of data")
        return (p * p).sum() * (math.nan if calls % 2 == 0 else 1.0)

    for step in range(3):
        x, kept = p.detach().clone(), {k: v.clone() for k, v in opt.state.get(p, {}).items() if k != "step"}
        if fault == "raises":
            with pytest.raises(KeyError):
                opt.step(bad)
        elif step == 0:
            with pytest.warns(UserWarning, match="NaN or infinite"):
                opt.step(bad)
        else:
            opt.step(bad)
        assert torch.equal(p.detach(), x)
        assert all(torch.equal(opt.state[p][k], v) for k, v in kept.items())
        opt.step(lambda: (p * p).sum())


@pytest.mark.parametrize("make", [*POINTS.values(), point.GradientPenalty, point.GAM], ids=[*POINTS, "penalty", "GAM"])
def test_the_memory_of_a_gradient_may_be_used_again(make: Callable[..., point.Point]) -> None:
    """As DDP does with its buckets: the second question overwrites what the first one was told."""
    ends = []
    for again in (False, True):
        p, room = nn.Parameter(tensor([1.0, -2.0, 0.5])), torch.zeros(3, dtype=torch.float64)
        opt = steepest.Optimizer([p], lr=0.1, point=make())

        def closure(p: Tensor = p, room: Tensor = room, again: bool = again) -> Tensor:
            opt.zero_grad()
            (g,) = torch.autograd.grad(loss := (p**4).sum() / 4 + (p * p).sum(), [p])
            p.grad = room.copy_(g) if again else g
            return loss

        for _ in range(4):
            opt.step(closure)
        ends.append([p.detach(), *(v for k, v in opt.state[p].items() if k != "step")])
    assert equal(*ends)


@pytest.mark.parametrize("make", [*POINTS.values(), point.GradientPenalty], ids=[*POINTS, "penalty"])
def test_frozen_weights_stay_when_gradients_are_estimated(make: Callable[..., point.Point]) -> None:
    """An estimate is there for every parameter; those that do not learn are not moved for a question either."""
    a, b, seen = nn.Parameter(tensor([1.0, 2.0])), nn.Parameter(tensor([3.0]), requires_grad=False), []
    opt = steepest.Optimizer([a, b], lr=0.01, point=make(), oracle=oracle.TwoPoint())

    def closure() -> Tensor:
        seen.append(float(b))
        return (a * a).sum() * b.square().sum()

    for _ in range(3):
        opt.step(closure)
    assert set(seen) == {3.0}
    assert len(seen) == 12


@pytest.mark.parametrize("codec", ["float32", "bfloat16", "int8"])
def test_memory_is_stored_as_asked(codec: Any) -> None:
    """The average of a long run is the gradient's mean in every codec, up to its rounding; a map reads it back."""
    g = torch.randn(700, generator=torch.Generator().manual_seed(0))
    p = nn.Parameter(torch.zeros(700))
    opt = steepest.Optimizer([p], direction=D.Lion(), lr=0.0, point=point.VaSSO(rho=1.0, theta=0.1), codec=codec)
    seen: list[Tensor] = []

    for t in range(200):

        def closure(t: int = t) -> Tensor:
            seen.append(p.detach().clone())
            return ((g + (-1) ** t) * p).sum()

        opt.step(closure)
    error = (seen[-1] / seen[-1].norm() - g / g.norm()).norm()
    assert float(error) < {"float32": 0.08, "bfloat16": 0.09, "int8": 0.15}[codec]


# ---- the noise, the mask ---------------------------------------------------------------------------------------------


def test_equal_noise_is_no_preconditioner() -> None:
    """Where ε outweighs every variance, C is a number, and InfoSAM is SAM."""
    blunt = train(over_sgd(point.InfoSAM(rho=0.3, floor=1e12)))[0]
    assert all(
        torch.allclose(a, b, rtol=1e-9) for a, b in zip(blunt, train(over_sgd(point.SAM(rho=0.3)))[0], strict=True)
    )


def test_noise_by_hand() -> None:
    """α = 1/2, g = (1, 1), then (2, 5): m = (1.5, 3), σ² = (1/4, 4), C g = (8, 5/4)."""
    first, second = asked(
        point.InfoSAM(rho=1.0, alpha=0.5, floor=1e-12), [tensor([1, 1]), tensor([2, 5])], tensor([0, 0])
    )
    assert torch.allclose(first, tensor([1, 1]) / math.sqrt(2))
    assert torch.allclose(second, tensor([8, 1.25]) / math.hypot(8, 1.25))


def test_a_gradient_that_stays_zero_is_no_accident() -> None:
    """A unit that is dead for two steps must not poison the others."""
    found = asked(point.InfoSAM(rho=1.0), [tensor([0, 1]), tensor([0, 2]), tensor([0, 3])], tensor([0, 0]))
    assert all(torch.equal(e, tensor([0, 1])) for e in found)


@few
@given(data=st.data(), n=st.integers(2, 40), sparsity=st.sampled_from([0.0, 0.1, 0.5, 0.75, 0.9]))
def test_the_mask_keeps_the_largest(data: st.DataObject, n: int, sparsity: float) -> None:
    """n - round(s n) of them, when no two are equal; each is perturbed as SAM would."""
    g = tensor(data.draw(st.permutations(range(1, n + 1)))) * 2.0 ** data.draw(st.integers(-60, 60))
    x = torch.zeros_like(g)
    (e,), (sam,) = asked(point.FSAM(rho=1.0, sparsity=sparsity), [g], x), asked(point.SAM(rho=1.0), [g], x)
    keep = n - round(n * sparsity)
    assert int((e != 0).sum()) == keep
    assert torch.equal(e[g.argsort(descending=True)[:keep]], sam[g.argsort(descending=True)[:keep]])


def test_the_mask_stays_until_its_time() -> None:
    """T = 2: made at steps 1 and 3; a gradient of zero makes none."""
    a, b = tensor([1, 2]), tensor([2, 1])
    found = asked(point.FSAM(rho=1.0, sparsity=0.5, every=2), [a, b, b, a], tensor([0, 0]))
    assert [e.nonzero().flatten().tolist() for e in found] == [[1], [1], [0], [0]]
    whole = asked(point.FSAM(rho=1.0, sparsity=0.0, every=2), [tensor([0, 1]), b], tensor([0, 0]))
    assert [e.nonzero().flatten().tolist() for e in whole] == [[1], [0, 1]]  # no mask, though one gradient was zero
    late = asked(point.FSAM(rho=1.0, sparsity=0.5, every=2), [0 * a, b, b], tensor([0, 0]))
    assert [e.nonzero().flatten().tolist() for e in late] == [[], [0, 1], [0]]


def test_masks_are_made_among_equals() -> None:
    """A group with sparsity 0 is perturbed whole, however small its gradients; the other keeps its own half."""
    p, q = nn.Parameter(tensor([0, 0])), nn.Parameter(tensor([0, 0]))
    opt = steepest.Optimizer([{"params": [p]}, {"params": [q], "sparsity": 0.0}], lr=0.0,
                             point=point.FSAM(rho=1.0, sparsity=0.5))  # fmt: skip
    seen: list[Tensor] = []

    def closure() -> Tensor:
        seen.append(torch.cat([p, q]).detach().clone())
        return 100 * (p * tensor([1, 2])).sum() + (q * tensor([1, 2])).sum()

    opt.step(closure)
    assert (seen[1] != 0).tolist() == [False, True, True, True]


# ---- penalties on the gradient ---------------------------------------------------------------------------------------


def curved(p: Tensor) -> Tensor:
    """A loss with curvature that changes."""
    return (torch.tanh(p).square() * tensor([1, 2, 3])).sum() + (p[0] * p[1] * p[2]).exp() / 4


def descended(where: point.Point, x: Tensor, f: Callable[[Tensor], Tensor] = curved) -> Tensor:
    """What is descended at x: one step of plain descent with a learning rate of 1."""
    p = nn.Parameter(x.clone())
    steepest.Optimizer([p], lr=1.0, point=where).step(lambda: f(p))
    return x - p.detach()


def gradient(x: Tensor, f: Callable[[Tensor], Tensor] = curved) -> Tensor:
    p = x.clone().requires_grad_()
    return torch.autograd.grad(f(p), p)[0]


def penalised(x: Tensor, gamma: float) -> Tensor:
    """The gradient of L + γ‖∇L‖²/2, by backpropagating twice."""
    p = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(curved(p), p, create_graph=True)
    return torch.autograd.grad(curved(p) + gamma * g.square().sum() / 2, p)[0]


X = tensor([0.3, -0.7, 0.5])


@pytest.mark.parametrize(("side", "order"), [("forward", 1), ("backward", 1), ("centred", 2)])
def test_differences_go_to_backpropagating_twice(side: Literal["forward", "backward", "centred"], order: int) -> None:
    """With an error of ε, or ε² if they are centred."""
    errors = [float((descended(point.GradientPenalty(strength=0.5, ascent=e, side=side), X) - penalised(X, 0.5)).norm())
              for e in (1e-2, 1e-3)]  # fmt: skip
    assert errors[0] / errors[1] == pytest.approx(10**order, rel=0.05)


@pytest.mark.parametrize("eps", [0.01, 0.3])
def test_equal_strengths_are_sam_without_normalisation(eps: float) -> None:
    """γ = ε: the gradient at x + εg, nothing else."""
    expected = gradient(X + eps * gradient(X))
    assert torch.allclose(descended(point.GradientPenalty(strength=eps, ascent=eps), X), expected, rtol=1e-13)


@pytest.mark.parametrize("eta", [0.01, 0.1, 0.5])
def test_flooding_is_the_penalty_alone(eta: float) -> None:
    """Descending |L - b| + b: a step up from below the level and a step down from above it are -η²Δ with ε = η."""
    p, level = nn.Parameter(X.clone()), float(curved(X)) + 1e-9
    opt = steepest.Optimizer([p], lr=eta)
    for _ in range(2):
        opt.step(lambda: steepest.nn.flood(curved(p), level))
    Delta = (descended(point.GradientPenalty(strength=1.0, ascent=eta), X) - gradient(X)) / 1.0
    assert torch.allclose(p.detach() - X, -(eta**2) * Delta, rtol=1e-9, atol=1e-15)
    assert float(Delta.norm()) > 0.1


def test_gradient_norm_without_radii_is_descent() -> None:
    """ρ = ρ' = 0: all four gradients are one, and nothing of m is across n."""
    assert torch.allclose(descended(point.GAM(rho=0.0, ascent=0.0), X), gradient(X), rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-3, 7.0])
def test_gradient_norm_knows_its_units(scale: float) -> None:
    """Multiplying the loss multiplies what is descended: all directions are normalised."""
    scaled = descended(point.GAM(tilt=0.3), X, lambda p: scale * curved(p))
    assert torch.allclose(scaled, scale * descended(point.GAM(tilt=0.3), X), rtol=1e-9)


def test_gradient_norm_by_hand() -> None:
    """½(x² + 4y²) at (1, 0), ρ' = 1, ρ = 2: g₁ = (2, 0); z = (3, 0), g₂ = (3, 0), g₃ = (4, 0); n = m's direction."""

    def bowl(p: Tensor) -> Tensor:
        return (p.square() * tensor([1, 4])).sum() / 2

    found = descended(point.GAM(rho=2.0, ascent=1.0, alpha=0.25, tilt=0.5), tensor([1, 0]), bowl)
    assert torch.allclose(found, tensor([0.25 * 2 + 0.75 * 4, 0]))


@pytest.mark.parametrize("make", [lambda: point.GradientPenalty(strength=0.4, ascent=0.2), lambda: point.GAM(ascent=0.1)],
                         ids=["penalty", "GAM"])  # fmt: skip
def test_maximizing_is_minimizing_the_negative(make: Callable[[], point.Point]) -> None:
    """What is climbed is the loss that the group cares for."""
    up, down = nn.Parameter(X.clone()), nn.Parameter(X.clone())
    a = steepest.Optimizer([up], lr=0.1, point=make(), maximize=True)
    b = steepest.Optimizer([down], lr=0.1, point=make())
    for _ in range(3):
        a.step(lambda: curved(up))
        b.step(lambda: -curved(down))
    assert torch.equal(up, down)
