"""Maximum likelihood of models whose normalizer is unknown, by a ratio of means that is followed from step to step."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def meco(outputs: tuple[Tensor, Tensor], targets: Tensor, state: dict[str, Tensor], *,
         rate: float = 0.1) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    r"""Negative log-likelihood of :math:`p \propto e^f`, the normalizer estimated by samples of a noise density q.

    .. math:: L = -\frac1n \sum_i f(x_i) + \log Z,\quad
              u \leftarrow (1 - \gamma) u + \gamma\, \frac1m \sum_j \frac{e^{f(\tilde x_j)}}{q(\tilde x_j)},\quad
              \nabla L \approx -\frac1n \sum_i \nabla f(x_i)
              + \frac1{u m} \sum_j \frac{\nabla e^{f(\tilde x_j)}}{q(\tilde x_j)}

    log Z is a function of a mean, and the logarithm of a batch's mean is biased; u is a mean over many batches.  Everything is
    computed with logarithms, so no exponential overflows.  The value is -mean f + log u, an estimate of the negative
    log-likelihood; the gradient is the one above.  The paper's moving average of gradients is the optimizer's momentum.

    Args:
        outputs: f of the data, shape ``(n,)``, and f of the noise, shape ``(m,)``.
        targets: log q of the noise, shape ``(m,)``; q must cover the data.
        state: empty at the first step, when u is the batch's mean; then as it was returned: log u.
        rate: γ in (0, 1], default 0.1; 1 is the biased gradient of one batch.

    Returns:
        The loss and the new state.

    Raises:
        ValueError: wrong shapes, no noise, or γ out of its range.

    Source: Jiang et al. 2023, arXiv:2306.07485 (MECO).

    Note: written from the abstract and a summary of Algorithm 1; the paper's own constants were not seen.
    """
    data, noise = outputs
    if data.dim() != 1 or noise.dim() != 1 or noise.shape != targets.shape or not len(noise):
        raise ValueError("meco: f of the data must have shape (n,), f and log q of the noise (m,) with m > 0, got "
                         f"{tuple(data.shape)}, {tuple(noise.shape)} and {tuple(targets.shape)}")  # fmt: skip
    if not 0 < rate <= 1:
        raise ValueError(f"meco: rate must lie in (0, 1], got {rate!r}")
    batch = torch.logsumexp(noise - targets, 0) - math.log(len(noise))
    log_u = batch.detach()
    if "log_u" in state and rate < 1:
        log_u = torch.logaddexp(state["log_u"] + math.log1p(-rate), log_u + math.log(rate))
    ratio = torch.exp(batch - log_u)
    return -data.sum() / max(len(data), 1) + log_u + ratio - ratio.detach(), {"log_u": log_u}


__all__ = ["meco"]
