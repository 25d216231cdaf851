"""Decay rates in a tuple, as Adam and those after it are given them."""

from __future__ import annotations

from typing import Any, TypedDict

from steepest.core.given import several

Betas = tuple[float, float]
Betas3 = tuple[float, float, float]


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


class Triple(Pair):
    """Of hyper-parameters."""

    beta3: float


def named3(betas: Any) -> Triple:
    """``betas``, any sequence of three, as the hyper-parameters beta1, beta2 and beta3.

    Raises:
        TypeError: not three.
    """
    three = several(betas)
    if three is None or len(three) != 3:
        raise TypeError(f"betas must be three numbers in [0, 1), got {betas!r}")
    return {"beta1": three[0], "beta2": three[1], "beta3": three[2]}
