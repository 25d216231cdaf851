"""Losses of preferences: of two answers one is liked better, and a reference says how likely both were before."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from steepest.losses.checks import matrix, mean, number

NAME = "dr_dpo"


def soft_min(losses: Tensor, scale: float) -> Tensor:
    r"""A mean of losses that looks away from the large ones.

    .. math:: -b \log \frac1n \sum_i e^{-\ell_i / b}

    It lies between their minimum (b → 0) and their mean (b → ∞); its gradient is a mean of theirs with weights proportional to
    :math:`e^{-\ell_i/b}`.  Over no losses it is 0.

    >>> soft_min(torch.tensor([0.0, 100.0]), scale=1.0)  # log 2: one of the two counts
    tensor(0.6931)

    Args:
        losses: ℓ, shape ``(n,)``.
        scale: b, in units of the losses.

    Raises:
        ValueError, TypeError: no vector, or a scale that is not positive.

    Source: the distributionally robust loss of Wu et al. 2024, arXiv:2407.07880; also the tilted loss of Li et al. 2021,
        arXiv:2007.01162, with t = -1/b.
    """
    number("soft_min", "scale", scale, "(0, inf]")
    if losses.dim() != 1:
        raise ValueError(f"soft_min: losses must have shape (n,), got {tuple(losses.shape)}")
    if not len(losses) or math.isinf(scale):
        return mean(losses)
    return -scale * (torch.logsumexp(-losses / scale, 0) - math.log(len(losses)))


def dr_dpo(outputs: Tensor, targets: Tensor, state: dict[str, Tensor], *, beta: float = 0.1,
           scale: float = 1.0) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    r"""Direct preference optimization that does not trust every pair.

    .. math:: \ell_i = -\log \sigma\big(\beta ((a_i^+ - a_i^-) - (r_i^+ - r_i^-))\big),\qquad
              L = -b' \log \frac1n \sum_i e^{-\ell_i / b'}

    a and r are the log-probabilities of the answers under the policy and the reference.  Pairs with a large loss, whose labels
    may have been swapped, count less; b' = ∞ is DPO.

    Args:
        outputs: a, shape ``(n, 2)``: of the answer that is preferred, and of the other.
        targets: r, likewise.
        state: empty, and returned as it is.
        beta: β, default 0.1 (as DPO).
        scale: b', default 1 (paper).

    Raises:
        ValueError, TypeError: a wrong shape or type, a number out of its range.

    Source: Wu et al. 2024, arXiv:2407.07880 (Dr. DPO); Rafailov et al. 2023, arXiv:2305.18290 (DPO).
    """
    number(NAME, "beta", beta, "(0, inf)")
    a, r = matrix(NAME, "outputs", outputs, 2), matrix(NAME, "targets", targets, 2)
    if a.shape != r.shape:
        raise ValueError(f"{NAME}: outputs and targets must have as many rows, got {len(a)} and {len(r)}")
    margin = (a[:, 0] - a[:, 1]) - (r[:, 0] - r[:, 1])
    return soft_min(-F.logsigmoid(beta * margin), scale), state


__all__ = ["dr_dpo", "soft_min"]
