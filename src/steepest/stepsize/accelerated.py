"""Distance over gradients, accelerated: weights of steps and points that grow once the distance is known.

While the distance r̄ grows every step begins anew; once it stands still α_t grows like t, as in Nesterov's method.  The
points where these methods evaluate are in ``point.accelerated``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import NewState, Scalars, State, StepSize


class UDoG(StepSize):
    r"""The step sizes of U-DoG, for both half steps of ``point.UniXGrad``.

    .. math:: \alpha_t = \sum_{k\le t}\bar r_k / \bar r_t,\quad \omega_t = \alpha_t \bar r_t,\quad
              \bar r_t = \max_{k\le t}\max\{\lVert y_k - x_0\rVert, \lVert x_k - x_0\rVert, r_\epsilon\}

    .. math:: \eta_{x,t} = \frac{\bar r_t}{\sqrt{\max\{Q_{t-1}, M_t\}}},\quad
              \eta_{y,t} = \frac{\bar r_t}{\sqrt{\max\{Q_t, M_t\}}},\quad
              Q_t = \sum_{k\le t}\alpha_k^2\lVert g_k - m_k\rVert^2,\quad M_t = \max_{k\le t}\alpha_k^2\lVert m_k\rVert^2

    The steps are :math:`\alpha_t\eta_{x,t}` along m_t (the gradient at ẑ_t) and :math:`\alpha_t\eta_{y,t}` along g_t (at
    x̂_t), over all parameters together.

    Args:
        reps_rel: r_ε / (1 + ‖x₀‖), default 1e-6 (paper).

    Source: Kreisler, Ivgi, Hinder & Carmon 2024, arXiv:2404.00666, Algorithm 1 with the step sizes of Appendix G.1.

    Note: these are the step sizes of the paper's experiments; those of its theorems are divided by
    :math:`12\log_+^2(1 + Q_t/\lVert m_0\rVert^2)` and, with noise, by more.  Distances are of y - ηd, so of the steps
    in Euclidean geometry.  Nothing moves before the first gradient that is not zero.
    """

    reps_rel: float = real("(0, inf)", default=1e-6)
    state = {"x0": State("x", exact=True), "asked": State()}
    memory = {"rbar": 0.0, "far": 0.0, "sum_r": 0.0, "sum_w": 0.0, "Q": 0.0, "M": 0.0, "half": 0.0}
    gives = frozenset({"weights of points"})
    needs = frozenset({"y"})
    cite = ("kreisler2024accelerated",)

    @staticmethod
    def share(memory: Mapping[str, float]) -> float:
        """The weight of this step's points among all, ω_t / Σω."""
        return memory["sum_r"] / memory["sum_w"] if memory["sum_w"] > 0 else 1.0

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖d‖², ‖d - m‖² and ‖x₀‖²."""
        return {"dd": d * d, "change": (d - s.asked) * (d - s.asked), "start": s.x0 * s.x0}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """α times η_x and α times η_y in turn."""
        if memory["rbar"] == 0.0:
            memory["rbar"] = memory["sum_r"] = memory["sum_w"] = h.reps_rel * (1 + math.sqrt(sums["start"]))
        alpha = memory["sum_r"] / memory["rbar"]
        if memory["half"]:
            memory["Q"] += alpha**2 * sums["change"]
        else:
            memory["M"] = max(memory["M"], alpha**2 * sums["dd"])
        memory["half"] = 1 - memory["half"]
        G = max(memory["Q"], memory["M"])
        return alpha * memory["rbar"] / math.sqrt(G) if G > 0 else 0.0

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """m for the second half step; how far the point is that this one leads to."""
        return {"asked": d}, {"far": (x - d * h.eta - s.x0) * (x - d * h.eta - s.x0)}

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """r̄ and the weights of the next step, when both halves are done."""
        memory["far"] = max(memory["far"], math.sqrt(sums["far"]))
        if not memory["half"]:
            memory["rbar"] = max(memory["rbar"], memory["far"])
            memory["sum_r"] += memory["rbar"]
            memory["sum_w"] += memory["sum_r"]


class ADoG(StepSize):
    r"""The step sizes of A-DoG: AcceleGrad with distance over gradients, for ``point.AcceleGrad``.

    .. math:: \eta_t = \frac{\bar r_t}{\sqrt{\sum_{k\le t}\alpha_k^2\lVert g_k\rVert^2}},\quad
              y_{t+1} = x_{t+1} - \eta_t g_t,\quad z_{t+1} = z_t - \alpha_t\eta_t g_t,\quad
              \bar r_{t+1} = \max\{\bar r_t, \lVert z_{t+1} - z_0\rVert\}

    with :math:`\alpha_t = \sum_{k\le t}\bar r_k/\bar r_t`, over all parameters together; one gradient a step.

    Args:
        reps_rel: r_ε / (1 + ‖x₀‖), default 1e-6 (paper).

    Source: Kreisler, Ivgi, Hinder & Carmon 2024, arXiv:2404.00666, Algorithm 2 (Appendix G.2).

    Note: the paper proves nothing about it and finds it better than U-DoG.  Its authors' research code has an α of half
    the sum, at least 1; here it is the paper's.
    """

    reps_rel: float = real("(0, inf)", default=1e-6)
    state = {"x0": State("x", exact=True), "z": State("x", exact=True)}
    memory = {"rbar": 0.0, "sum_r": 0.0, "sum_a": 1.0, "alpha": 1.0, "G": 0.0}
    gives = frozenset({"coupled sequence"})
    needs = frozenset({"coupling"})
    cite = ("kreisler2024accelerated",)

    @staticmethod
    def share(memory: Mapping[str, float]) -> float:
        """The part of z in the next point, α / Σα."""
        return memory["alpha"] / memory["sum_a"]

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖d‖² and ‖x₀‖²."""
        return {"dd": d * d, "start": s.x0 * s.x0}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """r̄/√G."""
        if memory["rbar"] == 0.0:
            memory["rbar"] = memory["sum_r"] = h.reps_rel * (1 + math.sqrt(sums["start"]))
        memory["G"] += memory["alpha"] ** 2 * sums["dd"]
        return memory["rbar"] / math.sqrt(memory["G"]) if memory["G"] > 0 else 0.0

    def advance(
        self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars
    ) -> tuple[NewState, dict[str, Tensor]]:
        """The long step of z, and where it leads."""
        z = s.z - d * (h.eta * h.alpha)
        return {"z": z}, {"far": (z - s.x0) * (z - s.x0)}

    def after(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars) -> None:
        """r̄ and the weights of the next step."""
        memory["rbar"] = max(memory["rbar"], math.sqrt(sums["far"]))
        memory["sum_r"] += memory["rbar"]
        memory["alpha"] = memory["sum_r"] / memory["rbar"]
        memory["sum_a"] += memory["alpha"]
