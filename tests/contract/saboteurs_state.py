"""Broken methods of the second kind: those that keep, store or compute wrongly.  See ``saboteurs`` for the first."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import steepest
from steepest.core.options import Codec, Lift
from tests.contract.saboteurs import Honest


class RoundState(Honest):
    """Keeps its moment in the parameter's type, or in float32 for float64."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        dtype = torch.float32 if p.dtype is torch.float64 else p.dtype
        m = self.state[p].setdefault("m", torch.zeros_like(p, dtype=dtype))
        m.mul_(0.9).add_(g)
        super().move(p, m, group)


class KnowsItself(Honest):
    """Closes a cycle of references, which keeps weights and state until cycles are collected."""

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)
        self.itself = self


class FirstType(Honest):
    """Rounds every move to the type of the first parameter."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g if p.dtype is group["params"][0].dtype else g.sign(), group)


class CountsThreads(Honest):
    """Adds up in an order that depends on the number of threads."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g / sum(part.square().sum() for part in g.chunk(torch.get_num_threads())), group)


class KnowsAddresses(Honest):
    """Keeps a tensor of its own beside the one in ``state``, made for the parameter's first type."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        cached = self.__dict__.setdefault("cached", {})
        if p not in cached:
            cached[p] = self.state[p]["m"] = torch.zeros(p.numel(), dtype=p.dtype)
        m = cached[p].as_strided(p.shape, p.stride())
        m.mul_(0.9).add_(g.to(m.dtype).clamp(-1, 1))
        super().move(p, m if m.dtype is p.dtype else m * torch.nan, group)


class HidesState(Honest):
    """Keeps its moment outside ``state``."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        hidden = self.__dict__.setdefault("moments", {})
        hidden[id(p)] = hidden.get(id(p), torch.zeros_like(p)) * 0.9 + g
        super().move(p, hidden[id(p)], group)


class Picky(steepest.Adam):
    """Loads only what was saved under its own codec."""

    def load_state_dict(self, state_dict: Any) -> None:
        types = {v.dtype for s in state_dict["state"].values() for v in s.values() if isinstance(v, Tensor)}
        assert (torch.uint8 in types) == (self.codec == "int8")
        super().load_state_dict(state_dict)


class TakesAnything(Honest):
    """Loads the checkpoint of any other model."""

    def load_state_dict(self, state_dict: Any) -> None:
        self.state.clear()


class SavesObjects(Honest):
    """Keeps a Python object in its state."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        self.state[p]["slice"] = slice(0, 1)
        super().move(p, g, group)


class CompilesAgain(steepest.SGD):
    """Forgets its kernels after each step."""

    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        loss = super().step(closure, scaler=scaler)
        self.clear_cache()
        return loss


class LiftDependent(steepest.SGD):
    """Is another method when run eagerly."""

    def __init__(self, params: Any, lr: float = 0.05, lift: Lift = "auto", **options: Any) -> None:
        super().__init__(params, lr * (1.01 if lift == "eager" else 1.0), lift=lift, **options)


class NeedsCompiler(steepest.SGD):
    """Is another method where nothing can be printed."""

    def kernel(self, *asked: Any) -> Any:
        kernel = super().kernel(*asked)
        for group in self.param_groups:
            group["momentum"] = 0.0 if type(kernel).__name__ == "Printed" else 0.5
        return kernel


class Branches(steepest.Optimizer):
    """Has a map that looks at a tensor's value."""

    def __init__(self, params: Any, lr: float = 0.05, **options: Any) -> None:
        super().__init__(params, lr, direction=_Branch(), **options)


class _Branch(steepest.direction.Direction):
    def __call__(self, g: Tensor, x: Tensor, s: Any, h: Any) -> Any:
        return (g if g.sum() > 0 else g * 0.5), {}


class Hoards(Honest):
    """Keeps a copy of the weights in full precision."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        self.state[p]["copy"] = p.detach().clone()
        super().move(p, g, group)


class SlowWhenSmall(steepest.Adam):
    """Stands nearly still with compressed state."""

    def __init__(self, params: Any, lr: float = 0.03, codec: Codec = "float32", **options: Any) -> None:
        super().__init__(params, lr if codec == "float32" else lr * 0.1, codec=codec, **options)


class OneSalt(steepest.Adam):
    """Rounds all tensors with the same random bits."""

    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        loss = super().step(closure, scaler=scaler)
        first, *others = self.state.values()
        for state in others:
            for name, value in state.items():
                if isinstance(value, Tensor):
                    value.copy_(first[name])
        return loss
