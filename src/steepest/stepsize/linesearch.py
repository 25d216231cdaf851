"""Stochastic line searches: try a step on the same mini-batch, and shorten it until the loss falls enough."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Literal

import torch
from torch import Tensor

from steepest.core.fields import real, whole, word
from steepest.core.part import LineSearch, Scalars
from steepest.core.step import Run

__all__ = ["SLS", "PoNoS"]

MOST = 100  # trials, as in the authors' code
LEAST = 1e-6  # of the first trial; shorter ones pass because x - ηd rounds to x, which says nothing about the step


class Armijo(LineSearch):
    """What both searches share: the slope of the loss along the direction, and the loop that shortens the step.

    ``shortened`` in ``param_groups`` is the number of backtracks of the last step.  A direction that points uphill on
    this mini-batch (a momentum may) has no such step: the weights stay, and the direction goes on to learn.
    """

    memory = {"shortened": 0.0}

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """⟨g, d⟩, and the same weighted by each group's lr: how fast the loss falls along the move."""
        return {"gd": g * d, "fall": g * d * h.lr}

    @staticmethod
    def backtrack(run: Run, start: float, shrink: float, reference: float, fall: float, memory: dict[str, float],
                  h: Scalars) -> tuple[float, bool]:  # fmt: skip
        """The first η of start, start·shrink, ... with f(x - η d) ≤ reference - c η ⟨g, d⟩, or 0 if there is none.

        Where η ⟨g, d⟩ is less than the loss's rounding that test says nothing: there an η passes that does not raise the loss
        by more than its rounding; True then.
        """
        loss = run.evidence.loss
        rounding = abs(reference) * (torch.finfo(loss.dtype).eps if isinstance(loss, Tensor) else 0.0)
        eta, memory["shortened"] = start, 0.0
        while eta >= LEAST * start and memory["shortened"] < MOST:
            blind = eta * fall < rounding
            if run.trial(eta) <= reference + (rounding if blind else -h.c * eta * fall):
                return eta, blind
            eta *= shrink
            memory["shortened"] += 1
        return 0.0, False


