"""Projections onto convex sets, and the proximal map of the 1-norm: the nearest point in the Euclidean norm."""

from __future__ import annotations

import torch
from torch import Tensor

from steepest.core.part import Scalars, check_number
from steepest.geometry import Simplex

_SIMPLEX = Simplex()


def box(x: Tensor, lower: float | Tensor = 0.0, upper: float | Tensor = 1.0) -> Tensor:
    """min(max(x, lower), upper), element by element."""
    return torch.minimum(torch.maximum(x, torch.as_tensor(lower).to(x)), torch.as_tensor(upper).to(x))


def simplex(x: Tensor, radius: float = 1.0) -> Tensor:
    r"""Onto :math:`\{z \ge 0 : \sum z = \text{radius}\}`, each row (last dimension) by itself.

    Source: Duchi et al. 2008, Figure 1; the same map as :class:`steepest.geometry.Simplex`.

    Example:
        >>> simplex(torch.tensor([2.0, 0.0, 1.5]), 1.0)
        tensor([0.7500, 0.0000, 0.2500])
    """
    check_number("simplex", "radius", radius, "(0, inf)")
    z = (x / radius)[None]
    return radius * _SIMPLEX(z, torch.zeros_like(z), torch.ones(()), Scalars())[0]


def l1_ball(x: Tensor, radius: float = 1.0) -> Tensor:
    r"""Onto :math:`\{z : \sum |z| \le \text{radius}\}`, over the whole tensor.

    Source: Duchi et al. 2008, section 4.
    """
    check_number("l1_ball", "radius", radius, "(0, inf)")
    if not float(x.abs().sum()) > radius:
        return x
    return torch.sign(x) * simplex(x.abs().reshape(-1), radius).view(x.shape)


def l2_ball(x: Tensor, radius: float = 1.0) -> Tensor:
    r"""Onto :math:`\{z : \lVert z\rVert_2 \le \text{radius}\}`, over the whole tensor: x · min(1, radius/‖x‖)."""
    check_number("l2_ball", "radius", radius, "(0, inf)")
    size = float(x.norm())
    return x * (radius / size) if size > radius else x


def nuclear_ball(X: Tensor, radius: float = 1.0) -> Tensor:
    r"""Onto the matrices whose singular values sum to at most radius: U diag(σ) Vᵀ with σ projected by :func:`l1_ball`.

    Source: Cai, Candès & Shen 2010, Theorem 2.1, for the ball instead of the penalty.
    """
    U, sigma, Vt = torch.linalg.svd(X, full_matrices=False)
    return X if float(sigma.sum()) <= radius else U * l1_ball(sigma, radius) @ Vt


def spectrahedron(X: Tensor, trace: float = 1.0) -> Tensor:
    r"""Onto the symmetric positive semidefinite matrices of a trace: Q diag(λ) Qᵀ, λ projected by :func:`simplex`.

    The nearest one of a matrix that is not symmetric is that of (X + Xᵀ)/2.
    """
    check_number("spectrahedron", "trace", trace, "(0, inf)")
    values, Q = torch.linalg.eigh((X + X.T) / 2)
    P: Tensor = Q * simplex(values, trace) @ Q.T
    return P


def psd(X: Tensor) -> Tensor:
    r"""Onto the cone of symmetric positive semidefinite matrices: Q diag(max(λ, 0)) Qᵀ of (X + Xᵀ)/2.

    Source: Higham 1988.
    """
    values, Q = torch.linalg.eigh((X + X.T) / 2)
    P: Tensor = Q * values.clamp(min=0) @ Q.T
    return P


def stiefel(X: Tensor) -> Tensor:
    r"""Onto the matrices with orthonormal columns (not a convex set): UVᵀ of the thin singular value decomposition.

    Raises:
        ValueError: X has more columns than rows.

    Source: Higham 1986, the polar factor. Where X is not of full rank there are several nearest ones, and this is one of them.
    """
    if X.dim() != 2 or X.shape[0] < X.shape[1]:
        raise ValueError(f"stiefel needs a matrix with no more columns than rows, got shape {tuple(X.shape)}")
    U, _, Vt = torch.linalg.svd(X, full_matrices=False)
    Q: Tensor = U @ Vt
    return Q


def transport(X: Tensor, a: Tensor, b: Tensor, tolerance: float | None = None, rounds: int = 10_000) -> Tensor:
    r"""Onto the plans :math:`\{P \ge 0 : P 1 = a,\ P^\top 1 = b\}`.

    P = max(X + u1ᵀ + 1vᵀ, 0), where u and v are found in turn, each exactly (coordinate ascent in the dual).

    Args:
        X: m by n.
        a: sums of rows, positive.
        b: sums of columns, positive, of the same total.
        tolerance: of the sums of rows, relative to the total; default 64 roundings.
        rounds: at most, default 10,000.

    Raises:
        ValueError: sums that are not positive or not of one total, or shapes that do not fit.
        RuntimeError: the rounds were not enough.
    """
    if a.shape != X.shape[:1] or b.shape != X.shape[1:] or not bool((a > 0).all() and (b > 0).all()):
        raise ValueError(f"transport needs a positive sum for each of {X.shape[0]} rows and {X.shape[1]} columns, got "
                         f"{tuple(a.shape)} and {tuple(b.shape)}, least {float(min(a.min(), b.min())):g}")  # fmt: skip
    total, eps = float(a.sum()), torch.finfo(X.dtype).eps
    if abs(float(b.sum()) - total) > 64 * eps * total * len(b):
        raise ValueError(
            f"the sums of rows have the total {total:g} and those of columns {float(b.sum()):g}: no plan has both"
        )
    v, most = torch.zeros_like(b), total * (64 * eps if tolerance is None else tolerance)
    for _ in range(rounds):
        u = _shift(X + v, a)
        v = _shift((X + u[:, None]).T, b)
        P = (X + u[:, None] + v).clamp(min=0)
        if float((P.sum(1) - a).abs().max()) <= most:
            return P
    raise RuntimeError(
        f"the plan was not found in {rounds} rounds: its rows are off by {float((P.sum(1) - a).abs().max()):g}"
    )


def _shift(X: Tensor, total: Tensor) -> Tensor:
    """For each row x the u with Σ max(x + u, 0) = total."""
    down = X.sort(1, descending=True).values
    count = torch.arange(1, X.shape[1] + 1, device=X.device)
    shifts = (total[:, None] - down.cumsum(1)) / count
    last = (down + shifts > 0).sum(1, keepdim=True) - 1
    return shifts.gather(1, last)[:, 0]


def soft_threshold(x: Tensor, step: float) -> Tensor:
    r"""The proximal map of :math:`\lVert x\rVert_1`: sign(x) · max(\|x\| - step, 0), element by element.

    Source: Daubechies, Defrise & De Mol 2004.
    """
    return torch.sign(x) * (x.abs() - step).clamp(min=0.0)
