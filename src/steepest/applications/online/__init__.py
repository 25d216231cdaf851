"""Learning while deciding: bandits and experts."""

from steepest.applications.online.barrier import log_barrier

__all__ = [
    "log_barrier",
]
