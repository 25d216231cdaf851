"""Distance-based steps: the right step size is a distance to the solution over a sum of gradients; estimate it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real, whole, word
from steepest.core.part import NewState, Per, Scalars, State, StepSize

__all__ = ["DAdaptAdam", "DAdaptMomentum", "DAdaptSGD", "DoG", "TDoG"]


class Reach(StepSize):
    """What DoG and its kin share: the largest distance from the start so far."""

    reps_rel: float = real("(0, inf)", default=1e-6)
    state = {"x0": State("x", exact=True)}
    cite = ("ivgi2023dog",)

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖d‖², ‖x - x₀‖² and ‖x₀‖²."""
        return {"dd": d * d, "moved": (x - s.x0) * (x - s.x0), "start": s.x0 * s.x0}

    @staticmethod
    def reach(sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """r̄ with this point."""
        least = memory["rbar"] or h.reps_rel * (1 + math.sqrt(sums["start"]))
        memory["rbar"] = max(least, math.sqrt(sums["moved"]))


class DoG(Reach):
    r"""Distance over gradients.

    .. math:: \eta_t = \frac{\bar r_t}{\sqrt{G_t}},\quad
              \bar r_t = \max_{i\le t}\lVert x_i - x_0\rVert \vee r_\epsilon,
              \quad G_t = \epsilon + \sum_{i\le t}\lVert d_i\rVert^2,\quad
              r_\epsilon = \rho_\epsilon (1 + \lVert x_0\rVert)

    over all parameters together; d = g in the paper.  With ``per="tensor"`` it is LDoG: each tensor has r̄, G and η of
    its own.

    Args:
        reps_rel: ρ_ε, default 1e-6 (paper; 1e-4 with batch normalisation).
        G0: ε, default 1e-8 (paper).
        per: who shares one step size: ``"all"`` (DoG), a ``"group"``, each ``"tensor"`` (LDoG).

    Source: Ivgi, Hinder & Carmon 2023, arXiv:2302.12022, equation (DoG); G includes this gradient, r̄ this point.

    Note: the paper evaluates a weighted average of the iterates: ``point.Average``.  The authors' code has one step size
    for each parameter group, the paper one for all.
    """

    G0: float = real("[0, inf)", default=1e-8)
    per: Per = word(default="all")
    memory = {"rbar": 0.0, "G": 0.0}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """r̄/√G."""
        first = memory["rbar"] == 0.0
        self.reach(sums, memory, h)
        memory["G"] += sums["dd"] + (h.G0 if first else 0.0)
        return memory["rbar"] / math.sqrt(memory["G"]) if memory["G"] > 0 else 0.0


class TDoG(Reach):
    r"""Tamed distance over gradients: DoG with a denominator so large that the points provably stay near.

    .. math:: \eta_t = \frac{\bar r_t}{\sqrt{G'_t}},\quad
              G'_t = 8^4\, \theta^2 \log_+^2\Bigl(1 + t\,\frac{\bar\ell_t^2}{\bar\ell_0^2}\Bigr)
              \bigl(G_{t-1} + 16\,\bar\ell_t^2\bigr),\quad \theta = \log\frac{60 \log 6T}{\delta}

    with t = 0, 1, ..., :math:`\log_+ z = 1 + \log z`, r̄ as in DoG, G the sum of ‖d‖² before this step, and ℓ̄ the largest
    bound of a gradient's norm so far.  On convex losses no point is farther than 3 ‖x₀ - x*‖ from x₀ in T steps, with
    probability 1 - δ, if r_ε is not.

    Args:
        reps_rel: ρ_ε, default 1e-6 (as DoG).
        delta: δ, default 0.01.
        bound: ℓ, a norm that no gradient exceeds; default 0: the largest one seen stands for it.
        steps: T, at least as long as the run, default 10,000.
        per: who shares one step size: ``"all"`` (paper), a ``"group"``, each ``"tensor"``.

    Source: Ivgi, Hinder & Carmon 2023, arXiv:2302.12022, equation (T-DoG) and the proposition on stability.

    Note: the constants are from memory, for the text was not at hand and the authors' code has no T-DoG; what is checked of
    them is the guarantee.  The paper's ℓ is a known function of x; a bound from gradients seen makes η depend on this
    gradient, and the proof does not cover it.
    The taming costs a factor of thousands: in 10,000 steps from a small r_ε it hardly moves, and it is here for theory.
    """

    delta: float = real("(0, 1)", default=0.01)
    bound: float = real("[0, inf)", default=0.0)
    steps: int = whole("[1, inf)", default=10_000)
    per: Per = word(default="all")
    memory = {"rbar": 0.0, "G": 0.0, "tamed": 0.0, "first": 0.0, "most": 0.0}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """r̄/√G'."""
        self.reach(sums, memory, h)
        t, before = memory["tamed"], memory["G"]
        memory["most"] = max(memory["most"], h.bound, math.sqrt(sums["dd"]))
        memory["first"] = memory["first"] or memory["most"]
        memory["tamed"], memory["G"] = t + 1, before + sums["dd"]
        if memory["most"] == 0:
            return 0.0
        theta = math.log(60 * math.log(6 * self.steps) / h.delta)
        tame = 64 * theta * (1 + math.log1p(t * (memory["most"] / memory["first"]) ** 2))
        return memory["rbar"] / (tame * math.sqrt(before + 16 * memory["most"] ** 2))


class DAdaptation(StepSize):
    """What the kinds of D-Adaptation share: an estimate of the distance that begins at d₀ and never falls.

    With a finite ``growth_rate`` it is no larger than that many times the one before (authors' code, against instability).
    """

    d0: float = real("(0, inf)", default=1e-6)
    growth_rate: float = real("(1, inf]", default=math.inf, kw_only=True)
    memory = {"distance": 0.0, "numerator": 0.0}
    cite = ("defazio2023dadaptation",)

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The estimate before this gradient."""
        memory["distance"] = memory["distance"] or h.d0
        return memory["distance"]

    @staticmethod
    def grow(memory: dict[str, float], above: float, below: float, h: Scalars) -> None:
        """To above/below, if that is more, and not faster than allowed; nothing is known where below is 0."""
        if below > 0:
            memory["distance"] = max(memory["distance"], min(above / below, memory["distance"] * h.growth_rate))


class DAdaptAdam(DAdaptation):
    r"""D-Adaptation for Adam: a growing lower bound d of the distance to the solution is the step size.

    .. math:: r \leftarrow \sqrt{\beta_2}\, r + (1-\sqrt{\beta_2})\, d\gamma \langle g, s\rangle_{A^{-1}},\quad
              s \leftarrow \sqrt{\beta_2}\, s + (1-\sqrt{\beta_2})\, d\gamma g,\quad
              d \leftarrow \max\Bigl(d, \frac{r}{(1-\sqrt{\beta_2})\lVert s\rVert_1}\Bigr)

    with A = √v + ε of this step, γ the ``lr`` (a schedule's multiplier), and Adam's first moment taken of dγg, so past
    values of d stay in it.  Adam goes without bias correction.

    Args:
        d0: the first estimate, default 1e-6 (paper); it should be too small.
        growth_rate: largest factor by which the estimate grows in a step, default infinite (paper; authors: 1.02 where
            training is unstable).
        per: who shares one estimate: ``"all"`` (paper), a ``"group"``, each ``"tensor"``.

    Source: Defazio & Mishchenko 2023, arXiv:2301.07733, Algorithm 4 as third parties quote its last version.

    Note: A is the new one, as in the paper; the authors' code has the old v there.  The first version (v1) has β₂ in the
    place of its root, and norms in the place of the inner product, which are not the same where s forgets.
    """

    per: Per = word(default="all")
    state = {"s": State()}
    needs = frozenset({"weighted moment", "v", "beta2", "eps"})
    weighs_gradient = True

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """q = √β₂."""
        return {"q": math.sqrt(h.beta2)}

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """New s; the numerator's term and ‖s‖₁."""
        a = torch.sqrt(s.v * h.beta2 + g * g * (1 - h.beta2)) + h.eps
        new = s.s * h.q + g * (h.w * (1 - h.q))
        return {"s": new}, {"inner": g * s.s * h.w / a, "norm1": new.abs()}

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """The estimate for the next step."""
        memory["numerator"] = h.q * memory["numerator"] + (1 - h.q) * sums.get("inner", 0.0)
        self.grow(memory, memory["numerator"], (1 - h.q) * sums.get("norm1", 0.0), h)


class DAdaptSGD(DAdaptation):
    r"""D-Adaptation for gradient descent.

    .. math:: \lambda = \frac{d\gamma}{\lVert g_0\rVert},\quad r \leftarrow r + \lambda\langle g, s\rangle,\quad
              s \leftarrow s + \lambda g,\quad d \leftarrow \max\Bigl(d, \frac{2 r}{\lVert s\rVert}\Bigr),\quad
              x^+ = x - \lambda g

    with γ the ``lr`` (a schedule's multiplier) and the old s in the inner product.

    Args:
        d0: the first estimate, default 1e-6 (paper).
        growth_rate: largest factor by which the estimate grows in a step, default infinite (paper; authors: 1.02 where
            training is unstable).
        per: who shares one estimate: ``"all"`` (paper), a ``"group"``, each ``"tensor"``.

    Source: Defazio & Mishchenko 2023, arXiv:2301.07733v1, Algorithm 3, momentum 0; its difference of norms is the same number.

    Note: the factor 2 lets d pass the true distance (d = 1.11 on |x| from 1), and without a falling schedule the method
    diverges on some least-squares problems.
    """

    per: Per = word(default="all")
    state = {"s": State()}
    memory = {**DAdaptation.memory, "g0": 0.0}

    def felt(self, g: Tensor, d: Tensor, x: Tensor, h: Scalars) -> Tensor:
        """The gradient: here what the direction answers."""
        return d

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖d‖², needed at the first step."""
        d = self.felt(g, d, x, h)
        return {"dd": d * d}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """d/‖g₀‖ with the estimate before this gradient; no move before the first nonzero gradient."""
        memory["g0"] = memory["g0"] or math.sqrt(sums.get("dd", 0.0))
        distance = super().eta(sums, memory, h, loss)
        return distance / memory["g0"] if memory["g0"] > 0 else 0.0

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """New s; λ⟨g, s⟩ and ‖s‖²."""
        d = self.felt(g, d, x, h)
        new = s.s + d * h.eta
        return {"s": new}, {"inner": d * s.s * h.eta, "norm2": new * new}

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """The estimate for the next step."""
        memory["numerator"] += sums.get("inner", 0.0)
        self.grow(memory, 2 * memory["numerator"], math.sqrt(sums.get("norm2", 0.0)), h)


class DAdaptMomentum(DAdaptSGD):
    r"""D-Adaptation for gradient descent with momentum, for ``direction.WeightedMomentum``.

    .. math:: z^+ = z - \lambda g(x),\quad x^+ = \beta x + (1 - \beta) z^+

    with λ, s and d as in :class:`DAdaptSGD`; every gradient keeps the λ of its own step.

    Args:
        d0: the first estimate, default 1e-6 (paper).
        growth_rate: as in :class:`DAdaptSGD`.
        per: who shares one estimate: ``"all"`` (paper), a ``"group"``, each ``"tensor"``.

    Source: Defazio & Mishchenko 2023, arXiv:2301.07733v1, Algorithm 3, as the authors' code has it.
    """

    needs = frozenset({"moment of weighted gradients", "weight_decay"})
    gives = frozenset({"weights of gradients"})
    weighs_gradient = True

    def felt(self, g: Tensor, d: Tensor, x: Tensor, h: Scalars) -> Tensor:
        """The gradient with decay, as the direction takes it."""
        return g + x * h.weight_decay
