"""Where these methods stood until version 0.1, for the pickles that name the place."""

from __future__ import annotations

from steepest.optim.stepsize import BoxBacktracking as BoxBacktracking
from steepest.optim.stepsize import EllipsoidBacktracking as EllipsoidBacktracking
