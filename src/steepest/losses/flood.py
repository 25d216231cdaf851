"""Flooding: the training loss is kept at a level, by climbing whenever it is below."""

from __future__ import annotations

import math

from torch import Tensor


def flood(loss: Tensor, level: float) -> Tensor:
    r"""The flooded loss.

    .. math:: \lvert L - b\rvert + b

    Put it into the closure of any method.  Near the level a step up and a step down of length η are together a step of
    -η² (g(x + ηg) - g(x))/η: the gradient of η²‖g‖²/2 by the forward difference of ``steepest.FGR(ascent=η)``, and
    nothing of g itself.

    >>> import torch
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> loss = flood(x.square().sum(), level=1.5)
    >>> loss.item()
    2.0
    >>> loss.backward()
    >>> x.grad  # upwards
    tensor([-2.])

    Args:
        loss: L, of any shape; the mean over the mini-batch, as in the paper.
        level: b, in units of L; where L is just b the gradient is zero.

    Raises:
        ValueError: a level that is not finite.

    Source: Ishida et al. 2020, arXiv:2002.08709, by its abstract; Karakida et al. 2023, arXiv:2210.02720, for what it does.
    """
    if not math.isfinite(level):
        raise ValueError(f"level must be finite, got {level!r}")
    return (loss - level).abs() + level


__all__ = ["flood"]
