"""Separating two classes by a hyperplane: gradient descent with huge steps, and the perceptron it turns into.

The margin of row i is mᵢ = yᵢ aᵢᵀθ. The gradient of the logistic loss weighs row i by 1/(1 + exp mᵢ), which for a huge step
size γ is 1 on rows that are on the wrong side and 0 on the others: the batch perceptron. What counts is the number of
steps until all margins are positive; the loss says little about it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from steepest.solve.driver import solve
from steepest.solve.margins.problem import Margins
from steepest.solve.result import Result
from steepest.solve.solver import Solver


@dataclass
class MarginState:
    """θ and the margins of all rows."""

    x: Tensor
    margins: Tensor


@dataclass(frozen=True)
class BatchPerceptron(Solver[Margins, MarginState]):
    r"""The batch perceptron, :math:`\theta \leftarrow \theta + \frac1n \sum_{m_i < 0} y_i a_i`; a margin of zero counts half.

    Measures the mean logistic ``loss`` and the number of rows that are ``wrong`` (margin ≤ 0).

    Source: Tyurin 2024, arXiv:2412.08424; the half is ours.
    """

    def weigh(self, m: Tensor) -> Tensor:
        """The weight of each row, from its margin."""
        return torch.heaviside(-m, torch.tensor(0.5, dtype=m.dtype, device=m.device)) / len(m)

    def init(self, problem: Margins) -> MarginState:
        """The margins at the start."""
        return MarginState(problem.start, problem.margins(problem.start))

    def step(self, problem: Margins, state: MarginState) -> MarginState:
        """One move."""
        x = state.x + problem.combine(self.weigh(state.margins))
        return MarginState(x, problem.margins(x))

    def measure(self, problem: Margins, state: MarginState) -> dict[str, float]:
        """From the margins alone."""
        m = state.margins
        return {"loss": float(F.softplus(-m).mean()), "wrong": float((m <= 0).sum())}


@dataclass(frozen=True)
class LogisticGD(BatchPerceptron):
    r"""Gradient descent on logistic regression.

    .. math:: \theta \leftarrow \theta + \frac\gamma n \sum_i \frac{y_i a_i}{1 + e^{m_i}}

    Args:
        gamma: γ, default 1; for a huge γ, over γ, it is the batch perceptron.

    Measures as :class:`BatchPerceptron`.

    Source: Tyurin 2024, arXiv:2412.08424.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.gamma < float("inf"):
            raise ValueError(f"gamma must be positive and finite, got {self.gamma!r}")

    def weigh(self, m: Tensor) -> Tensor:
        """γ/n over one plus the exponential of the margin."""
        return torch.sigmoid(-m) * (self.gamma / len(m))


@dataclass(frozen=True)
class NormalizedLogisticGD(LogisticGD):
    r"""Gradient descent on logistic regression, divided by the total weight of the rows; see :func:`normalized_lr_gd`."""

    def weigh(self, m: Tensor) -> Tensor:
        """γ times a softmax, where the weights themselves may be as small as e⁻¹⁰⁰⁰."""
        return torch.softmax(F.logsigmoid(-m), 0) * self.gamma


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
    return separate(A, y, steps, start, LogisticGD(gamma))


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
    return separate(A, y, steps, start, NormalizedLogisticGD(gamma))


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
    return separate(A, y, steps, start, BatchPerceptron())


def separate(A: Tensor, y: Tensor, steps: int, start: Tensor | None, solver: BatchPerceptron) -> Result:
    """Run until no row is wrong, and say how many are."""
    result = solve(Margins(A, y, start), solver, max_steps=steps, until={"wrong": 0})
    counts = {"products": result.counts["nfev"] + result.counts["njev"]}
    left = f"{result.history['wrong'][-1]:.0f} rows are on the wrong side"
    return replace(result, message="the classes are separated" if result.success else left, counts=counts)
