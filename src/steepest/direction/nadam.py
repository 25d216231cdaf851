"""NAdam: Adam that looks ahead, with the momentum of the next step on the average and of this step on the gradient."""

from __future__ import annotations

from math import exp, expm1, log
from types import SimpleNamespace

import torch
from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Direction, NewState, Scalars, State


class NAdam(Direction):
    r"""The direction of NAdam.

    .. math:: \mu_t = \beta_1 \bigl(1 - \tfrac12 0.96^{t\psi}\bigr),\quad
              m \leftarrow \beta_1 m + (1-\beta_1) g,\quad v \leftarrow \beta_2 v + (1-\beta_2) g^2,\quad
              d = \frac{\mu_{t+1} m / (1 - \prod_{i \le t+1} \mu_i) + (1-\mu_t) g / (1 - \prod_{i \le t} \mu_i)}
                       {\sqrt{v / (1-\beta_2^t)} + \epsilon}

    Args:
        beta1: decay of the first moment and limit of μ, default 0.9 (torch).
        beta2: decay of the second moment, default 0.999 (paper).
        eps: in units of g, default 1e-8 (paper).
        momentum_decay: ψ, how fast μ rises from β₁/2 to β₁, per step, default 4e-3 (torch).

    Source: Dozat 2016, Incorporating Nesterov Momentum into Adam, ICLR workshop, Algorithm 2, as torch.optim.NAdam writes it.

    Note: the paper's algorithm averages with the schedule, too: m ← μ_t m + (1 - μ_t) g; torch and Keras average with β₁,
    and so do we.  The paper leaves the schedule of μ open; ½ and 0.96 are those of the author's earlier report.

    Note: the product is of the μ that were used, also where a schedule changes β₁ or ψ; it is a number kept with each
    parameter (torch keeps it in float32, unless the default type is float64).  Checkpoints from before it was kept go on
    with the product that t steps at the present β₁ and ψ give.
    """

    beta1: float = real("[0, 1)", default=0.9)
    beta2: float = real("[0, 1)", default=0.999)
    eps: float = real("[0, inf)", default=1e-8)
    momentum_decay: float = real("[0, inf)", default=4e-3)
    state = {"m": State(), "v": State(signed=False)}
    cite = ("dozat2016nadam",)
    torch_names = {"m": "exp_avg", "v": "exp_avg_sq"}
    numbers = keeps = ("mu_product",)

    @staticmethod
    def product(t: int, beta1: float, psi: float) -> float:
        """μ₁ ⋯ μ_t at one β₁ and ψ without going through the steps: log(1 - q^i/2) = -Σ_k q^(ik)/(k 2^k), Σ_i is geometric.

        >>> from math import prod
        >>> NAdam.product(50, 0.99, 0.1) / prod(0.99 * (1 - 0.5 * 0.96 ** (i * 0.1)) for i in range(1, 51))
        1.00000000000
        """
        bound = beta1**t
        if bound < 1e-20:  # 1 - Π is 1
            return bound
        a = psi * log(0.96)
        sums = (exp(a * k) * (expm1(a * k * t) / expm1(a * k) if a else t) / (k * 2**k) for k in range(1, 54))
        return bound * exp(-sum(sums))

    def resumed(self, t: int, h: Scalars) -> dict[str, float]:
        """The product of t steps at the present β₁ and ψ."""
        return {"mu_product": self.product(t, h.beta1, h.momentum_decay)}

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The product of the μ, weights of m and of g, and the second moment's bias correction c2 = 1/√(1 - β₂ᵗ)."""
        now, ahead = (h.beta1 * (1 - 0.5 * 0.96 ** (i * h.momentum_decay)) for i in (t, t + 1))
        product = h.mu_product * now
        return {
            "mu_product": product,
            "of_m": ahead / (1 - product * ahead),
            "of_g": (1 - now) / (1 - product),
            "c2": (1 - h.beta2**t) ** -0.5,
        }

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = s.m * h.beta1 + g * (1 - h.beta1)
        v = s.v * h.beta2 + g * g * (1 - h.beta2)
        return (m * h.of_m + g * h.of_g) / (torch.sqrt(v) * h.c2 + h.eps), {"m": m, "v": v}
