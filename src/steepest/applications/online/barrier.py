"""Probabilities of actions from estimated losses, which may be as negative as they like."""

from __future__ import annotations

import torch
from torch import Tensor


def log_barrier(losses: Tensor, rate: float, most: int = 60) -> Tensor:
    r"""Follow the regularized leader with the logarithmic barrier.

    .. math:: p = \arg\min_{p \in \Delta} \langle p, L\rangle + \frac1\eta \sum_a \log\frac1{p_a},\qquad
              p_a = \frac1{\eta (L_a + \mu)}

    with μ such that the probabilities sum to 1, found by Newton's method from the side from which it is monotone.  L is a sum
    of estimated losses, such as ``loss / p`` of the action that was taken.  Exponential weights need estimates that are not
    very negative, for one may raise a probability many times over; here no step of estimates needs to be clipped.

    Args:
        losses: L, the sum so far, shape ``(..., actions)``.
        rate: η, positive.
        most: Newton steps at most; it takes about ten, and one more once it is exact.

    Returns:
        Probabilities, of the same shape, all positive.

    Raises:
        ValueError: η not positive, or losses that are not finite.

    Source: Dai et al. 2023, arXiv:2301.12942, for estimates that may be arbitrarily negative; the barrier is that of Foster et
        al. 2016, arXiv:1606.06244.

    Note: only this update; the paper's estimators and exploration for Markov decision processes are not here.

    Example:
        >>> log_barrier(torch.tensor([0.0, 0.0, 0.0, 0.0]), rate=0.5)
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    if not rate > 0:
        raise ValueError(f"log_barrier: rate must be positive, got {rate!r}")
    if not losses.numel() or not torch.isfinite(losses).all():
        raise ValueError(f"log_barrier: losses must be finite and at least one, got {losses}")
    gaps = rate * (losses - losses.min(-1, keepdim=True).values)  # p = 1 / (gaps + mu): of the best action 1 / mu
    mu = torch.ones_like(gaps[..., :1])
    for _ in range(most):
        p = 1 / (gaps + mu)
        step = (p.sum(-1, keepdim=True) - 1) / p.square().sum(-1, keepdim=True)
        mu = mu + step.clamp(min=0)
        if bool((step <= 4 * torch.finfo(p.dtype).eps * mu).all()):
            break
    p = 1 / (gaps + mu)
    return p / p.sum(-1, keepdim=True)


__all__ = ["log_barrier"]
