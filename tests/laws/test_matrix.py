"""Functions of matrices against dense decompositions: singular, indefinite by rounding, 1 x 1, with NaN, in stacks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from steepest.core import matrix as M

SHAPES = [(1, 1), (1, 7), (7, 1), (5, 8), (8, 5), (16, 16)]
REAL = [torch.float32, torch.float64]
#: rounding units times a few, for sums over so few numbers
FINE = {torch.float32: 2e-5, torch.float64: 1e-12}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def positive(n: int, condition: float, b: int = 3) -> Tensor:
    """b symmetric matrices with eigenvalues from 1 down to 1/condition, evenly in their logarithms."""
    q = torch.linalg.qr(normal(b, n, n)).Q
    return (q * torch.logspace(0, -math.log10(condition), n, dtype=torch.float64)) @ q.mT


def exact(a: Tensor, p: int, eps: float = 1e-6) -> Tensor:
    """(A + δI)^{-1/p} by eigenvalues in float64."""
    bound = torch.minimum(a.abs().sum(-1).amax(-1), a.flatten(-2).norm(dim=-1))
    values, vectors = torch.linalg.eigh(a.double())
    return (vectors * (values + eps * bound[..., None])[..., None, :] ** (-1 / p)) @ vectors.mT


# ---- polar factors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_polar_factor_is_that_of_the_singular_values(shape: tuple[int, int], dtype: torch.dtype) -> None:
    a = normal(3, *shape)
    u, _, vh = torch.linalg.svd(a, full_matrices=False)
    assert torch.allclose(M.polar(a.to(dtype)).double(), u @ vh, atol=FINE[dtype])


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("shape", SHAPES)
def test_newton_schulz_moves_singular_values_by_its_polynomial(shape: tuple[int, int], scale: float) -> None:
    """Singular vectors stay, five times σ ← aσ + bσ³ + cσ⁵ from σ / ‖A‖: by hand, on the singular values alone."""
    a = normal(3, *shape) * scale
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    s = s / s.square().sum(-1, keepdim=True).sqrt()
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    assert torch.allclose(M.newton_schulz(a, eps=0.0), (u * s[:, None]) @ vh, atol=1e-11)


def test_newton_schulz_leaves_singular_values_near_one() -> None:
    """Between 0.68 and 1.21 for all from 1/600 to 1 of the norm, as the docstring says."""
    s = torch.linspace(1 / 600, 1, 50_000, dtype=torch.float64)
    for _ in range(5):
        s = M.QUINTIC[0] * s + M.QUINTIC[1] * s**3 + M.QUINTIC[2] * s**5
    assert s.min() > 0.68
    assert s.max() < 1.21


def test_a_singular_matrix_has_the_polar_factor_of_its_range() -> None:
    """Rank 1: u vᵀ / ‖u‖‖v‖; rank 0: zero. Newton-Schulz leaves both their rank, too."""
    u, v = normal(5, 1), normal(4, 1, seed=1)
    a = torch.stack([u @ v.mT, torch.zeros(5, 4, dtype=torch.float64)])
    want = torch.stack([u @ v.mT / (u.norm() * v.norm()), a[1]])
    assert torch.allclose(M.polar(a), want, atol=1e-14)
    rough = M.newton_schulz(a)
    assert torch.linalg.matrix_rank(rough, rtol=1e-10).tolist() == [1, 0]


@pytest.mark.parametrize("f", [M.polar, M.newton_schulz, M.normalized], ids=lambda f: f.__name__)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_matrix_spoils_itself_alone(f: object, bad: float) -> None:
    a = normal(3, 4, 5)
    fine = f(a[[0, 2]])  # type: ignore[operator]
    a[1, 2, 3] = bad
    found = f(a)  # type: ignore[operator]
    assert torch.equal(found[[0, 2]], fine)
    assert not torch.isfinite(found[1]).all()


@pytest.mark.parametrize("f", [M.polar, M.newton_schulz, lambda a: M.inverse_root(a, 4).value, M.spectral_norm,
                               lambda a: M.schatten_norm(a, 4), lambda a: M.schatten_norm(a, 1)])  # fmt: skip
def test_a_stack_is_its_matrices(f: object) -> None:
    """To the bit, whatever else is in the stack; leading dimensions may be two, one or none."""
    a = normal(2, 3, 6, 6)
    a = a @ a.mT + torch.eye(6)
    for dtype in REAL:
        together = f(a.to(dtype))  # type: ignore[operator]
        for i in range(2):
            assert torch.allclose(f(a[i].to(dtype)), together[i], rtol=1e-5 if dtype is torch.float32 else 1e-12)  # type: ignore[operator]
            assert torch.allclose(f(a[i, 1].to(dtype)), together[i, 1], rtol=1e-5 if dtype is torch.float32 else 1e-12)  # type: ignore[operator]


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_matrices_have_empty_answers(shape: tuple[int, int]) -> None:
    a = torch.zeros(2, *shape)
    assert M.polar(a).shape == M.newton_schulz(a).shape == a.shape
    assert M.spectral_norm(a).tolist() == M.schatten_norm(a, 3).tolist() == [0.0, 0.0]
    if shape == (0, 0):
        assert M.inverse_root(a, 2).value.shape == M.inverse_root_eigh(a, 2).value.shape == a.shape


# ---- inverse roots ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("root", [M.inverse_root, M.inverse_root_eigh], ids=lambda f: f.__name__)
@pytest.mark.parametrize("p", [1, 2, 3, 4])
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e5, 1e12])
@pytest.mark.parametrize("n", [1, 2, 5, 32])
def test_inverse_roots_are_those_of_the_eigenvalues(root: object, p: int, condition: float, n: int) -> None:
    """As exact as a matrix of that condition lets float32 and float64 be."""
    a = positive(n, condition if n > 1 else 1.0)
    want = exact(a, p)
    for dtype, unit in ((torch.float32, 1.2e-7), (torch.float64, 2.3e-16)):
        found = root(a.to(dtype), p)  # type: ignore[operator]
        worst = 30 * unit * min(condition, 1e6)
        assert not found.failed.any()
        assert ((found.value.double() - want).norm(dim=(-2, -1)) <= worst * want.norm(dim=(-2, -1))).all()
        assert (found.residual <= min(0.1, p * worst)).all()


@pytest.mark.parametrize("root", [M.inverse_root, M.inverse_root_eigh], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("rank", [1, 3])
def test_singular_matrices_have_the_root_of_their_damping(root: object, rank: int, dtype: torch.dtype) -> None:
    """GGᵀ after one step: rank 1 of 20, eigenvalues that rounding makes negative; -1/4 of δ in the null space."""
    g = normal(2, 20, rank)
    a = g @ g.mT
    found = root(a.to(dtype), 4)  # type: ignore[operator]
    assert not found.failed.any()
    want = exact(a, 4)
    assert torch.allclose(
        found.value.double(), want, rtol=0, atol=float(want.abs().max()) * (0.06 if dtype is torch.float32 else 1e-7)
    )


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("size", [1e-20, 1e20])
def test_roots_know_their_units(size: float, dtype: torch.dtype) -> None:
    a = positive(6, 100.0)
    found = M.inverse_root((a * size).to(dtype), 2)
    assert torch.allclose(
        found.value.double() * size**0.5, exact(a, 2), rtol=0, atol=1e-4 if dtype is torch.float32 else 1e-12
    )


@pytest.mark.parametrize("root", [M.inverse_root, M.inverse_root_eigh], ids=lambda f: f.__name__)
def test_the_last_good_one_stays(root: object) -> None:
    """NaN, infinity, zero, and (for Newton) a negative eigenvalue fail; the neighbours' roots are to the bit what they were."""
    a = positive(4, 10.0, b=6)
    fine = root(a, 4).value  # type: ignore[operator]
    a[1, 0, 0], a[2, 1, 1], a[3] = math.nan, math.inf, 0.0
    a[4] -= 0.5 * torch.eye(4)
    last = normal(6, 4, 4)
    found, first = root(a, 4, last=last), root(a, 4)  # type: ignore[operator]
    indefinite = root is M.inverse_root
    assert found.failed.tolist() == [False, True, True, True, indefinite, False]
    assert int(found.failed.sum()) == 3 + indefinite  # what a part counts
    assert torch.equal(found.value[found.failed], last[found.failed])
    assert torch.equal(first.value[1], torch.eye(4, dtype=a.dtype))
    assert torch.equal(found.value[[0, 5]], fine[[0, 5]])
    assert torch.isfinite(found.value).all()
    assert found.residual[[1, 2, 3]].isnan().all()


