"""Oracles: how is the evidence bought?"""

from steepest.core.part import Oracle
from steepest.oracle.twopoint import TwoPoint

__all__ = [
    "Oracle",
    "TwoPoint",
]
