"""Reinforcement learning."""

from steepest.applications.rl.pessimism import lower_bounds, pessimistic_values

__all__ = [
    "lower_bounds",
    "pessimistic_values",
]
