"""Noise on the gradient that fades: any direction, of a gradient to which a little randomness was added."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real, whole
from steepest.core.part import Around, NewState, Scalars


class AnnealedNoise(Around):
    r"""Gaussian noise on every element of the gradient, whose variance falls with the steps.

    .. math:: d = D(g + \sigma_t\, \xi),\quad \xi \sim N(0, I),\quad \sigma_t^2 = \frac{\eta}{(1 + t)^\gamma},\quad
              t = 0, 1, \dots

    Args:
        inner: the direction D of the noisy gradient.
        variance: η in units of g², default 0.01, the smallest of the paper's 0.01, 0.3 and 1.
        decay: γ, default 0.55 (paper).
        seed: of all noise, default 0; with a parameter's place and step it fixes ξ, the same on every process.

    Source: Neelakantan et al. 2015, arXiv:1511.06807, equation 1.

    Note: the paper counts training steps and does not say from where; here the first has t = 0 and the variance η, and a
    parameter without a gradient counts no step.  Gradients are clipped before noise is added, as in the paper, if they are
    clipped before ``step``.
    """

    variance: float = real("[0, inf)", default=0.01)
    decay: float = real("[0, inf)", default=0.55)
    seed: int = whole("[0, inf)", default=0)
    draws = ("noise",)
    cite = ("neelakantan2015adding",)

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """σₜ."""
        return {"sigma": (h.variance / t**h.decay) ** 0.5}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        return self.apply_inner(g + s.noise * h.sigma, x, s, h)
