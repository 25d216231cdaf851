"""infoSAM: lean less where gradients are noisy, so that the adversary follows the loss and not the batch."""

from __future__ import annotations

from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import NewState, Scalars, State
from steepest.point.presam import PreSAM


class InfoSAM(PreSAM):
    r"""Sharpness-aware minimization with gradients weighed by an estimate of their noise: preSAM on its objective.

    .. math:: m_t = \alpha\, m_{t-1} + (1 - \alpha)\, g_t,\quad
        C_t = \operatorname{diag}\frac{1}{(m_t - g_t)^2 + \epsilon},\quad
        q(x) = x + \rho\, \frac{C_t g_t}{\lVert C_t g_t\rVert},\quad m_1 = g_1,\ C_1 = 1

    Two gradients a step, as SAM; one average is kept.  Since m - g = α (m_{t-1} - g_t), only ε and m know of α.

    Args:
        rho: radius ρ in units of x, default 0.05 (authors' code).
        alpha: decay α of the average, default 0.9 (ours).
        floor: ε in units of g², default 1e-12 (ours): where a gradient stays zero the noise is zero, too, and ε
            avoids 0/0.  A floor far above all noise makes C a number, and this is SAM.

    Source: named and described by Zhang, Li & Giannakis 2025, arXiv:2501.06603; equations from their earlier code.

    Note: **not reproduced: the paper's equation has not been seen.**  The paper was read in excerpts, which say that
    gradients are weighed by their estimated variance and not how.  The equations are those of ``solver/infosam.py``
    (called there "variance inversed") in the first commit beside its second author's VaSSO, two years before the paper.
    That file cannot run: α is never set, it has no default, and nothing stands beside the variance, so a gradient that
    stays zero is NaN.  Others describe an average of the variance and its root; neither could be verified.

    Note: at the default floor the step to the worst point follows the few weights whose noise happens to be smallest: its
    cosine with the gradient of the whole loss was 0.001 where SAM's was 0.39.  Floors of 1e-4 and 1e-2 gave 0.22 and
    0.36 there (claim ``infosam-adversary``, which is *not tested* for the reason above).
    """

    alpha: float = real("[0, 1)", default=0.9)
    floor: float = real("(0, inf)", default=1e-12)
    state = {"signal": State()}  # m, in units of g
    on = "objective"

    def precondition(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor | float, NewState]:
        """One over the noise."""
        if h.t == 1:
            return 1.0, {"signal": g}
        m = s.signal * h.alpha + g * (1.0 - h.alpha)
        return 1.0 / ((m - g).square() + h.floor), {"signal": m}
