"""Schedule refinement: the gradient norms of one run say how the learning rate should go in the next.

Where gradients are large a step should be small, and what a step adds must be damped by all that come after it.  From
both together come a warm-up and a fast end, without a setting for either.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from steepest.core.part import check_number, nearest
from steepest.schedule.norms import Record
from steepest.schedule.shape import Table

#: kind -> which norm, and the power of it that weighs a step
KINDS = {"sgd": ("l2", -2.0), "adam": ("l1", -1.0)}


def smoothed(G: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """The median of an odd number of neighbours; before the start the first value, after the end a mirror.

    >>> smoothed(np.array([5.0, 1.0, 2.0, 9.0]), 3)
    array([5., 2., 2., 2.])
    """
    half = width // 2
    padded = np.concatenate([np.full(half, G[0]), G, G[::-1][1 : half + 1]])
    window: list[float] = sorted(padded[:width])
    answer = [window[half]]
    for leaves, enters in zip(padded, padded[width:], strict=False):
        del window[bisect_left(window, leaves)]
        insort(window, enters)
        answer.append(window[half])
    return np.array(answer)


def refine(norms: Sequence[float | None] | Record, kind: str = "sgd", tau: float = 0.1) -> list[float]:
    r"""The refined schedule of a run: a factor for each step, the largest of them 1.

    .. math:: \hat G = \mathrm{median}_{\tau T}(G),\quad w_t = \hat G_t^{-2} \text{ (SGD)}\ \text{or}\
              \hat G_t^{-1} \text{ (Adam)},\quad \eta_t \propto w_t \sum_{p=t+1}^{T} w_p

    Args:
        norms: G, norms of the gradients of a run, one a step: Euclidean for ``"sgd"``, sums of absolute values for
            ``"adam"``.  Steps without a finite norm are bridged.
        kind: ``"sgd"`` (also with momentum) or ``"adam"`` (methods that divide by the size of g).
        tau: width of the median filter as a part of the run, default 0.1 (paper).

    Raises:
        ValueError: fewer than two norms, or norms of zero.

    Source: Defazio, Cutkosky, Mehta & Mishchenko 2023, arXiv:2310.07831, Algorithm 1; weights, width 2⌊τT/2⌋ + 1 and the
    two edges of the filter as in the authors' code (adaptive_scheduling, find_schedule.py and README).

    Note: the sum ends at T, so the last factor is 0 and the last step does not move: x_T is the iterate the theory is
    about, and it needs T − 1 steps.  Equal norms give linear decay over T − 1 steps.  In the paper norms of a run that
    reaches zero training loss spoil the schedule (gradients vanish at the end, and everything before is damped); this is
    quoted from memory.

    Example:
        >>> refine([2.0, 2.0, 2.0, 2.0, 2.0])
        [1.0, 0.75, 0.5, 0.25, 0.0]
        >>> refine([2.0, 1.0, 1.0], tau=0.01)  # w = ¼, 1, 1: ¼·2, 1·1, 0
        [0.5, 1.0, 0.0]
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(map(repr, KINDS))}, got {kind!r}{nearest(kind, KINDS)}")
    check_number("refine", "tau", tau, "(0, 1]")
    which, power = KINDS[kind]
    values = getattr(norms, which) if isinstance(norms, Record) else norms
    G = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
    fine = np.isfinite(G)
    if fine.sum() < 2:
        raise ValueError(f"refinement needs the gradient norms of at least two steps, got {int(fine.sum())}")
    steps = np.arange(len(G))
    G = smoothed(np.interp(steps, steps[fine], G[fine]), int(tau * len(G)) // 2 * 2 + 1)
    if G.min() <= 0:
        raise ValueError(f"the gradient norm is {G.min():g} around step {int(G.argmin()) + 1} of {len(G)}: a step there "
                         "would have no bound; leave out the steps after the run had converged")  # fmt: skip
    w = (G / G.min()) ** power
    later = np.append(np.cumsum(w[::-1])[::-1][1:], 0.0)
    return [float(v) for v in w * later / (w * later).max()]


class Refined(Table):
    """The refined schedule of an earlier run; see :func:`steepest.schedule.refine`.

    Args:
        optimizer: any torch optimizer.
        norms: gradient norms of the earlier run, or its ``Record`` (:class:`steepest.schedule.Norms` makes one).
        kind: ``"sgd"`` or ``"adam"``.
        steps: of this run, default as many as the earlier one had.
        tau: width of the median filter as a part of the run, default 0.1 (paper).
        last_epoch: as for torch's schedulers.

    Example:
        >>> opt = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
        >>> schedule = Refined(opt, [4.0, 2.0, 1.0, 1.0, 1.0, 1.0], tau=0.1)
        >>> [round(f, 2) for f in schedule.factors]
        [0.09, 0.33, 1.0, 0.67, 0.33, 0.0]
    """

    def __init__(self, optimizer: torch.optim.Optimizer, norms: Sequence[float | None] | Record, kind: str = "sgd",
                 steps: int | None = None, tau: float = 0.1, last_epoch: int = -1) -> None:  # fmt: skip
        super().__init__(optimizer, refine(norms, kind, tau), steps, last_epoch)
