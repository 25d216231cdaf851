"""Separating two classes by a hyperplane: gradient descent with huge steps, and the perceptron it turns into.

The margin of row i is mᵢ = yᵢ aᵢᵀθ. The gradient of the logistic loss weighs row i by 1/(1 + exp mᵢ), which for a huge step
size γ is 1 on rows that are on the wrong side and 0 on the others: the batch perceptron. What counts is the number of
steps until all margins are positive; the loss says little about it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from steepest.solve.result import Result

Weigh = Callable[[Tensor], Tensor]


def lr_gd(A: Tensor, y: Tensor, gamma: float = 1.0, steps: int = 10_000, start: Tensor | None = None) -> Result:
    r"""Logistic regression by gradient descent, until the classes are separated.

    .. math:: \theta \leftarrow \theta + \frac{\gamma}{n} \sum_i \frac{y_i a_i}{1 + e^{y_i a_i^\top\theta}}

    Args:
        A: rows a, n by d.
        y: labels, 1 or -1.
        gamma: step size γ; any size separates, and a larger one mostly sooner.
        steps: at most.
        start: θ to begin with, default 0.

    Returns:
        ``x`` is θ; ``history`` has the mean logistic ``loss`` and the number of rows that are ``wrong`` (margin ≤ 0), before
        each step and at the end.

    Source: Tyurin 2024, arXiv:2412.08424.

    Example:
        >>> A = torch.tensor([[1.0, 0.2], [1.0, 0.2], [1.0, 0.2], [-0.8, 1.0]])
        >>> result = lr_gd(A, torch.ones(4), gamma=10.0)
        >>> result.solved, result.history["wrong"]
        (True, [4.0, 1.0, 0.0])
    """
    return _separate(A, y, steps, start, gamma, lambda m: torch.sigmoid(-m) * (gamma / len(m)))


def normalized_lr_gd(
    A: Tensor, y: Tensor, gamma: float = 1.0, steps: int = 10_000, start: Tensor | None = None
) -> Result:
    r"""Gradient descent on logistic regression, divided by the total weight of the rows, until the classes are separated.

    .. math:: \theta \leftarrow \theta + \gamma\,
              \frac{\sum_i s_i y_i a_i}{\sum_i s_i},\quad s_i = \frac{1}{1 + e^{y_i a_i^\top\theta}}

    A few wrong rows among very many right ones move θ as far as they would alone.

    Args:
        A: rows a, n by d.
        y: labels, 1 or -1.
        gamma: step size γ.
        steps: at most.
        start: θ to begin with, default 0.

    Returns:
        As :func:`lr_gd`.

    Source: Tyurin 2024, arXiv:2412.08424, which calls it Normalized LR+GD.

    Note: the paper's normalization was not at hand; this one is reconstructed from what its abstract says of the method
    (the connection with the perceptron, and a complexity without the factor n of the batch perceptron).
    """

    def weigh(m: Tensor) -> Tensor:
        return torch.softmax(F.logsigmoid(-m), 0) * gamma  # sᵢ/Σs, where s may be as small as e⁻¹⁰⁰⁰

    return _separate(A, y, steps, start, gamma, weigh)


def batch_perceptron(A: Tensor, y: Tensor, steps: int = 10_000, start: Tensor | None = None) -> Result:
    r"""The batch perceptron: what gradient descent on logistic regression, over γ, is for γ → ∞.

    .. math:: \theta \leftarrow \theta + \frac1n \sum_{m_i < 0} y_i a_i

    where a row with a margin of exactly zero counts half, as in the limit.

    Args:
        A: rows a, n by d.
        y: labels, 1 or -1.
        steps: at most.
        start: θ to begin with, default 0.

    Returns:
        As :func:`lr_gd`.

    Source: Tyurin 2024, arXiv:2412.08424; the half is ours.
    """
    half = torch.tensor(0.5, dtype=A.dtype, device=A.device)
    return _separate(A, y, steps, start, 1.0, lambda m: torch.heaviside(-m, half) / len(m))


def _separate(A: Tensor, y: Tensor, steps: int, start: Tensor | None, gamma: float, weigh: Weigh) -> Result:
    if A.dim() != 2 or not A.is_floating_point() or not len(A):
        raise ValueError(f"A must be a table of floating-point numbers, one row a sample, got {A.dtype} of shape "
                         f"{tuple(A.shape)}")  # fmt: skip
    if y.shape != A.shape[:1] or not bool((y.abs() == 1).all()):
        raise ValueError(f"y must have {len(A)} labels, each 1 or -1, got shape {tuple(y.shape)} with values "
                         f"{sorted(set(y.flatten().tolist()))[:4]}: for labels 0 and 1 give 2 * y - 1")  # fmt: skip
    if not 0 < gamma < float("inf"):
        raise ValueError(f"gamma must be positive and finite, got {gamma!r}")
    if not bool(torch.isfinite(A).all()):
        raise ValueError("A has entries that are not finite")
    rows = A * y.to(A.dtype)[:, None]
    theta = torch.zeros_like(rows[0]) if start is None else start.to(rows).clone()
    history: dict[str, list[float]] = {"loss": [], "wrong": []}
    for t in range(steps + 1):
        margins = rows @ theta
        history["loss"].append(float(F.softplus(-margins).mean()))
        history["wrong"].append(float((margins <= 0).sum()))
        if history["wrong"][-1] == 0:
            return Result(True, "the classes are separated", t, history, {"products": 2 * t + 1}, theta)
        if t < steps:
            theta = theta + weigh(margins) @ rows
    left = f"{history['wrong'][-1]:.0f} rows are on the wrong side"
    return Result(False, left, steps, history, {"products": 2 * steps + 1}, theta)