def test_a_root_that_has_not_converged_is_refused() -> None:
    """Three iterations are not enough for a condition of 10⁴."""
    found = M.inverse_root(positive(5, 1e4), 4, most=3)
    assert found.failed.all()
    assert (found.residual > 0.1).all()


def test_only_the_symmetric_part_counts() -> None:
    a = positive(5, 10.0)
    skew = normal(5, 5)
    assert torch.allclose(M.inverse_root(a + skew - skew.mT, 2).value, exact(a, 2), rtol=1e-9)


# ---- norms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("p", [1, 1.5, 2, 3, 4, 6, 10, math.inf])
def test_schatten_norms_are_norms_of_singular_values(p: float, shape: tuple[int, int]) -> None:
    a = normal(3, *shape)
    a[..., 0] *= 3  # well separated
    want = torch.linalg.vector_norm(torch.linalg.svdvals(a), ord=p, dim=-1)
    assert torch.allclose(M.schatten_norm(a * 1e60, p) / 1e60, want, rtol=1e-3 if p == math.inf else 1e-12)


def test_power_iteration_comes_from_below_and_may_go_on() -> None:
    """Never above σ₁; from the right singular vector it is there at once; orthogonal rows hide nothing."""
    a = normal(4, 9, 9)
    top = torch.linalg.svdvals(a)[:, 0]
    found = [M.spectral_norm(a, steps) for steps in (1, 5, 100)]
    assert all((f <= top * (1 + 1e-14)).all() for f in found)
    assert (found[0] <= found[1]).all()
    assert torch.allclose(found[2], top, rtol=1e-5)
    assert torch.allclose(M.spectral_norm(a, 0, torch.linalg.svd(a).Vh[:, 0]), top, rtol=1e-12)
    blocks = torch.tensor([[3.0, 0, 0], [0, 2.5, 0], [0, 2.5, 0], [0, 2.5, 0]])
    assert float(M.spectral_norm(blocks, 60)) == pytest.approx(2.5 * math.sqrt(3), rel=1e-5)


def test_the_order_of_a_norm_is_checked() -> None:
    with pytest.raises(ValueError, match="at least 1, got"):
        M.schatten_norm(torch.eye(2), 0.5)
    assert float(M.schatten_norm(torch.full((2, 2), math.nan), 1)) != 0
