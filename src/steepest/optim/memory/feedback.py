"""Compressed gradients with error feedback."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import channel as C
from steepest.core.optimizer import Optimizer
from steepest.core.options import Sent
from steepest.optim.registry import method


@method("distributed", state_bytes=4.0, space={"lr": ("log", 1e-4, 10.0)})
class CompressedSGD(Optimizer):
    """SGD on the largest entries of gradient plus memory (error feedback).

    Args:
        params: parameters or groups.
        lr: default 1e-2.
        keep: part of the entries that is sent, default 0.01.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-2, keep: float = 0.01, **options: Unpack[Sent]) -> None:
        super().__init__(params, lr, channel=C.TopK(keep), **options)


@method("distributed", state_bytes=0.8, space={"lr": ("log", 1e-4, 10.0)})
class ConEF(Optimizer):
    """SGD on a random block of gradient plus memory, whose memory is compressed, too (contractive error feedback).

    Args:
        params: parameters or groups.
        lr: default 1e-2.
        keep: part of the entries that is sent, default 0.1.
        memory: ``channel.CountSketch`` (default) or ``channel.FourBits``.
        options: see :class:`steepest.Optimizer`.
    """

    def __init__(self, params: Any, lr: float = 1e-2, keep: float = 0.1, memory: C.Memory | None = None,
                 **options: Unpack[Sent]) -> None:  # fmt: skip
        made = C.ConEF(keep) if memory is None else C.ConEF(keep, memory=memory)
        super().__init__(params, lr, channel=made, **options)
