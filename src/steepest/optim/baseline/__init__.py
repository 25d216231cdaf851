"""Gradient descent, with momentum, signs, and constraints."""

from __future__ import annotations

from steepest.optim.baseline.projected import ProjectedSGD, SimplexSGD
from steepest.optim.baseline.prox import ProxSGD
from steepest.optim.baseline.sgd import SGD
from steepest.optim.baseline.signsgd import SignSGD

__all__ = [
    "SGD",
    "ProjectedSGD",
    "ProxSGD",
    "SignSGD",
    "SimplexSGD",
]
