"""Laws of geometries: no step is no move, projections are nearest points, and prox points carry their certificate."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import steepest
from steepest import geometry as G
from tests.collect import named
from tests.laws.common import few, numbers, positive, tensor, vectors, walk

RULES: dict[str, G.Geometry] = {"Euclid": G.Geometry(), **named("GEOMETRIES")}
SETS = {name: RULES[name] for name in ("box", "half line", "simplex")}
every_set = pytest.mark.parametrize("rule", SETS.values(), ids=SETS)


def move(rule: G.Geometry, x: Tensor, u: Tensor | None = None, eta: float = 1.0, **numbers: float) -> Tensor:
    """R_x(-u), the map itself; in a stack of one where it takes stacks."""
    h = SimpleNamespace(**{**rule.values, **numbers})
    u = torch.zeros_like(x) if u is None else u
    return rule(x[None], u[None], tensor(eta), h)[0] if rule.batched else rule(x, u, tensor(eta), h)


def inside(rule: G.Geometry, y: Tensor) -> bool:
    if isinstance(rule, G.Simplex):
        return bool((y >= 0).all() and torch.allclose(y.sum(-1), tensor(1.0), atol=1e-12))
    return bool((y >= rule.values["lower"]).all() and (y <= rule.values["upper"]).all())


@few
@given(x=vectors(elements=numbers))
def test_no_step_is_no_move(x: Tensor) -> None:
    """R_x(0) = x: everywhere, inside the box, on the simplex; and without decay or penalty."""
    assert torch.equal(move(RULES["Euclid"], x), x)
    assert torch.equal(move(G.Box(-8.0, 8.0), x), x)
    assert torch.equal(move(G.Decay(weight_decay=0.0), x), x)
    assert torch.equal(move(G.L1(l1=0.0), x), x)
    on = x.abs() / x.abs().sum() if x.any() else torch.full_like(x, 1 / len(x))
    assert torch.allclose(move(G.Simplex(), on), on, rtol=0, atol=1e-15)


@every_set
@few
@given(z=vectors(elements=numbers), far=st.sampled_from([1.0, 1e6]))
def test_a_projection_lands_inside_and_stays(rule: G.Geometry, z: Tensor, far: float) -> None:
    y = move(rule, z * far)
    assert inside(rule, y)
    assert torch.allclose(move(rule, y), y, rtol=0, atol=1e-14)


@every_set
@few
@given(n=st.integers(1, 5), data=st.data())
def test_a_projection_is_nonexpansive(rule: G.Geometry, n: int, data: st.DataObject) -> None:
    """‖P(a) - P(b)‖² ≤ ⟨P(a) - P(b), a - b⟩ (firmly, which is more)."""
    a, b = data.draw(vectors(n)), data.draw(vectors(n))
    p = move(rule, a) - move(rule, b)
    assert p @ p <= p @ (a - b) + 1e-12


@every_set
@few
@given(n=st.integers(1, 5), data=st.data())
def test_a_projection_is_the_nearest_point(rule: G.Geometry, n: int, data: st.DataObject) -> None:
    """⟨z - P(z), y - P(z)⟩ ≤ 0 for every y in the set: the certificate."""
    z, y = data.draw(vectors(n)), move(rule, data.draw(vectors(n)))
    p = move(rule, z)
    assert (z - p) @ (y - p) <= 1e-12


@few
@given(z=vectors(most=4, elements=numbers))
def test_the_simplex_by_brute_force(z: Tensor) -> None:
    """The nearest of the projections onto all faces that are not outside."""
    faces = []
    for r in range(1, len(z) + 1):
        for face in itertools.combinations(range(len(z)), r):
            p = torch.zeros_like(z)
            p[list(face)] = z[list(face)] - (z[list(face)].sum() - 1) / r
            if (p >= 0).all():
                faces.append(p)
    best = min(faces, key=lambda p: float((p - z) @ (p - z)))
    assert torch.allclose(move(G.Simplex(), z), best, rtol=0, atol=1e-13)


@few
@given(z=vectors(), shift=numbers)
def test_the_simplex_does_not_feel_a_common_shift(z: Tensor, shift: float) -> None:
    assert torch.allclose(move(G.Simplex(), z + shift), move(G.Simplex(), z), rtol=0, atol=1e-14)


@few
@given(seed=st.integers(0, 100), shape=st.sampled_from([(2, 3), (2, 2, 3), (3, 1), (1, 4)]))
def test_every_row_has_its_own_simplex(seed: int, shape: tuple[int, ...]) -> None:
    z = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rows = torch.stack([move(G.Simplex(), row) for row in z.view(-1, shape[-1])])
    assert torch.equal(move(G.Simplex(), z), rows.view(shape))


@few
@given(z=vectors(elements=numbers), eta=positive, l1=positive)
def test_prox_of_l1_is_certified(z: Tensor, eta: float, l1: float) -> None:
    """Y minimises ‖y - z‖²/2 + ηλ‖y‖₁ exactly if z - y ∈ ηλ ∂‖y‖₁."""
    y = move(G.L1(l1=l1), z, eta=eta)
    pull = z - y
    assert torch.equal(pull[y != 0], (eta * l1 * y.sign())[y != 0])
    assert (pull.abs() <= eta * l1).all()


@few
@given(z=vectors(), u=numbers, eta=positive)
def test_prox_and_decay_act_on_the_moved_and_on_the_old_point(z: Tensor, u: float, eta: float) -> None:
    """Prox: S(x - u).  Decay: (1 - ηλ) x - u.  Zero is a fixed point of both."""
    step = torch.full_like(z, u)
    assert torch.equal(move(G.L1(l1=0.5), z, step, eta), move(G.L1(l1=0.5), z - step, None, eta))
    assert torch.allclose(move(G.Decay(weight_decay=0.5), z, step, eta), (1 - eta * 0.5) * z - step, rtol=1e-15)
    for rule in (G.L1(l1=0.5), G.Decay(weight_decay=0.5)):
        assert not move(rule, torch.zeros_like(z), None, eta).any()


@few
@given(z=vectors(), steps=st.integers(1, 5))
def test_decay_is_geometric_and_prox_is_arithmetic(z: Tensor, steps: int) -> None:
    """Without gradients: (1 - ηλ)ᵗ x, and |x| - tηλ until it is zero."""
    none = [torch.zeros_like(z)] * steps
    decayed = walk(steepest.Optimizer, none, z, lr=0.5, geometry=G.Decay(weight_decay=0.5))[-1]
    shrunk = walk(steepest.Optimizer, none, z, lr=0.5, geometry=G.L1(l1=0.5))[-1]
    assert torch.allclose(decayed, z * 0.75**steps, rtol=1e-15)
    assert torch.equal(shrunk, z.sign() * (z.abs() - 0.25 * steps).clamp(min=0))


@pytest.mark.parametrize("make", [lambda: G.Box(1.0, -1.0), lambda: G.Box(float("nan"), 1.0), lambda: G.L1(l1=-1.0)])
def test_impossible_sets_are_refused(make: Callable[[], G.Geometry]) -> None:
    with pytest.raises(ValueError, match=r"Box|L1"):
        make()
