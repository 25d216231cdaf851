"""Charts: in what coordinates does the direction work?"""

from steepest.chart.lowrank import LowRank, Split, Subspace
from steepest.core.part import Chart

__all__ = [
    "Chart",
    "LowRank",
    "Split",
    "Subspace",
]
