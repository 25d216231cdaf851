"""Muon: momentum, and of each matrix only its directions, all with the same strength."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Literal

from torch import Tensor

from steepest.core.fields import flag, real, whole, word
from steepest.core.matrix import as_matrices, newton_schulz, normalized, polar
from steepest.core.part import Direction, NewState, Scalars, State


class Muon(Direction):
    r"""Momentum, orthogonalised: the steepest descent under the spectral norm.

    .. math:: m \leftarrow \mu m + (1-\mu) g,\quad u = (1-\mu) g + \mu m \text{ or } m,\quad d = r\, \mathrm{orth}(u)

    with orth(U S Vᵀ) = U Vᵀ and the scale r of a matrix of rows x columns.

    Args:
        momentum: μ, default 0.95.
        eps: a norm of u below which it counts as small, default 1e-7; in units of g.
        nesterov: look ahead, default True.
        orthogonal: ``"newton-schulz"`` (paper), iterations of a quintic that leave singular values between 0.68 and 1.21, or
            ``"svd"``, the exact factor, slower.
        ns_steps: iterations of Newton-Schulz, default 5.
        adjust_lr_fn: r, ``"original"`` for :math:`\sqrt{\max(1, rows/columns)}` (Jordan's code), or ``"match_rms_adamw"`` for
            :math:`0.2 \sqrt{\max(rows, columns)}`, whose steps are as long as AdamW's (Liu et al. 2025).

    A convolution's kernel is a matrix of its first dimension by the rest. A vector is a column and a number 1 x 1, whose
    exact factor is u/‖u‖: with r, a step of root mean square 1 (0.2). Embeddings and heads are matrices here; authors leave
    them and all vectors to AdamW.

    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks", with coefficients (3.4445, -4.7750,
    2.0315); Liu et al. 2025, arXiv:2502.16982, section 2.2, for ``"match_rms_adamw"``.

    Note: the post's momentum is m ← μm + g, and u = g + μm; here both are 1 - μ times as large, as in torch.optim.Muon and
    the author's later code, which orth does not see.  torch multiplies matrices in bfloat16 on every device, here it is done
    on CUDA alone.  The author's code scales a convolution by the sides of its window instead of its matrix, and adds eps to the
    norm.
    """

    momentum: float = real("[0, 1)", default=0.95)
    eps: float = real("[0, inf)", default=1e-7)
    nesterov: bool = flag(default=True)
    orthogonal: Literal["newton-schulz", "svd"] = word(default="newton-schulz")
    ns_steps: int = whole("[1, 100)", default=5)
    adjust_lr_fn: Literal["original", "match_rms_adamw"] = word(default="original")
    state = {"m": State()}
    pointwise, batched = False, True
    cite = ("jordan2024muon", "liu2025muon")
    torch_names = {"m": "momentum_buffer"}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map, on tensors of equal shape, b x shape."""
        fresh = g * (1 - h.momentum)
        m = s.m * h.momentum + fresh
        u = as_matrices(fresh + m * h.momentum if self.nesterov else m)
        if not u.numel():
            return g, {"m": m}
        rows, columns = u.shape[-2:]
        if g.dim() < 3:
            d = normalized(u, h.eps)
        else:
            d = polar(u) if self.orthogonal == "svd" else newton_schulz(u, self.ns_steps, h.eps)
        r = (
            math.sqrt(max(1, rows / columns))
            if self.adjust_lr_fn == "original"
            else 0.2 * math.sqrt(max(rows, columns))
        )
        return (d * r).reshape(g.shape), {"m": m}
