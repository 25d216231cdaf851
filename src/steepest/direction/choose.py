"""One direction for some parameters, another for the others: matrices one way, vectors another."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Literal, cast

from torch import Tensor

from steepest.core.fields import argument, described, nearest, part, real
from steepest.core.part import Direction, NewState, Scalars

#: the words for ``by``
WORDS: dict[str, Callable[[str | None, Tensor], bool]] = {"matrix": lambda name, x: x.dim() >= 2}


class Choose(Direction):
    r"""A direction for the parameters that fulfil a condition, another one for all others.

    .. math:: d = \begin{cases} D_1(g) & x \text{ fulfils the condition}\\ r\, D_2(g) & \text{otherwise}\end{cases}

    Args:
        then: D₁, where the condition holds.
        otherwise: D₂, elsewhere.
        by: the condition: ``"matrix"`` for parameters of two or more dimensions, or ``by(name, x)`` for a parameter and its
            name, as ``model.named_parameters()`` gives them.  The name is None unless the optimizer was made with
            ``named_parameters()``.  It is called when parameters come, and must not depend on their values.
        lr_ratio: r, the learning rate of ``otherwise`` as a multiple of that of ``then``, default 1.  It is live, and
            multiplies decoupled weight decay as a learning rate does.

    Each parameter has the state of its own direction only.  Live numbers of both stand in every group, scheduled as ever; those
    that both directions have, and their state, are called ``then_…`` and ``otherwise_…`` there: ``then_beta1``.  A checkpoint
    does not store the condition; if another one leads to a parameter's state, loading says so.

    Raises:
        TypeError: ``by`` is neither a word nor a function.
        ValueError: an unknown word.

    Example:
        >>> from steepest.direction import Lion, Sign
        >>> Choose(by="matrix", then=Lion(), otherwise=Sign(), lr_ratio=0.3)
        Choose(Lion(beta1=0.9, beta2=0.99), Sign(), by='matrix', lr_ratio=0.3)
    """

    then: Direction = part(Direction, alias="then")
    otherwise: Direction = part(Direction, alias="otherwise")
    by: Literal["matrix"] | Callable[[str | None, Tensor], bool] = argument(default="matrix")
    lr_ratio: float = real("[0, inf)", default=1.0)

    def __post_init__(self) -> None:
        """Names that both directions use get a prefix."""
        if isinstance(self.by, str) and self.by not in WORDS:
            raise ValueError(f"Choose: by must be one of {', '.join(map(repr, WORDS))} or a function of name and "
                             f"parameter, got {self.by!r}{nearest(self.by, WORDS)}")  # fmt: skip
        if not isinstance(self.by, str) and not callable(self.by):
            raise TypeError(f"Choose: by must be a word or a function of name and parameter, got {described(self.by)}")
        names = [{n for one in side.walk() for n in (*one.hyper, *one.state)} for side in (self.then, self.otherwise)]
        both = (names[0] & names[1]) | ({"lr_ratio"} & (names[0] | names[1]))
        self.inner = (self.then.renamed(both, "then_"), self.otherwise.renamed(both, "otherwise_"))

    def sides(self) -> tuple[Direction, ...]:
        """Those of ``then``, and those of ``otherwise`` with their learning rate."""
        then, otherwise = cast("tuple[Direction, Direction]", self.inner)
        others = [*map(copy.copy, otherwise.sides())]
        for one in others:
            one.rates = (*one.rates, self.prefixed.get("lr_ratio", "lr_ratio"))
        return (*then.sides(), *others)

    def side(self, name: str | None, x: Tensor) -> int:
        """The place of the direction that the condition chooses."""
        then, otherwise = cast("tuple[Direction, Direction]", self.inner)
        try:
            holds = (WORDS[self.by] if isinstance(self.by, str) else self.by)(name, x)
        except TypeError as error:
            if name is None:
                error.add_note("Choose: names are known where the optimizer is made with model.named_parameters()")
            raise
        return then.side(name, x) if holds else len(then.sides()) + otherwise.side(name, x)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """Never: an optimizer runs one of ``sides``."""
        raise TypeError(
            f"{self!r} must be the direction of an optimizer, alone or inside directions that go around one"
        )

    def __repr__(self) -> str:
        by = repr(self.by) if isinstance(self.by, str) else getattr(self.by, "__qualname__", repr(self.by))
        ratio = self.values[self.prefixed.get("lr_ratio", "lr_ratio")]
        return f"Choose({self.then!r}, {self.otherwise!r}, by={by}, lr_ratio={ratio:g})"
