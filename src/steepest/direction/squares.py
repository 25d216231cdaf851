"""Divide by squares of gradients and not by their roots, or by curvatures: the scale of a coordinate of x cancels."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import flag, real
from steepest.core.part import Direction, NewState, Scalars, State


def divided(g: Tensor, b: Tensor, eps: float, root: bool) -> Tensor:
    """g over max(b, ε), or over its root; 0 where b is 0, because then every gradient so far was."""
    b = b.clamp(min=eps)
    return torch.where(b > 0, g / (torch.sqrt(b) if root else b), g * 0.0)


class AdaGradSQR(Direction):
    r"""AdaGrad without the root.

    .. math:: s \leftarrow s + g^2,\quad d = B^{-1} g,\quad B = \operatorname{diag}(\max(s, \epsilon))

    If x is measured in other units, coordinate by coordinate (x = V x̃), then d̃ = V⁻¹ d: with SANIA's step the
    path is the same in both.

    Args:
        eps: floor of s, in units of g², default 0 (the formula of the paper, as quoted by third parties).
        root: divide by √s, as AdaGrad; default False.

    Source: Abdukhakimov, Xiang, Kamzolov, Gower & Takáč 2023, arXiv:2312.17369, SANIA AdaGrad-SQR.

    Note: the authors add 1e-8 to s in their experiments on LIBSVM, and their package has max(s, 0.1), which takes the
    invariance away wherever it binds.
    """

    eps: float = real("[0, inf)", default=0.0)
    root: bool = flag(default=False, kw_only=True)
    state = {"s": State(signed=False)}
    cite = ("abdukhakimov2023sania",)

    def heading(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> Tensor:
        """g: B is positive."""
        return g

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        new = s.s + g * g
        return divided(g, new, h.eps, self.root), {"s": new}


class AdamSQR(AdaGradSQR):
    r"""Adam's second moment without the root, and no first moment.

    .. math:: v \leftarrow \beta v + (1-\beta) g^2,\quad d = B^{-1} g,\quad
              B = \operatorname{diag}\bigl(\max(v / (1-\beta^t), \epsilon)\bigr)

    Args:
        eps: floor of v, in units of g², default 0 (the formula of the paper, as quoted by third parties).
        decay: β of the second moment, default 0.999 (authors' code).
        root: divide by the root, as Adam; default False.

    Source: Abdukhakimov, Xiang, Kamzolov, Gower & Takáč 2023, arXiv:2312.17369, SANIA Adam-SQR.

    Note: as for AdaGradSQR.
    """

    decay: float = real("[0, 1)", default=0.999)
    state = {"v": State(signed=False)}

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The bias correction 1/(1 - βᵗ)."""
        return {"unbiased": 1 / (1 - h.decay**t)}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        v = s.v * h.decay + g * g * (1 - h.decay)
        return divided(g, v * h.unbiased, h.eps, self.root), {"v": v}


class DiagonalHessian(Direction):
    r"""Divide by the size of the Hessian's diagonal, averaged over the steps.

    .. math:: D \leftarrow \beta D + (1-\beta)\, b\;(D \leftarrow b \text{ at } t = 1),\quad d = B^{-1} g,\quad
              B = \operatorname{diag}\bigl(\max(|D|, \alpha)\bigr)

    with b an estimate of the diagonal, as ``oracle.Hutchinson`` or ``point.Hutchinson`` brings it; where none is new, D stays.
    With ``stepsize.SANIA`` it is SANIA with
    Hutchinson's preconditioner.

    Args:
        decay: β of the average, default 0.999 (authors' code).
        floor: α in units of f/x², default 0.1 (authors' code); above 0.

    Source: Abdukhakimov, Xiang, Kamzolov, Gower & Takáč 2023, arXiv:2312.17369; equations as in the authors' code.

    Note: the authors begin with the mean of 1,000 estimates, here it is the first one: ``oracle.Hutchinson(first=1000)`` is
    theirs.  A floor takes the invariance to units of x away wherever it binds.
    """

    decay: float = real("[0, 1)", default=0.999)
    floor: float = real("(0, inf)", default=0.1)
    state = {"D": State()}
    needs = frozenset({"probe of the Hessian"})
    cite = ("abdukhakimov2023sania",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The weight of the past: there is none at first, and it is all where no estimate is new."""
        return {"past": 0.0 if t == 1 else h.decay if getattr(h, "fresh", 1.0) else 1.0}

    def heading(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> Tensor:
        """g: B is positive."""
        return g

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        D = s.D * h.past + s.probe * (1 - h.past)
        return g / D.abs().clamp(min=h.floor), {"D": D}