class SLS(Armijo):
    r"""The stochastic Armijo line search.

    .. math:: f(x - \eta d) \le f(x) - c\,\eta\,\langle g, d\rangle \quad\text{on one mini-batch}

    Starts from the last accepted step, enlarged; one forward for each trial.

    Args:
        c: sufficient decrease, default 0.1 (paper, deep nets; 0.5 in its convex theory).
        shrink: β, default 0.9 (paper).
        growth: γ; the first trial is γ^(1/batches_per_epoch) times the last step, default 2 (paper, deep nets).
        eta_max: bound and first step, default 1 (the authors' code).
        batches_per_epoch: default 500 (the authors' code).
        reset: ``"grow"`` as said, ``"keep"`` the last step, or ``"max"`` start from eta_max every time.

    Source: Vaswani et al. 2019, arXiv:1905.09997, Algorithms 1 and 2.

    Note: a search that fails (100 trials, or a millionth of the first) leaves the weights and starts from eta_max next
    time; the authors' code takes 1e-6 and goes on from 0.9¹⁰⁰ of its step.  A step that passes by rounding of the loss
    is not remembered, so that rounding cannot make steps shorter and shorter.
    """

    c: float = real("(0, 1)", default=0.1)
    shrink: float = real("(0, 1)", default=0.9)
    growth: float = real("[1, inf)", default=2.0)
    eta_max: float = real("(0, inf)", default=1.0)
    batches_per_epoch: int = whole("[1, inf)", default=500)
    reset: Literal["grow", "keep", "max"] = word(default="grow")
    memory = {**Armijo.memory, "eta_prev": 0.0}
    cite = ("vaswani2019painless",)

    def search(self, run: Run, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The accepted step."""
        fall, memory["shortened"] = sums.get("fall", 0.0), 0.0
        if fall <= 0:
            return 0.0
        last = memory["eta_prev"]
        grown = {"grow": last * h.growth ** (1 / self.batches_per_epoch), "keep": last, "max": h.eta_max}[self.reset]
        start = min(grown, h.eta_max) if last > 0 else h.eta_max
        eta, blind = self.backtrack(run, start, h.shrink, loss, fall, memory, h)
        memory["eta_prev"] = last if blind else eta
        return eta


class PoNoS(Armijo):
    r"""Polyak nonmonotone stochastic line search: Polyak's step first, and a reference that need not fall.

    .. math:: f(x - \eta d) \le \max(C, f(x)) - c\,\eta\,\langle g, d\rangle,\quad
              C \leftarrow \frac{\xi Q C + f(x)}{\xi Q + 1},\quad Q \leftarrow \xi Q + 1

    starting from :math:`\min\bigl(\delta^{\bar l}\,(f - f^*)/(c_p\langle g, d\rangle),\ \eta_{\max}\bigr)`, where the
    memory :math:`\bar l \leftarrow \max(\bar l + l - \varphi, 0)` of past backtracks l falls by φ a step.  So backtracks
    never average above φ a step; there are none once Polyak's step (or eta_max) passes as it is.

    Args:
        c: sufficient decrease, default 0.5 (paper).
        c_p: Polyak's constant, default 0.1 (paper).
        delta: δ, shortening, default 0.5 (paper).
        eta_max: default 10 (paper; 1e10 in its convex experiments).
        xi: ξ, weight of the past in the reference, default 1 (paper).
        f_star: default 0.
        forget: φ, default 1 (paper).  Below, longer steps are tried less often and fewer forwards paid; ∞: no memory.
        stored: what is kept as C, the ``"mean"`` above (authors' code) or ``"max"``, max(C, f).

    Source: Galli, Rauhut & Schmidt 2023, arXiv:2306.12747, Algorithm 1 (as quoted by third parties; constants from
    the authors' code).

    Note: third parties quote the paper with the maximum stored; the authors' code, which its figures come from, stores
    the mean.  It matters: a stored maximum is a ratchet, and after ten epochs on Fashion-MNIST the loss is nearly twice
    that of the mean, and above that of the monotone search.  After a failed search (100 trials, or a millionth of the
    first) weights and memory are left alone; in the authors' code the memory grows by 98 and the method stands still
    for dozens of steps.  Otherwise the two agree: on the same batches of a small net their file makes the same number of
    trials, until rounding parts them, and 0.96 to 1.17 backtracks a step in each of ten epochs.  Trained as long as in
    the paper (a perceptron, 200 epochs of Fashion-MNIST) both make about one a step for 40 epochs and none after the 90th: 0.33
    in the mean, and 0.31 by their file.  φ is ours.
    """

    c: float = real("(0, 1)", default=0.5)
    c_p: float = real("(0, inf)", default=0.1)
    delta: float = real("(0, 1)", default=0.5)
    eta_max: float = real("(0, inf)", default=10.0)
    xi: float = real("[0, 1]", default=1.0)
    f_star: float = real("(-inf, inf)", default=0.0)
    forget: float = real("(0, inf]", default=1.0)
    stored: Literal["mean", "max"] = word(default="mean")
    memory = {**Armijo.memory, "C": 0.0, "Q": 0.0, "backtracks": 0.0}
    cite = ("galli2023ponos",)

    def search(self, run: Run, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """The accepted step."""
        mix = h.xi * memory["Q"]
        mean = (mix * memory["C"] + loss) / (mix + 1)
        reference = max(mean, loss)
        memory["C"], memory["Q"] = reference if self.stored == "max" else mean, mix + 1
        slope, fall, gap = sums.get("gd", 0.0), sums.get("fall", 0.0), loss - h.f_star
        memory["shortened"] = 0.0
        if fall <= 0 or slope <= 0 or gap <= 0:
            return 0.0
        start = min(gap / (h.c_p * slope) * h.delta ** memory["backtracks"], h.eta_max)
        eta, _ = self.backtrack(run, start, h.delta, reference, fall, memory, h)
        if eta > 0:
            memory["backtracks"] = max(memory["backtracks"] + memory["shortened"] - h.forget, 0.0)
        return eta
