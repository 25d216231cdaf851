"""SWATS: the learning rate at which SGD would have gone as far as Adam goes, and when to believe it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import real
from steepest.core.part import Scalars, StepSize
from steepest.core.rate import IS_THE_STEP


class SWATS(StepSize):
    r"""Switch from Adam to SGD when the learning rate that SGD would need has settled.

    .. math:: \gamma_t = \frac{\langle p, p\rangle}{\langle p, g\rangle},\quad
              \lambda \leftarrow \beta_2\lambda + (1-\beta_2)\,\gamma_t,\quad
              \Bigl|\frac{\lambda}{1-\beta_2^t} - \gamma_t\Bigr| < \epsilon,\ t > 1 \;\Rightarrow\;
              \Lambda = \frac{\lambda}{1-\beta_2^t}

    with Adam's step p = lr d over all tensors; from the next step on the move is (1 - β₁) Λ along ``direction.SwitchedAdam``'s
    momentum.  A schedule of ``lr`` goes on: Λ is relative to ``lr`` as it is at the switch.  Steps with ⟨p, g⟩ = 0 leave λ
    as it is.  ``opt.metrics()`` reports ``in_sgd`` and ``sgd_rate``, Λ/lr.

    Args:
        settled: ε, default 1e-9 (paper).

    Source: Keskar & Socher 2017, arXiv:1712.07628, Algorithm 1.

    Note: the switch is one for all tensors, as in the paper; a port that is often copied decides tensor by tensor.  The paper
    takes a negative γ as it comes, and so does this; Λ itself is believed only if positive.
    """

    settled: float = real("[0, inf)", default=1e-9)
    memory = {"gamma_mean": 0.0, "compared": 0.0, "sgd_rate": 0.0, "in_sgd": 0.0}
    needs = frozenset({"beta1", "beta2"})
    gives = frozenset({"switch to SGD"})
    reads_lr = IS_THE_STEP
    cite = ("keskar2017improving",)

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """⟨p, p⟩ and ⟨p, g⟩."""
        p = d * h.lr
        return {"pp": p * p, "pg": p * g}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """1 as long as it is Adam, then (1 - β₁) Λ / lr."""
        if memory["sgd_rate"] > 0:
            memory["in_sgd"] = 1.0
            return (1 - h.beta1) * memory["sgd_rate"]
        memory["compared"] += 1
        if sums.get("pg", 0.0) != 0 and h.lr > 0:
            gamma = sums["pp"] / sums["pg"]
            memory["gamma_mean"] = h.beta2 * memory["gamma_mean"] + (1 - h.beta2) * gamma
            rate = memory["gamma_mean"] / (1 - h.beta2 ** memory["compared"])
            if memory["compared"] > 1 and rate > 0 and abs(rate - gamma) < h.settled:
                memory["sgd_rate"] = rate / h.lr
        return 1.0
