"""Stochastic model building: where the plain step fails, a quadratic model of each tensor's loss says where to go."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from steepest.core import shard
from steepest.core.evaluate import Evidence
from steepest.core.part import Point
from steepest.core.run import Run


def products(run: Run, g: list[Tensor | None], y: list[Tensor | None]) -> list[list[float]]:
    """‖g‖², ‖y‖² and ⟨y, g⟩ of each tensor, over all its shards; zeros where there is no gradient."""
    rows = torch.zeros(len(g), 3, dtype=torch.float64)
    for k, (a, b) in enumerate(zip(g, y, strict=True)):
        if a is not None and b is not None:
            a, b = a.double(), b.double()
            rows[k] = torch.stack([(a * a).sum(), (b * b).sum(), (a * b).sum()]).cpu()
    reduce = shard.reducer(run.params)
    if reduce is not None:
        reduce(rows)
    found: list[list[float]] = rows.tolist()
    return found


def coefficients(lr: float, sums: list[float], kappa: float) -> tuple[float, float]:
    """a and b of the model's step a g + b y, for s = -lr g; zero where g is zero."""
    gg, yy, yg = sums
    if lr * gg == 0.0:
        return 0.0, 0.0
    ss, sg, ys = lr * lr * gg, -lr * gg, -lr * yg
    sigma = 0.5 * (math.sqrt(ss) * (math.sqrt(yy) + math.sqrt(gg) / kappa) - ys)
    theta = (ys + 2 * sigma) ** 2 - ss * yy
    cg = -ss / (2 * sigma)
    cs = cg / theta * (-(ys + 2 * sigma) * yg + yy * sg)
    cy = cg / theta * (-(ys + 2 * sigma) * sg + ss * yg)
    return cg - cs * lr, cy


class SMB(Point):
    r"""Stochastic model building.

    The plain step s = -ηg is tried on the same mini-batch.  If f(x + s) > f(x) - c η‖g‖², the gradient there is asked,
    too, and each tensor takes the step of a model of its own,

    .. math:: -\lVert s\rVert^2 \bigl(2\sigma I + s y^\top + y s^\top\bigr)^{-1} g,\quad y = g(x+s) - g(x),\quad
              \sigma = \tfrac12\Bigl(\lVert s\rVert\bigl(\lVert y\rVert + \tfrac{1}{\kappa}\lVert g\rVert\bigr)
              - \langle s, y\rangle\Bigr)

    a combination of g and y, which is shorter and turned.  Two forwards and a backward where the plain step is right, a
    forward and a backward more where it is not.  η is the ``lr``.

    Args:
        c: sufficient decrease, default 0.1 (authors' experiments).
        kappa: the paper's η, how far the model is trusted, default 0.99 (authors' experiments).

    Source: Birbil, Martin, Onay & Öztoprak 2021, arXiv:2111.07058, Algorithm 1 (as quoted by third parties and in the
    authors' code), with one tensor as a parameter group of the paper.

    Note: a tensor whose gradient is zero stays; in the authors' code it becomes NaN.  The sufficient decrease is asked
    once, for all groups together.  SMBi, which builds the model on another mini-batch, is not here.
    """

    hyper = {"c": (0.1, "(0, 1)"), "kappa": (0.99, "(0, 1)")}
    needs = frozenset({"closure"})
    cite = ("birbil2024bolstering",)

    def ask(self, run: Run) -> Evidence:
        """The gradient here where the plain step is right; otherwise what makes the driver take the model's step."""
        here, sign = run.evaluate(), run.opt._loss_sign()
        g = run.grads(here)
        rates = [float(group["lr"]) for group in run.opt.param_groups for _ in group["params"]]
        fall = run.dot(g, [gi if gi is None else gi * lr for gi, lr in zip(g, rates, strict=True)])
        if run.left_out or here.loss is None or fall <= 0 or not math.isfinite(fall):
            return here
        bound = sign * shard.mean_over_ranks(float(here.loss)) - run.h("c") * fall
        x = run.save()
        try:
            run.shift(gi if gi is None else gi * -lr for gi, lr in zip(g, rates, strict=True))
            if sign * run.loss() <= bound:
                return here
            there = run.grads(run.evaluate())
        finally:
            run.restore(x)
        y = [None if a is None or b is None else b - a for a, b in zip(g, there, strict=True)]
        for p, a, b, lr, sums in zip(run.params, g, y, rates, products(run, g, y), strict=True):
            if p.grad is not None and a is not None and b is not None and lr > 0:
                ca, cb = coefficients(lr, sums, run.h("kappa"))
                p.grad = p.grad.clone()  # what backward delivered is not written
                shard.local(p.grad).copy_((a * ca + b * cb) * (-sign / lr))  # the driver moves by -lr of it
        return Evidence(here.loss)
