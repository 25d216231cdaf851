"""Weights and orders of data by sample index, and samplers for a ``DataLoader`` that resume to the sample."""

from steepest.weighting.order import Order, Shuffled
from steepest.weighting.weighted import Temperature, Weighted, scalarization

__all__ = [
    "Order",
    "Shuffled",
    "Temperature",
    "Weighted",
    "scalarization",
]
