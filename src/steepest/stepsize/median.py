"""How far a gradient is from the estimate of the median that the direction keeps: over all tensors together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.part import Scalars, StepSize
from steepest.core.rate import IS_THE_STEP


class MedianGap(StepSize):
    r"""The learning rate as it is, and ‖g - m‖₂ for ``direction.GeometricMedian``.

    Source: Schaipp, Garrigos, Şimşekli & Gower 2024, arXiv:2402.12828.
    """

    memory = {"median_gap": 0.0}
    needs = frozenset({"m"})
    gives = frozenset({"distance to the median"})
    reads_lr = IS_THE_STEP
    cite = ("schaipp2024sgd",)

    def measure(self, g: Tensor, d: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> dict[str, Tensor]:
        """‖g - m‖²."""
        return {"gap": (g - s.m) * (g - s.m)}

    def eta(self, sums: Mapping[str, float], memory: dict[str, float], h: Scalars, loss: float) -> float:
        """1; the distance is for the direction."""
        memory["median_gap"] = math.sqrt(sums.get("gap", 0.0))
        return 1.0
