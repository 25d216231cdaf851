"""What losses require of their inputs, in one sentence each, and the mean over examples that is 0 over none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from steepest.core.fields import inside


def mean(each: Tensor) -> Tensor:
    """Over all examples; 0, with gradients of 0, where there are none."""
    return each.sum() / max(each.numel(), 1)


def number(loss: str, name: str, value: Any, interval: str) -> float:
    """A hyper-parameter in its interval.

    Raises:
        TypeError: it is no number.
        ValueError: it is outside.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{loss}: {name} must be a number in {interval}, got {value!r}")
    if not inside(float(value), interval):
        raise ValueError(f"{loss}: {name} must lie in {interval}, got {value!r}")
    return float(value)


def matrix(loss: str, name: str, value: Any, columns: int | None = None) -> Tensor:
    """A floating-point tensor of shape ``(n, columns)``.

    Raises:
        ValueError: it is none.
    """
    wanted = f"(n, {columns or 'classes'})"
    if not isinstance(value, Tensor) or value.dim() != 2 or not value.is_floating_point() or columns not in (
        None, value.shape[1]):  # fmt: skip
        seen = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{loss}: {name} must be floating-point numbers of shape {wanted}, got {seen}")
    return value


def indices(loss: str, name: str, value: Any, count: int, below: int) -> Tensor:
    """Integers of shape ``(count,)`` from 0 to below.

    Values are looked at on the CPU only, where it costs nothing, and not in compiled code.

    Raises:
        ValueError: they are not.
    """
    if not isinstance(value, Tensor) or value.shape != (count,) or value.is_floating_point() or value.is_complex():
        seen = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{loss}: {name} must be integers of shape ({count},), got {seen}")
    if value.device.type == "cpu" and not torch.compiler.is_compiling():
        wrong = value[(value < 0) | (value >= below)]
        if len(wrong):
            raise ValueError(f"{loss}: {name} must lie in [0, {below}), got {int(wrong[0])}")
    return value.long()


__all__: list[str] = []
