"""The declaration of a tensor that a part keeps: a record that all modules type against, and that imports none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: from a parameter's shape to the shape of a state, or None where such a parameter does not have it
Shape = Callable[[tuple[int, ...]], tuple[int, ...] | None]


def scalar(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one number a parameter: ``State(shape=scalar)``."""
    return ()


@dataclass(frozen=True)
class State:
    """A tensor that is kept from step to step, of the parameter's shape unless ``shape`` says otherwise.

    Args:
        start: ``"zeros"``, ``"x"`` for a copy of the parameter at its first step, or ``"eye"`` for the identity matrix, or a
            stack of them.
        signed: whether values may be negative; the 8-bit codec spends the sign bit on range where they are not.
        exact: keep in full precision whatever codec the user chose (a reference point such as x₀).
        shape: the shape as a function of the parameter's, as ``lambda s: (s[0], s[0])``, or of its coordinates' where
            the direction works in a chart; None as its value: such a parameter does not have this state.

    Raises:
        ValueError: ``start`` is another word, or does not go with ``shape``.
    """

    start: str = "zeros"
    signed: bool = True
    exact: bool = False
    shape: Shape | None = None

    def __post_init__(self) -> None:
        if self.start not in ("zeros", "x", "eye"):
            raise ValueError(f"a state starts as 'zeros', 'x' or 'eye', got {self.start!r}")
        if self.start == "x" and self.shape is not None:
            raise ValueError("a copy of the parameter has its shape: leave out shape, or start with 'zeros' or 'eye'")
        if self.start == "eye" and self.shape is None:
            raise ValueError(
                "only a state of a shape of its own starts as 'eye': give shape, as lambda s: (s[0], s[0])"
            )

    def of(self, shape: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape of this state for a parameter of that shape; None where it has no such state.

        Raises:
            TypeError: ``shape`` answers something else.
        """
        found = shape if self.shape is None else self.shape(shape)
        fine = found is None or (isinstance(found, tuple) and all(type(n) is int and n >= 0 for n in found))
        if not fine or (self.start == "eye" and found is not None and len(found) < 2):
            kind = "a matrix's shape" if self.start == "eye" else "a tuple of sizes"
            raise TypeError(f"the shape of a state must be {kind} or None, got {found!r} for a parameter of {shape}")
        return found


@dataclass(frozen=True)
class Kept:
    """What a host part keeps for one parameter under one of the names in ``keeps``.

    Args:
        shape: the shape of a tensor; None for a count, a plain integer from 0.
        below: None for a tensor of real numbers; otherwise it holds integers in [0, below).
        spread: ``shape`` is that of a parameter's local part, or follows its rows, and the tensor is spread over processes
            with it; otherwise all processes hold the same.
        byte: such integers are stored in bytes.
    """

    shape: tuple[int, ...] | None = None
    below: int | None = None
    spread: bool = False
    byte: bool = False
