"""Geometries: how does x move?  A map from the point and the step to the next point."""

from steepest.core.part import Geometry
from steepest.geometry.decay import Decay
from steepest.geometry.project import Box, Simplex
from steepest.geometry.proximal import L1, L2
from steepest.geometry.relative import Relative

__all__ = [
    "L1",
    "L2",
    "Box",
    "Decay",
    "Geometry",
    "Relative",
    "Simplex",
]
