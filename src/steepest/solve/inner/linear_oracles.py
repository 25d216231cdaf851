"""Linear minimization oracles: the point of a convex set that minimizes ⟨g, s⟩, an extreme point of it.

Source: Jaggi 2013, "Revisiting Frank-Wolfe", Table 1, for all of them. Ties go to the first index.
"""

from __future__ import annotations

import torch
from torch import Tensor


def lmo_simplex(g: Tensor, radius: float = 1.0) -> Tensor:
    """radius · eᵢ with i = argmin gᵢ, over the whole tensor.

    >>> lmo_simplex(torch.tensor([1.0, -2.0, 3.0]))
    tensor([0., 1., 0.])
    """
    return _one(g, int(g.argmin()), radius)


def lmo_l1(g: Tensor, radius: float = 1.0) -> Tensor:
    """-radius · sign(gᵢ) eᵢ with i = argmax abs(gᵢ), over the whole tensor."""
    i = int(g.abs().argmax())
    return _one(g, i, -radius if float(g.reshape(-1)[i]) > 0 else radius)


def lmo_l2(g: Tensor, radius: float = 1.0) -> Tensor:
    """-radius · g/‖g‖; zero for g = 0."""
    size = float(g.norm())
    return g * (-radius / size) if size > 0 else torch.zeros_like(g)


def lmo_box(g: Tensor, lower: float | Tensor = 0.0, upper: float | Tensor = 1.0) -> Tensor:
    """Lower where g is positive, else upper."""
    return torch.where(g > 0, torch.as_tensor(lower).to(g), torch.as_tensor(upper).to(g))


def lmo_nuclear(G: Tensor, radius: float = 1.0) -> Tensor:
    """-radius · u vᵀ, with u and v the first singular vectors of the matrix G."""
    U, _, Vt = torch.linalg.svd(G, full_matrices=False)
    return -radius * torch.outer(U[:, 0], Vt[0])


def lmo_spectrahedron(G: Tensor, trace: float = 1.0) -> Tensor:
    """Trace · v vᵀ, with v the eigenvector of (G + Gᵀ)/2 with the least eigenvalue."""
    v = torch.linalg.eigh((G + G.T) / 2)[1][:, 0]
    return trace * torch.outer(v, v)


def lmo_stiefel(G: Tensor) -> Tensor:
    """-UVᵀ of the thin singular value decomposition, over the matrices with orthonormal columns."""
    U, _, Vt = torch.linalg.svd(G, full_matrices=False)
    s: Tensor = -U @ Vt
    return s


def _one(g: Tensor, i: int, value: float) -> Tensor:
    s = torch.zeros_like(g).reshape(-1)
    s[i] = value
    return s.view(g.shape)
