"""Drawing samples by weight: as often as a sample's own number says, or its domain's size and a temperature."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from steepest.weighting.order import Order


class Weighted(Order):
    r"""Samples drawn with replacement, sample i with probability :math:`w_i / \sum_j w_j`, n times an epoch.

    Weights that are changed by :meth:`update` count from the next epoch on that is begun; the state holds both.  Otherwise as
    :class:`Order`, but that a sample may come more than once.

    Args:
        weights: w, shape ``(n,)``, by sample index; finite, not negative, not all zero.
        seed, rank, world: as in :class:`Order`.

    Raises:
        ValueError: weights that are none.

    Example:
        >>> sampler = Weighted([0.0, 1.0, 0.0])
        >>> list(sampler)
        [1, 1, 1]
        >>> sampler.update([0, 1], [2.0, 0.0])
        >>> list(sampler)  # the next epoch
        [0, 0, 0]
    """

    def __init__(self, weights: Tensor | Sequence[float], *, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        self.weights = checked(torch.as_tensor(weights, dtype=torch.float64).clone())
        super().__init__(len(self.weights), seed=seed, rank=rank, world=world)
        self._now = -1, self.weights  # the epoch that was begun last, and its weights

    def update(self, index: Tensor | Sequence[int], weights: Tensor | Sequence[float]) -> None:
        """New weights of these samples, from the next epoch on."""
        new = self.weights.clone()
        new[torch.as_tensor(index)] = torch.as_tensor(weights, dtype=torch.float64)
        self.weights = checked(new)

    def weights_of(self, epoch: int) -> Tensor:
        """Those that an epoch is drawn by: as they were when it was begun."""
        return self._now[1] if epoch == self._now[0] else self.weights

    def __iter__(self) -> Iterator[int]:
        samples = super().__iter__()
        for first in samples:  # by now the epoch is known
            self._now = self.epoch, self.weights_of(self.epoch)
            yield first
            yield from samples

    def order(self, epoch: int) -> Tensor:
        """n draws."""
        weights = self.weights_of(epoch)
        ends = weights.cumsum(0)
        draws = torch.rand(self.n, generator=self.random_for(epoch), dtype=torch.float64) * ends[-1]
        return torch.searchsorted(ends, draws, right=True).clamp_(max=int(weights.nonzero()[-1]))

    def state_dict(self) -> dict[str, Any]:
        """Besides: the weights, and those of the epoch under way."""
        return {**super().state_dict(), "weights": self.weights.clone(), "now": self.weights_of(self.epoch).clone()}

    def check(self, state: Mapping[str, Any]) -> None:
        """Both sets of weights."""
        found = [checked(torch.as_tensor(state[name], dtype=torch.float64).clone()) for name in ("weights", "now")]
        if any(len(w) != self.n for w in found):
            raise ValueError(
                f"the state has weights of {len(found[0])} and {len(found[1])} samples, and there are {self.n}"
            )
        self.weights, self._now = found[0], (state["epoch"] if state["taken"] else -1, found[1])


class Temperature(Order):
    r"""Samples drawn with replacement by their domain: domain d, of :math:`n_d` samples, with probability

    .. math:: p_d \propto n_d^{1/\tau}

    and each of its samples alike; n draws an epoch.  τ = 1 draws in proportion, τ → ∞ all domains alike.  Cooldown begins with
    a high τ, by which small domains are learnt fast, and ends with τ = 1, before they are learnt by heart.

    Args:
        domains: of each sample, shape ``(n,)``, integers from 0.
        tau: τ, at least 1; or a function of the epoch, e.g. ``lambda epoch: 5.0 if epoch < 10 else 1.0``.
        seed, rank, world: as in :class:`Order`.

    Raises:
        ValueError: domains that are no integers from 0, or τ below 1 or not finite.

    Source: Li et al. 2024, arXiv:2410.04579 (Upsample or Upweight?): temperature sampling, and Cooldown.

    Note: the schedule of τ and its steps are the user's; the paper's own values were not seen.
    """

    def __init__(self, domains: Tensor | Sequence[int], tau: float | Callable[[int], float] = 5.0, *, seed: int = 0,
                 rank: int = 0, world: int = 1) -> None:  # fmt: skip
        self.domains = torch.as_tensor(domains)
        if self.domains.dim() != 1 or self.domains.is_floating_point() or (self.domains < 0).any():
            raise ValueError(f"domains must be integers from 0, one for each sample, got {domains!r}")
        super().__init__(len(self.domains), seed=seed, rank=rank, world=world)
        self.sizes = torch.bincount(self.domains.long())
        self.tau = tau
        self.tau_of(0)

    def tau_of(self, epoch: int) -> float:
        """τ in an epoch."""
        tau = self.tau(epoch) if callable(self.tau) else self.tau
        return temperature(tau)

    def order(self, epoch: int) -> Tensor:
        """n draws, the domain first."""
        if not self.n:
            return torch.arange(0)
        each = scalarization(self.sizes, self.tau_of(epoch))[self.domains.long()]
        ends = each.cumsum(0)
        draws = torch.rand(self.n, generator=self.random_for(epoch), dtype=torch.float64) * ends[-1]
        return torch.searchsorted(ends, draws, right=True).clamp_(max=self.n - 1)


def scalarization(sizes: Tensor | Sequence[int], tau: float) -> Tensor:
    r"""Weights of domains' losses that have, under draws in proportion, the mean gradient of draws at temperature τ.

    .. math:: w_d = \frac{n_d^{1/\tau} / \sum_e n_e^{1/\tau}}{n_d / \sum_e n_e}

    The variance is larger than that of drawing: a small domain is seldom seen, and then counts much.

    >>> scalarization([3, 1], tau=1.0).tolist()
    [1.0, 1.0]

    Args:
        sizes: :math:`n_d`, shape ``(domains,)``; an empty domain has weight 0.
        tau: τ, at least 1.

    Raises:
        ValueError: negative sizes, or none that is positive; τ below 1 or not finite.

    Source: Li et al. 2024, arXiv:2410.04579.
    """
    n = checked(torch.as_tensor(sizes, dtype=torch.float64), "sizes")
    p = torch.where(n > 0, n.clamp(min=1) ** (1 / temperature(tau)), 0.0)
    return torch.where(n > 0, p / p.sum() * n.sum() / n.clamp(min=1), 0.0)


def temperature(tau: float) -> float:
    """τ, if it is one."""
    if not (isinstance(tau, (int, float)) and math.isfinite(tau) and tau >= 1):
        raise ValueError(f"tau must be a finite number of at least 1, got {tau!r}")
    return float(tau)


def checked(weights: Tensor, name: str = "weights") -> Tensor:
    """Weights that can be drawn by."""
    if weights.dim() != 1 or not torch.isfinite(weights).all() or (weights < 0).any() or not (weights > 0).any():
        raise ValueError(
            f"{name} must be finite, not negative, not all zero, of shape (n,), got shape {tuple(weights.shape)}"
            f" from {weights.min() if weights.numel() else 0:g} to {weights.max() if weights.numel() else 0:g}"
        )
    return weights


__all__ = ["Temperature", "Weighted", "scalarization"]
