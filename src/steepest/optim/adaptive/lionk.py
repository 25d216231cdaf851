"""Lion-K: Lion with another convex function."""

from __future__ import annotations

from typing import Any, Literal, Unpack

from steepest import direction as D
from steepest.core.fields import nearest
from steepest.core.optimizer import Optimizer
from steepest.core.options import Decayed
from steepest.geometry import Decay
from steepest.optim.betas import Betas, named
from steepest.optim.registry import method

#: what K is called, and what its number is
_RULES: dict[str, tuple[type[D.LionK], str]] = {
    "l2": (D.LionK, ""), "lp": (D.LionP, "p"), "huber": (D.LionHuber, "e"), "truncated": (D.LionTruncated, "e"),
}  # fmt: skip


@method("adaptive", space={"lr": ("log", 1e-6, 0.1)})
class LionK(Optimizer):
    """Lion-K: the gradient of a convex function at a mix of momentum and gradient; its decay is a constraint.

    Args:
        params: parameters or groups.
        lr: default 1e-4 (Lion).
        betas: default (0.9, 0.99) (Lion).
        weight_decay: λ, decoupled, default 0; λx is drawn into the set that belongs to K.
        K: ``"l2"``, ``"lp"``, ``"huber"`` or ``"truncated"``: :class:`steepest.direction.LionK`, ``LionP``, ``LionHuber`` and
            ``LionTruncated``; default ``"l2"``.  With the 1-norm it is :class:`steepest.Lion`.
        scale: p of ``"lp"``, default 1.5; e of ``"huber"`` and ``"truncated"``, in units of g, default 1e-3.
        options: see :class:`steepest.Optimizer`.

    Raises:
        ValueError: another word for K, or a scale where there is none.
    """

    def __init__(self, params: Any, lr: float = 1e-4, betas: Betas = (0.9, 0.99), weight_decay: float = 0.0,
                 K: Literal["l2", "lp", "huber", "truncated"] = "l2", scale: float | None = None,
                 **options: Unpack[Decayed]) -> None:  # fmt: skip
        if K not in tuple(_RULES):
            raise ValueError(
                f"LionK: K must be one of {', '.join(map(repr, _RULES))}, got {K!r}{nearest(str(K), _RULES)}"
            )
        if scale is not None and K == "l2":
            raise ValueError(f"LionK: K='l2' has no scale, got {scale!r}: leave it out")
        rule, name = _RULES[K]
        inner = rule(**named(betas), **({} if scale is None else {name: scale}))
        super().__init__(params, lr, direction=inner, geometry=Decay(weight_decay=weight_decay), **options)
