"""GAM: flat to first order, where the gradient is small all around and not only the loss."""

from __future__ import annotations

import math

from steepest.core.evaluate import Evidence
from steepest.core.fields import flag, real
from steepest.core.part import Point
from steepest.core.step import Run
from steepest.point.perturbed import Parts, combine, gradients_of, restoring, walk, with_gradient, with_groups


class GAM(Point):
    r"""Gradient norm aware minimization, in its form with first-order gradients only.

    .. math::
        g_1 &= g\Bigl(x + \rho' \frac{g_0}{\lVert g_0\rVert}\Bigr),\quad
        z = x + \rho\, \frac{g_1 - g_0}{\lVert g_1 - g_0\rVert},\quad
        g_2 = g(z),\quad g_3 = g\Bigl(z + \rho' \frac{g_2}{\lVert g_2\rVert}\Bigr) \\
        n &= \alpha g_1 + (1 - \alpha) g_3,\quad m = \beta g_0 + (1 - \beta) g_2,\quad
        \text{descended:}\ n - \gamma\, \Bigl(m - \frac{\langle m, n\rangle}{\lVert n\rVert^2}\, n\Bigr)

    g₁ - g₀ points where the norm of the gradient grows, so z is the worst point for that norm.  Four gradients a step.

    Args:
        rho: ρ, radius within which the gradient's norm is worst, default 0.2 (authors' code).
        ascent: ρ', step of the finite differences, default 0.02 (authors' code, ResNet on CIFAR-100).
        alpha: α, weight of g₁ against g₃, default 0.6 (as before).
        blend: β, weight of g₀ against g₂ in m, default 0.5 (as before).
        tilt: γ, how much of what is perpendicular to n is taken away, default 0.03 (as before).
        whole: in m, g₀ has the weight 1 instead of β (authors' code), default False (paper).

    Source: Zhang et al. 2023, arXiv:2303.03108, Appendix D; hyper-parameters of the authors' code and its README.

    Note: the paper's Algorithm 1 descends g₀ + αρ∇‖g(z)‖ with Hessian-vector products; this is the form that the authors
    release.  Their code has g₀ + (1-β) g₂ for m: ``whole=True``.
    """

    rho: float = real("[0, inf)", default=0.2)
    ascent: float = real("[0, inf)", default=0.02)
    alpha: float = real("[0, 1]", default=0.6)
    blend: float = real("[0, 1]", default=0.5)
    tilt: float = real("[0, inf)", default=0.03)
    whole: bool = flag(default=False)
    needs = frozenset({"closure"})
    cite = ("zhang2023gam",)

    def ask(self, run: Run) -> Evidence:
        """Loss here, the mixture of four gradients."""
        here = run.evaluate()
        g0 = gradients_of(run, here)
        if not 0.0 < run.dot(g0, g0) < math.inf:
            return here
        one, minus = [1.0] * len(g0), [-1.0] * len(g0)
        alpha, beta, gamma = (
            [run.h(name, group) for _, group in with_groups(run)] for name in ("alpha", "blend", "tilt")
        )
        with restoring(run) as x:
            self.climb(run, g0, "ascent")
            g1 = gradients_of(run, run.evaluate())
            run.restore(x)
            self.climb(run, combine((one, g1), (minus, g0)), "rho")
            g2 = gradients_of(run, run.evaluate())
            self.climb(run, g2, "ascent")
            last = run.evaluate()
        n = combine((alpha, g1), ([1 - a for a in alpha], gradients_of(run, last)))
        m = combine((one if self.whole else beta, g0), ([1 - b for b in beta], g2))
        length = run.dot(n, n)
        along = run.dot(m, n) / length if length > 0 else 0.0
        c = [1 + s * along for s in gamma]
        return with_gradient(run, last, here.loss, combine((c, n), ([-s for s in gamma], m)))

    @staticmethod
    def climb(run: Run, v: Parts, radius: str) -> None:
        """Go from here along v, as far as the group's radius says; nowhere if v has no direction."""
        norm = math.sqrt(run.dot(v, v))
        if 0.0 < norm < math.inf:
            walk(run, [run.h(radius, group) / norm for _, group in with_groups(run)], v)
