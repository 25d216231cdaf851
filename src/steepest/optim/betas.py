"""A pair of decay rates, as Adam and those after it are given it."""

from __future__ import annotations

from typing import Any, TypedDict

from steepest.core.given import several

Betas = tuple[float, float]


class Pair(TypedDict):
    """Of hyper-parameters."""

    beta1: float
    beta2: float


def named(betas: Any) -> Pair:
    """``betas``, any sequence of two, as the hyper-parameters beta1 and beta2.

    Raises:
        TypeError: not a pair.
    """
    pair = several(betas)
    if pair is None or len(pair) != 2:
        raise TypeError(f"betas must be a pair of numbers in [0, 1), got {betas!r}")
    return {"beta1": pair[0], "beta2": pair[1]}
