"""Methods that use second derivatives."""

from __future__ import annotations

from steepest.optim.curvature.diagonal import OASIS, AdaHessian, INNAprop, SophiaG, SophiaH

__all__ = [
    "OASIS",
    "AdaHessian",
    "INNAprop",
    "SophiaG",
    "SophiaH",
]
