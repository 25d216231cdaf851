"""The gradient of the table's logistic losses, by hand in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from tests.solve.table import data

Vector = np.ndarray[Any, Any]


def gradient(v: Vector, i: Vector | None = None) -> Vector:
    """Of the mean over samples i, all by default."""
    A, y = (t.numpy() for t in data(torch.float64))
    A, y = (A, y) if i is None else (A[i], y[i])
    return -(A.T @ (y / (1 + np.exp(y * (A @ v))))) / len(A) + 0.1 * v
