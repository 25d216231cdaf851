"""How fast something falls: the slope of a straight line through logarithms."""

from __future__ import annotations

import math
from collections.abc import Sequence


def slope(x: Sequence[float], y: Sequence[float], begin: float = 0.0, end: float = math.inf) -> float:
    """The least-squares slope of log y by log x where begin ≤ x ≤ end; values of y that are not positive are left out.

    >>> slope([1.0, 10.0, 100.0], [5.0, 0.5, 0.05])
    -1.0
    """
    points = [(math.log(a), math.log(b)) for a, b in zip(x, y, strict=True) if begin <= a <= end and a > 0 and b > 0]
    mean_x, mean_y = sum(a for a, _ in points) / len(points), sum(b for _, b in points) / len(points)
    return sum((a - mean_x) * (b - mean_y) for a, b in points) / sum((a - mean_x) ** 2 for a, _ in points)
