"""Gradient descent on the factors of a matrix: plain, in the metric of the factors, and on absolute errors.

With S = A*(A(M) - y), the gradient by X is S Y and that by Y is Sᵀ X, where Y = X if M = X Xᵀ. Plain descent is slow where
singular values of M are far apart, and where there are more columns than needed: the surplus ones are small, and so are their
gradients. Dividing by the Gram matrix of the other factor makes up for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steepest.solve.low_rank.problem import Observed
from steepest.solve.solver import Solver, generator, seeded


@dataclass
class FactorState:
    """Factors as a flat vector, and the number of steps."""

    x: Tensor
    t: int


def nystrom(product: Tensor, k: int, seed: int = 0) -> Tensor:
    """The start A Ω for :class:`ScaledGD`, Ω Gaussian: in the column space of A from the beginning.

    Args:
        product: the matrix A, or what is known of it: :meth:`Observed.back` of y.
        k: columns.
        seed: of Ω, default 0.

    Source: Li, Zhang, Mokhtari & He 2024, arXiv:2410.18965.
    """
    random = generator(seeded(seed))
    omega = torch.randn(product.shape[1], k, generator=random, dtype=product.dtype).to(product.device)
    start: Tensor = product @ omega
    return start


def moved(problem: Observed, x: Tensor, by: tuple[Tensor, Tensor], lr: float) -> Tensor:
    """The factors after a step of length lr against ``by``; flat."""
    size = by[0].numel()
    if problem.symmetric:
        return x - lr * by[0].reshape(-1)
    return torch.cat([x[:size] - lr * by[0].reshape(-1), x[size:] - lr * by[1].reshape(-1)])


@dataclass(frozen=True)
class FactoredGD(Solver[Observed, FactorState]):
    r"""Gradient descent on factors, :math:`X^+ = X - \eta S Y,\ Y^+ = Y - \eta S^\top X`, S = A*(A(M) - y); Y = X if M = X Xᵀ.

    Args:
        lr: η.
        rebalance: the step before which, once, X = U Σ Vᵀ becomes β U and Y becomes Y V Σ / β, with the same M; default None,
            never. For pairs (X, Y) only.
        beta: β, default 1.

    Measures ``residual``, ‖A(M) - y‖ relative to ‖y‖.

    Raises:
        TypeError: in a run, ``rebalance`` and M = X Xᵀ.

    Source: Jin, Li, Lyu, Du & Lee 2023, arXiv:2301.11500 (symmetric); Xiong, Ding & Du 2024, arXiv:2310.01769 (pairs, and the
    one step that makes the rate independent of the start's scale).

    Note: the paper's time of the rebalancing and its β were not at hand: both are left to you.
    """

    lr: float
    rebalance: int | None = None
    beta: float = 1.0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "rebalance": "[0, inf)", "beta": "(0, inf)"}

    def init(self, problem: Observed) -> FactorState:
        """The start."""
        if self.rebalance is not None and problem.symmetric:
            raise TypeError("FactoredGD: rebalance= needs a pair of factors, x0=(X, Y)")
        return FactorState(problem.start, 0)

    def step(self, problem: Observed, state: FactorState) -> FactorState:
        """One move."""
        x = state.x
        if state.t == self.rebalance:
            X, Y = problem.factors(x)
            U, sigma, Vt = torch.linalg.svd(X, full_matrices=False)
            x = torch.cat([(self.beta * U).reshape(-1), (Y @ Vt.T * (sigma / self.beta)).reshape(-1)])
        (X, Y), S = problem.factors(x), problem.back(problem.residual(x))
        return FactorState(moved(problem, x, (S @ Y, S.T @ X), self.lr), state.t + 1)

    def measure(self, problem: Observed, state: FactorState) -> dict[str, float]:
        """One residual."""
        return {"residual": problem.misfit(state.x)}


@dataclass(frozen=True)
class ScaledGD(Solver[Observed, FactorState]):
    r"""Scaled gradient descent, :math:`X^+ = X - \eta S Y (Y^\top Y + \lambda I)^{-1}`, and Y likewise; Y = X if M = X Xᵀ.

    Args:
        lr: η, default 0.5.
        damping: λ, of the order of the least singular value that matters; default 0, and the inverse is a pseudoinverse.

    Measures ``residual``, ‖A(M) - y‖ relative to ‖y‖.

    Source: Tong, Ma & Chi 2021, arXiv:2005.08898; with λ > 0 and a small random start ScaledGD(λ) of Xu, Shen, Chi & Ma 2023,
    arXiv:2302.01186; from :func:`nystrom` Li, Zhang, Mokhtari & He 2024, arXiv:2410.18965, where η = ½ is Newton's square
    root and, for pairs with Y₀ = 0, η = 1 is exact after one step.

    Note: from Y₀ = 0 the pseudoinverse of YᵀY is 0, so that the first step moves Y alone, as that paper has it.
    """

    lr: float = 0.5
    damping: float = 0.0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "damping": "[0, inf)"}

    def init(self, problem: Observed) -> FactorState:
        """The start."""
        return FactorState(problem.start, 0)

    def step(self, problem: Observed, state: FactorState) -> FactorState:
        """One move."""
        (X, Y), S = problem.factors(state.x), problem.back(problem.residual(state.x))
        by = (self._scaled(S @ Y, Y), self._scaled(S.T @ X, X))
        return FactorState(moved(problem, state.x, by, self.lr), state.t + 1)

    def _scaled(self, g: Tensor, factor: Tensor) -> Tensor:
        """The gradient by the one factor, over the other one's Gram matrix."""
        gram = factor.T @ factor
        if not bool(torch.isfinite(gram).all()):  # eigenvalues of NaN are an error; the run ends with a status
            return g * torch.nan
        gram = gram + self.damping * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
        scaled: Tensor = g @ torch.linalg.pinv(gram, hermitian=True)
        return scaled

    def measure(self, problem: Observed, state: FactorState) -> dict[str, float]:
        """One residual."""
        return {"residual": problem.misfit(state.x)}


@dataclass(frozen=True)
class SubgradientGD(Solver[Observed, FactorState]):
    r"""SubGM, on absolute errors :math:`\tfrac1m\lVert\mathcal A(X X^\top) - y\rVert_1`, some of which may be gross.

    .. math:: X^+ = X - \frac{\eta\rho^t}{\lVert Q\rVert_F}\, 2 Q X,\qquad
              Q = \tfrac1m \mathcal A^*(\operatorname{sign}(\mathcal A(X X^\top) - y))

    For a pair (X, Y) the steps are Q Y and Qᵀ X. Begin small.

    Args:
        lr: η.
        decay: ρ, default 1.

    Measures ``objective``, the mean absolute error, and ``residual``, ‖A(M) - y‖ relative to ‖y‖.

    Source: Ma & Fattahi 2022, arXiv:2202.08788, SubGM with the geometric steps over ‖Q‖.
    """

    lr: float
    decay: float = 1.0
    ranges: ClassVar[dict[str, str]] = {"lr": "(0, inf)", "decay": "(0, 1]"}

    def init(self, problem: Observed) -> FactorState:
        """The start."""
        return FactorState(problem.start, 0)

    def step(self, problem: Observed, state: FactorState) -> FactorState:
        """One move; none where all signs cancel."""
        r = problem.residual(state.x)
        (X, Y), Q = problem.factors(state.x), problem.back(torch.sign(r)) / len(r)
        size = float(Q.norm())
        twice = 2.0 if problem.symmetric else 1.0
        lr = self.lr * self.decay**state.t * twice / size if size != 0 else 0.0
        return FactorState(moved(problem, state.x, (Q @ Y, Q.T @ X), lr), state.t + 1)

    def measure(self, problem: Observed, state: FactorState) -> dict[str, float]:
        """One residual."""
        r = problem.residual(state.x)
        return {"objective": float(r.abs().mean()), "residual": float(r.norm() / problem.y.norm())}
