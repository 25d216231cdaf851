"""Functions of matrices for parts: polar factors, inverse roots and norms, batched over the first dimensions.

Everything works on the last two dimensions of a tensor, so that a stack of equal shapes costs one call.  What can fail on one
matrix of a stack (a factor with NaN in it, one that is not positive) fails for that matrix alone, and says so.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

#: of the quintic x -> a x + b x³ + c x⁵, steep at 0, with values near 1 after five times (Jordan et al. 2024)
QUINTIC = (3.4445, -4.7750, 2.0315)


def as_matrices(t: Tensor) -> Tensor:
    """A stack b x shape as b x rows x columns: the first dimension of each tensor by all others.

    A convolution's kernel (out, in, height, width) is out x (in · height · width), a vector a column and a number 1 x 1.

    >>> [tuple(as_matrices(torch.zeros(2, *s)).shape) for s in [(), (3,), (3, 4), (3, 4, 5, 5)]]
    [(2, 1, 1), (2, 3, 1), (2, 3, 4), (2, 3, 100)]
    """
    b, *shape = t.shape
    rows = shape[0] if shape else 1
    return t.reshape(b, rows, math.prod(shape[1:]))


def normalized(a: Tensor, eps: float | Tensor = 0.0) -> Tensor:
    """A / max(‖A‖_F, ε), without overflow in the squares; zero for A = 0."""
    tiny = torch.finfo(a.dtype).tiny
    peak = torch.linalg.vector_norm(a, math.inf, (-2, -1), keepdim=True).clamp(min=tiny)
    a = a / peak
    norm = torch.linalg.vector_norm(a, dim=(-2, -1), keepdim=True)
    return a.div_(torch.maximum(norm, torch.clamp(eps / peak, min=tiny)))


def newton_schulz(a: Tensor, steps: int = 5, eps: float | Tensor = 1e-7) -> Tensor:
    r"""The polar factor of A roughly: U S Vᵀ with S between 0.68 and 1.21, where A = U Σ Vᵀ.

    .. math:: X_0 = A / \max(\|A\|_F, \varepsilon),\quad X \leftarrow a X + (b\, XX^\top + c\, (XX^\top)^2) X

    Args:
        a: ... x m x n.
        steps: iterations, default 5; singular values below 1/600 of the norm are not there then.
        eps: ε, a norm below which A is taken for small.

    On CUDA float32 matrices are multiplied in bfloat16, as the authors do; elsewhere in A's own type.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks".
    """
    if not a.numel():
        return a
    x = normalized(a, eps).reshape(-1, *a.shape[-2:])
    x = x.bfloat16() if x.is_cuda and x.dtype is torch.float32 else x
    tall = a.shape[-2] > a.shape[-1]
    first, third, fifth = QUINTIC
    for _ in range(steps):
        gram = x.mT @ x if tall else x @ x.mT
        factor = torch.baddbmm(gram, gram, gram, beta=third, alpha=fifth)
        x = torch.baddbmm(x, x, factor, beta=first) if tall else torch.baddbmm(x, factor, x, beta=first)
    return x.to(a.dtype).reshape(a.shape)


def polar(a: Tensor, rtol: float | None = None) -> Tensor:
    """The polar factor of A by its singular values: U Vᵀ over those that are not zero.

    Args:
        a: ... x m x n.
        rtol: values below this part of the largest are zero; default: max(m, n) times the rounding unit.

    A matrix that is not finite has a factor of NaN, and its neighbours in a stack their own.
    """
    if not a.numel():
        return a
    fine = torch.isfinite(a).all(-1, keepdim=True).all(-2, keepdim=True)
    u, s, vh = torch.linalg.svd(torch.where(fine, a, 0.0), full_matrices=False)
    least = max(a.shape[-2:]) * torch.finfo(a.dtype).eps if rtol is None else rtol
    kept = (s > least * s[..., :1]).to(a.dtype)
    return torch.where(fine, (u * kept[..., None, :]) @ vh, torch.nan)


class Root(NamedTuple):
    """An inverse root of each matrix of a stack, and whether it can be trusted."""

    value: Tensor  # ... x n x n; the last good one where the new one failed
    residual: Tensor  # ...: the largest entry of X^p (A + δI) - I
    failed: Tensor  # ...: True where the residual is too large or not a number


def inverse_root(a: Tensor, p: int, eps: float = 1e-6, last: Tensor | None = None, tol: float = 0.1,
                 most: int = 100) -> Root:  # fmt: skip
    r"""(A + δI)^{-1/p} of symmetric positive matrices by the coupled Newton iteration.

    .. math:: M_0 = z (A + \delta I),\quad X_0 = z^{1/p} I,\quad T = \frac{(p+1) I - M}{p},\quad X \leftarrow X T,\quad
              M \leftarrow T^p M

    with z = (1 + p) / 2‖A + δI‖, so that the eigenvalues of M begin below p + 1; M → I while X^p M₀ = z M is kept.

    Args:
        a: ... x n x n; the symmetric part is taken.
        p: 1, 2, 3, ...
        eps: δ relative to a bound ‖A‖ of the largest eigenvalue (the lesser of the Frobenius and the maximal row norm);
            default 1e-6 (Anil et al.).  It covers eigenvalues that are zero, or negative by rounding.
        last: what to fall back on where the root fails; default: the identity.
        tol: the largest residual of a root that is taken, default 0.1.
        most: iterations; it takes about ln(1/eps) + 5.

    A matrix fails if it has NaN or infinity, is zero, or has an eigenvalue below -δ.  Where float32 is not enough (a rank far
    below n at the default δ) those matrices are done once more in float64.

    Source: Higham 2008, Functions of Matrices, equation (7.18) and Guo & Higham 2006; damping and the fall back as in Anil et
    al. 2020, arXiv:2002.09018, Appendix.
    """
    if not a.numel():
        return Root(a, a.new_zeros(a.shape[:-2]), torch.zeros(a.shape[:-2], dtype=torch.bool, device=a.device))
    damped, size, fine = _damped(a, eps)
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    z = (1 + p) / (2 * size)
    m, x = damped * z, eye * z ** (1 / p)
    error = torch.full_like(z, torch.inf)
    for _ in range(most):
        t = ((p + 1) * eye - m) / p
        after = _symmetric(torch.linalg.matrix_power(t, p) @ m)
        now = (after - eye).abs().amax((-2, -1), keepdim=True)
        going = torch.isfinite(now) & (
            (now < error) | (error > 0.01)
        )  # it may rise until it is small; then rounding makes it
        m, x, error = (torch.where(going, new, old) for new, old in ((after, m), (_symmetric(x @ t), x), (now, error)))
        if not bool(going.any()):
            break
    root = _judged(x, damped, p, fine, last, tol)
    again = root.failed & fine[..., 0, 0]
    if a.dtype is torch.float32 and bool(again.any()):
        fallback = None if last is None else last[again].double()
        for old, new in zip(root, inverse_root(a[again].double(), p, eps, fallback, tol, most), strict=True):
            old[again] = new.to(old.dtype)
    return root


def inverse_root_eigh(a: Tensor, p: int, eps: float = 1e-6, last: Tensor | None = None, tol: float = 0.1) -> Root:
    """The same by eigenvalues in float64, taken for δ where they are less: slower, and right for any finite A but zero.

    The residual is that of the matrix with those eigenvalues; see :func:`inverse_root`.
    """
    if not a.numel():
        return inverse_root(a, p)
    damped, size, fine = _damped(a, eps)
    values, vectors = torch.linalg.eigh(damped.double())
    values = torch.maximum(values, eps / (1 + eps) * size[..., 0])[..., None, :]
    kept, root = ((vectors * v) @ vectors.mT for v in (values, values ** (-1 / p)))
    return _judged(root.to(a.dtype), kept, p, fine, last, tol)


def eigenvectors(a: Tensor) -> Tensor:
    """Orthonormal eigenvectors of the symmetric part of A as columns, in float64, the largest eigenvalue first.

    Args:
        a: ... x n x n; of a matrix that is not finite they are those of the identity.
    """
    fine = torch.isfinite(a).all(-1, keepdim=True).all(-2, keepdim=True)
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    found: Tensor = torch.linalg.eigh(_symmetric(torch.where(fine, a, eye)).double()).eigenvectors
    return found.flip(-1).to(a.dtype)


def power_step(a: Tensor, q: Tensor) -> Tensor:
    """The orthonormal factor of A Q: a step of orthogonal iteration to the eigenvectors of A, from Q that are near them.

    Args:
        a: ... x n x n.
        q: ... x n x n; it stays where A is zero or A Q not finite.
    """
    near = a @ q
    fine = torch.isfinite(near).all(-1, keepdim=True).all(-2, keepdim=True) & (near != 0).any(-1, keepdim=True).any(
        -2, keepdim=True
    )
    return torch.where(fine, torch.linalg.qr(torch.where(fine, near, q)).Q, q)


def _symmetric(a: Tensor) -> Tensor:
    return (a + a.mT) / 2


def bound(a: Tensor) -> Tensor:
    """A bound of the largest eigenvalue of a symmetric A, ... x 1 x 1: the lesser of the Frobenius and the maximal row norm."""
    peak = a.abs().amax((-2, -1), keepdim=True).clamp(min=torch.finfo(a.dtype).tiny)
    frobenius = torch.linalg.vector_norm(a / peak, dim=(-2, -1), keepdim=True)
    return torch.minimum((a / peak).abs().sum(-1, keepdim=True).amax(-2, keepdim=True), frobenius) * peak


def _damped(a: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """A + δI with δ = ε ‖A‖, the bound ‖A + δI‖ (... x 1 x 1), and where A is fit; the identity elsewhere."""
    sym, eye = _symmetric(a), torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    size = bound(sym)
    fine = torch.isfinite(size) & (size > torch.finfo(a.dtype).tiny / torch.finfo(a.dtype).eps)
    sym, size = torch.where(fine, sym, eye), torch.where(fine, size, 1.0)
    return sym + eps * size * eye, (1 + eps) * size, fine


def _judged(x: Tensor, damped: Tensor, p: int, fine: Tensor, last: Tensor | None, tol: float) -> Root:
    """The root, or the last good one where X^p A is not near the identity; in float64, for A may be near singular."""
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    residual = (torch.linalg.matrix_power(x.double(), p) @ damped.double() - eye).abs().amax((-2, -1))
    residual = torch.where(fine[..., 0, 0], residual, torch.nan).to(x.dtype)
    failed = ~(residual <= tol)
    return Root(torch.where(failed[..., None, None], eye if last is None else last, x), residual, failed)


def spectral_norm(a: Tensor, steps: int = 20, start: Tensor | None = None) -> Tensor:
    """The largest singular value of A, from below, by power iteration on AᵀA.

    Args:
        a: ... x m x n.
        steps: iterations; the error falls by (σ₂/σ₁)⁴ in each.
        start: ... x n, such as the right singular vector of a similar matrix; default: normal numbers, always the same.
    """
    if not a.numel():
        return a.new_zeros(a.shape[:-2])
    peak = a.abs().amax((-2, -1), keepdim=True).clamp(min=torch.finfo(a.dtype).tiny)
    a = a / peak
    if start is None:
        start = torch.randn(a.shape[-1], generator=torch.Generator().manual_seed(0), dtype=a.dtype).to(a.device)
    v = normalized(start[..., None])
    for _ in range(steps):
        v = normalized(a.mT @ (a @ v))
    norm: Tensor = torch.linalg.vector_norm(a @ v, dim=(-2, -1)) * peak[..., 0, 0]
    return norm


def schatten_norm(a: Tensor, p: float) -> Tensor:
    """The p-norm of the singular values of A: 1 is the nuclear, 2 the Frobenius and infinity the spectral norm.

    Even p is a trace of powers of the smaller Gram matrix; infinity is :func:`spectral_norm`; other p take a singular value
    decomposition.

    Raises:
        ValueError: A is no matrix, or p < 1.
    """
    if a.dim() < 2:
        raise ValueError(f"a Schatten norm is that of a matrix, got a tensor of shape {tuple(a.shape)}")
    if not p >= 1:
        raise ValueError(f"the order of a Schatten norm must be at least 1, got {p!r}")
    if p == math.inf:
        return spectral_norm(a)
    if not a.numel():
        return a.new_zeros(a.shape[:-2])
    peak = a.abs().amax((-2, -1), keepdim=True).clamp(min=torch.finfo(a.dtype).tiny)
    a = a / peak
    if p % 2 == 0:
        gram = a @ a.mT if a.shape[-2] <= a.shape[-1] else a.mT @ a
        trace: Tensor = torch.linalg.matrix_power(gram, int(p) // 2).diagonal(dim1=-2, dim2=-1).sum(-1)
        return trace ** (1 / p) * peak[..., 0, 0]
    fine = torch.isfinite(a).all(-1).all(-1)
    values = torch.linalg.svdvals(torch.where(fine[..., None, None], a, 0.0))
    return torch.where(fine, torch.linalg.vector_norm(values, ord=p, dim=-1), torch.nan) * peak[..., 0, 0]


__all__ = [
    "QUINTIC",
    "Root",
    "as_matrices",
    "inverse_root",
    "inverse_root_eigh",
    "newton_schulz",
    "normalized",
    "polar",
    "schatten_norm",
    "spectral_norm",
]
