"""Decisions from data that others have gathered: what was seldom tried is thought to be worse than it looked."""

from __future__ import annotations

import torch
from torch import Tensor


def lower_bounds(means: Tensor, counts: Tensor, level: float) -> Tensor:
    r"""Lower confidence bounds of rewards; the pessimistic choice is their largest.

    .. math:: \hat r(a) - \sqrt{\frac{L}{\max(N(a), 1)}}

    Args:
        means: r̂, mean reward of each action in the data, shape ``(..., actions)``; anything where an action was never seen.
        counts: N, how often it was seen.
        level: L in squared units of the reward; the logarithm of actions over the probability of error, times a constant.

    Raises:
        ValueError: shapes that differ, counts or a level that are negative.

    Source: Rashidinejad et al. 2021, arXiv:2103.12021 (LCB).

    Note: the paper's constant in L was not seen: it is the caller's.

    Example:
        >>> bounds = lower_bounds(torch.tensor([0.9, 0.6]), torch.tensor([1, 100]), level=1.0)
        >>> int(bounds.argmax())
        1
    """
    if means.shape != counts.shape or (counts < 0).any() or level < 0:
        raise ValueError("lower_bounds: means and counts must have one shape, counts and level must not be negative, got "
                         f"{tuple(means.shape)}, {tuple(counts.shape)} and level={level!r}")  # fmt: skip
    seen = torch.where(counts > 0, means, 0.0)
    return seen - torch.sqrt(level / counts.clamp(min=1).to(means.dtype))


def pessimistic_values(rewards: Tensor, moves: Tensor, discount: float, level: float,
                       rounds: int = 10_000) -> tuple[Tensor, Tensor]:  # fmt: skip
    r"""Value iteration with lower bounds.

    .. math:: \hat Q(s, a) = \max\big(0,\; \hat r(s, a) - b(s, a) + \gamma \langle \hat P(\cdot \mid s, a), \hat V\rangle\big),
              \quad b = \frac1{1 - \gamma} \sqrt{\frac{L}{\max(N, 1)}},\quad \hat V(s) = \max_a \hat Q(s, a)

    Args:
        rewards: r̂ in [0, 1], mean reward of each state and action, shape ``(states, actions)``.
        moves: how often an action led from a state to another, shape ``(states, actions, states)``; its sum is N.
        discount: γ in [0, 1).
        level: L.
        rounds: at most; it ends where nothing changes by more than rounding.

    Returns:
        V̂, shape ``(states,)``, and the best action of each state.

    Raises:
        ValueError: wrong shapes, or γ out of its range.

    Source: Rashidinejad et al. 2021, arXiv:2103.12021 (VI-LCB).

    Note: the paper's proof has data of its own for every round, and bounds that only rise; here all data are used in each.
    """
    states, actions = rewards.shape
    if moves.shape != (states, actions, states) or not 0 <= discount < 1:
        raise ValueError(f"pessimistic_values: moves must have shape {(states, actions, states)} and discount lie in "
                         f"[0, 1), got {tuple(moves.shape)} and {discount!r}")  # fmt: skip
    counts = moves.sum(-1)
    chances = moves.to(rewards.dtype) / counts.clamp(min=1).unsqueeze(-1).to(rewards.dtype)
    worth = lower_bounds(rewards * (1 - discount), counts, level) / (1 - discount)
    values = rewards.new_zeros(states)
    for _ in range(rounds):
        q = (worth + discount * chances @ values).clamp(min=0)
        new = q.max(1).values
        still = bool((new - values).abs().max() <= 4 * torch.finfo(new.dtype).eps / (1 - discount))
        values = new
        if still:
            break
    return values, (worth + discount * chances @ values).argmax(1)


__all__ = ["lower_bounds", "pessimistic_values"]
