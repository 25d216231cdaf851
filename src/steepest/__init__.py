"""Numerical optimization for modern machine learning: composable optimizers, and evidence for each of them.

Named methods are classes (``steepest.AdamW``); any other combination of parts is a ``steepest.Optimizer``.
"""

from importlib.metadata import version

from steepest import (
    channel,
    chart,
    direction,
    geometry,
    groups,
    landscape,
    losses,
    nn,
    oracle,
    point,
    schedule,
    solve,
    stepsize,
    trainers,
    weighting,
)
from steepest.core.checkpoint import save
from steepest.core.evaluate import Counters
from steepest.core.optimizer import Optimizer
from steepest.core.rows import Rows
from steepest.optim import *  # noqa: F403 -- the table of methods is kept in one place
from steepest.optim import __all__ as _methods

__version__ = version("steepest")
__all__ = [
    "Counters",
    "Optimizer",
    "Rows",
    "__version__",
    "channel",
    "chart",
    "direction",
    "geometry",
    "groups",
    "landscape",
    "losses",
    "nn",
    "oracle",
    "point",
    "save",
    "schedule",
    "solve",
    "stepsize",
    "trainers",
    "weighting",
    *_methods,
]
