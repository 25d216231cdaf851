"""What a part says of a tensor that it keeps: a record that everybody types against, and that imports nobody."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class State:
    """A tensor of the parameter's shape that is kept from step to step.

    Args:
        start: ``"zeros"``, or ``"x"`` for a copy of the parameter at its first step.
        signed: whether values may be negative; the 8-bit codec spends the sign bit on range where they are not.
        exact: keep in full precision whatever codec the user chose (a reference point such as x₀).
    """

    start: str = "zeros"
    signed: bool = True
    exact: bool = False


@dataclass(frozen=True)
class Kept:
    """What a host part keeps for one parameter under one of the names in ``keeps``.

    Args:
        shape: the shape of a tensor; None for a count, a plain integer from 0.
        below: None for a tensor of real numbers; otherwise it holds integers in [0, below).
        spread: ``shape`` is that of the local part of a parameter, and the tensor is spread over processes with it;
            otherwise all processes hold the same.
    """

    shape: tuple[int, ...] | None = None
    below: int | None = None
    spread: bool = False
