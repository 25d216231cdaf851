"""Broken methods, one fault each: what papers' code gets wrong, written as small as it can be.

``Honest`` is gradient descent by hand; each class below breaks one thing.  The laws must find every one of them.
"""

from __future__ import annotations

import random
from typing import Any

import torch
from torch import Tensor, nn

import steepest


class Honest(steepest.SGD):
    """Gradient descent in plain torch: ask, then move tensor by tensor."""

    def __init__(self, params: Any, lr: float = 0.05, **options: Any) -> None:
        super().__init__(params, lr, **options)
        self.made_with, self.first = lr, [p for g in self.param_groups for p in g["params"]]

    @torch.no_grad()
    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        loss = None if closure is None else self.ask(closure, scaler)
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.move(p, -p.grad if group["maximize"] else p.grad, group)
        self.counters.steps += 1
        self.counters.forwards += 1
        self.counters.backwards += 1
        return loss

    def ask(self, closure: Any, scaler: Any) -> Any:
        self.zero_grad()
        with torch.enable_grad():
            loss = closure()
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                raise TypeError("the loss must be a scalar tensor")
            if all(p.grad is None for p in self.first):
                (loss if scaler is None else scaler.scale(loss)).backward()
        if scaler is not None:
            scaler.unscale_(self)
        return loss.detach()

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        p.sub_(g.to(p.dtype) * float(group["lr"]))


class Aliases(Honest):
    """Keeps the last gradient by reference."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g + 0.5 * (g - self.state[p].get("before", g)), group)
        self.state[p]["before"] = p.grad


class WritesGradients(Honest):
    """Adds weight decay into p.grad."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g.add_(p, alpha=0.1), group)


class MovesEverything(Honest):
    """Decays parameters that have no gradient, whatever lr is."""

    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.mul_(0.99)
        return super().step(closure, scaler=scaler)


class OneClock(Honest):
    """Counts steps for all parameters together, gradients or not."""

    clock = 0

    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        self.clock += 1
        return super().step(closure, scaler=scaler)

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        self.state[p]["step"] = self.state[p].get("step", 0) + 1
        super().move(p, g / self.clock, group)


class Normalizes(Honest):
    """Divides by a norm that may be zero."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g / g.norm(), group)


class CountsBackwards(Honest):
    """Averages over backward calls as if each were a whole batch."""

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)
        self.calls: dict[Tensor, int] = {}
        for p in self.first:
            p.register_post_accumulate_grad_hook(lambda p: self.calls.update({p: self.calls.get(p, 0) + 1}))

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g / self.calls.pop(p), group)


class NeedsClosure(Honest):
    """Calls what may be None."""

    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        closure()
        return super().step(closure, scaler=scaler)


class HalvesMatrices(Honest):
    """Treats matrices otherwise than vectors without saying so."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g * (0.5 if p.dim() > 1 else 1.0), group)


class WalksStorage(Honest):
    """Takes the first numel elements of the parameter's memory for the parameter."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p.as_strided((p.numel(),), (1,)), g.reshape(-1), group)


class WalksGradient(Honest):
    """Believes that gradients are laid out as their parameters."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g.as_strided(p.shape, p.stride(), 0), group)


class KnowsItsFirst(Honest):
    """Remembers the parameters it was made with."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        if any(p is known for known in self.first):
            super().move(p, g, group)


class WritesUnseen(Honest):
    """Writes weights behind autograd's back."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p.data, g, group)


class HooksTwice(Honest):
    """Calls its parent's step, which has hooks of its own since a parent was made."""

    def __init__(self, params: Any, **options: Any) -> None:
        Honest([nn.Parameter(torch.zeros(1))])
        super().__init__(params, **options)

    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        return super().step(closure, scaler=scaler)


class MovesNothing(Honest):
    """Lost its parameters."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None: ...


class OldRate(Honest):
    """Reads lr once, when it is made."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g, {"lr": self.made_with})


class FirstGroup(Honest):
    """Reads lr of the first group for all."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g, self.param_groups[0])


class GroupNorm(Honest):
    """Clips by the norm of a group."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        norm = torch.stack([q.grad.norm() for q in group["params"] if q.grad is not None]).norm()
        super().move(p, g / (1 + norm), group)


class Descends(Honest):
    """Does not know ``maximize``."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, -g if group["maximize"] else g, group)


class DrawsGlobally(Honest):
    """Takes random numbers from the streams of the user."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        random.random()
        super().move(p, g + 1e-3 * torch.randn_like(g), group)


class AsksAgain(Honest):
    """Asks twice without replaying random numbers, and counts one question."""

    def ask(self, closure: Any, scaler: Any) -> Any:
        super().ask(closure, scaler)
        return super().ask(closure, scaler)


class AddsUp(Honest):
    """Calls backward on top of what a closure's own backward left."""

    def ask(self, closure: Any, scaler: Any) -> Any:
        with torch.enable_grad():
            loss = closure()
            loss.backward(retain_graph=True)
        return loss.detach()


class MultipliesShort(Honest):
    """Takes a norm by a product of vectors, which autocast does in 16 bits."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g / (1 + g.reshape(1, -1) @ g.reshape(-1, 1)).float(), group)


class ReturnsLater(Honest):
    """Returns the loss after the move."""

    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        super().step(closure, scaler=scaler)
        return closure().detach()


class TakesNone(Honest):
    """Treats a missing loss as zero."""

    def ask(self, closure: Any, scaler: Any) -> Any:
        return closure() or torch.zeros(())


class LeavesPerturbed(steepest.SAM):
    """Shifts the weights to ask, and shifts back only if all went well."""

    @torch.no_grad()
    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        for p in (params := [p for g in self.param_groups for p in g["params"]]):
            p.add_(0.01)
        with torch.enable_grad():
            closure()
            loss = closure()
            loss.backward()
        for p in params:
            p.sub_(0.01)
        return loss.detach()


class RaisesLate(steepest.Adam):
    """Looks for NaN when the state is already updated."""

    def step(self, closure: Any = None, *, scaler: Any = None) -> Any:
        asked, self.nonfinite = self.nonfinite, "propagate"
        loss = super().step(closure, scaler=scaler)
        self.nonfinite = asked
        if asked == "raise" and not all(p.grad.isfinite().all() for g in self.param_groups for p in g["params"]):
            raise RuntimeError("the loss or a gradient is NaN or infinite")
        return loss


class ReplacesNaN(Honest):
    """Goes on with zeros where gradients are not finite, and says nothing."""

    def move(self, p: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        super().move(p, g.nan_to_num(0.0, 0.0, 0.0), group)


class ForgetsToUnscale(Honest):
    """Tells the scaler that it looks after the scale, and does not."""

    _step_supports_amp_scaling = True

    def ask(self, closure: Any, scaler: Any) -> Any:
        with torch.enable_grad():
            loss = closure()
            scaler.scale(loss).backward()
        return loss.detach()


def accepts_all(params: Any, **options: Any) -> torch.optim.Optimizer:
    """torch's own gradient descent, which takes complex parameters and sparse gradients."""
    return torch.optim.SGD(params, lr=0.1)
