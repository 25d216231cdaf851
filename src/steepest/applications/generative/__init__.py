"""Generative models."""

from steepest.applications.generative.meco import meco

__all__ = [
    "meco",
]
