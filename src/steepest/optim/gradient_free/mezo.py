"""Methods that never call backward."""

from __future__ import annotations

from typing import Any, Unpack

from steepest.core.optimizer import Optimizer
from steepest.core.options import Estimated
from steepest.geometry import Decay
from steepest.optim.registry import method
from steepest.oracle import TwoPoint


@method("gradient_free", forwards=2, backwards=0, state_bytes=0.0,
        space={"lr": ("log", 1e-7, 1e-1), "radius": ("log", 1e-4, 1e-1)})  # fmt: skip
class MeZO(Optimizer):
    """MeZO: two forwards, no gradient and no state in memory.

    Args:
        params: parameters or groups.
        lr: default 1e-6 (paper, full fine-tuning of language models; small models want 1e-4 to 1e-2).
        radius: of the perturbation, default 1e-3 (paper).
        directions: averaged, default 1 (paper).
        weight_decay: decoupled, default 0.
        seed: of the directions, default 0.
        options: see :class:`steepest.Optimizer`.

    Note: the weights are moved in place three times, as in the paper, which leaves a rounding error of a few units in
    the last place; ``oracle=TwoPoint(exact=True)`` restores them to the bit from a copy.
    """

    def __init__(self, params: Any, lr: float = 1e-6, radius: float = 1e-3, directions: int = 1,
                 weight_decay: float = 0.0, seed: int = 0, **options: Unpack[Estimated]) -> None:  # fmt: skip
        oracle = TwoPoint(radius=radius, directions=directions, seed=seed, exact=False)
        super().__init__(params, lr, oracle=oracle, geometry=Decay(weight_decay=weight_decay), **options)
