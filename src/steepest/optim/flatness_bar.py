"""Where these methods stood until version 0.1, for the pickles that name the place."""

from __future__ import annotations

from steepest.optim.flatness import BAR as BAR
