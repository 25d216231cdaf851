"""Products with curvature matrices by backpropagating through a backward pass: what steps and diagnostics share.

A model that cannot be differentiated twice is named by the operation that stops it; where torch would answer zero without
a word (a backward that is marked once differentiable) that is found before the product is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Product = Callable[[list[Tensor]], list[Tensor]]

TWICE = (
    "this loss cannot be differentiated twice: {error}\nUse the module before torch.compile (model._orig_mod), and in "
    "custom autograd functions a backward that is itself made of differentiable operations"
)


@contextlib.contextmanager
def smooth() -> Iterator[None]:
    """Gradients on, and kernels that can be differentiated twice: attention written out, recurrences without cuDNN."""
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), torch.backends.cudnn.flags(enabled=False):
        yield


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Say what to do where torch has no derivative of a backward; its own words name the operation.

    Raises:
        RuntimeError: the loss cannot be differentiated twice.
    """
    try:
        yield
    except RuntimeError as error:
        if "derivative" in str(error) or "double backward" in str(error):
            raise RuntimeError(TWICE.format(error=error)) from error
        raise


def pull(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], by: Sequence[Tensor], twice: bool = False
) -> list[Tensor]:
    """The vector-Jacobian product; zero where nothing depends on anything."""
    live = [(o, b) for o, b in zip(outputs, by, strict=True) if o.requires_grad]
    if not live:
        return [torch.zeros_like(i) for i in inputs]
    os, bs = zip(*live, strict=True)
    found = torch.autograd.grad(os, inputs, bs, retain_graph=True, create_graph=twice, allow_unused=True)
    return [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, found, strict=True)]


def marked(loss: Tensor) -> Tensor:
    """The loss times a 1 that requires a gradient, so that every dead end in the graph of its gradient can be seen.

    A backward is marked as once differentiable only where the incoming gradient requires one.
    """
    return loss * torch.ones_like(loss, requires_grad=True)


def nodes(outputs: Iterable[Tensor | None]) -> set[Any]:
    """All nodes of a graph."""
    seen: set[Any] = set()
    left = [o.grad_fn for o in outputs if o is not None and o.grad_fn is not None]
    while left:
        node = left.pop()
        if node not in seen:
            seen.add(node)
            left += [following for following, _ in node.next_functions if following is not None]
    return seen


def refuse_dead_ends(slope: Iterable[Tensor | None], loss: Tensor) -> None:
    """Say which custom functions may be the ones whose derivative ends here; the product would be zero without a word.

    Raises:
        RuntimeError: a backward in the gradient ``slope`` of ``loss`` is marked as once differentiable.
    """
    if any("Error" in node.name() for node in nodes(slope)):
        custom = {type(n).__name__ for n in nodes([loss]) if isinstance(n, torch.autograd.function.BackwardCFunction)}
        names = " or ".join(sorted(name.removesuffix("Backward") for name in custom)) or "a custom autograd function"
        raise RuntimeError(TWICE.format(error=f"the backward of {names} is marked once_differentiable"))


def gauss_newton(z: Tensor, head: Callable[[Tensor], Tensor], values: Sequence[Tensor]) -> Product:
    """Jᵀ H J v, with J the Jacobian of the outputs z and H the Hessian of ``head`` there.

    Jv is the derivative of w ↦ Jᵀw, which is linear, along v (Schraudolph 2002).
    """
    w = torch.zeros_like(z, requires_grad=True)
    pulled = pull([z], values, [w], twice=True)
    refuse_dead_ends(pulled, z)
    end = z.detach().requires_grad_()
    loss = head(end)
    slope = pull([loss], [end], [torch.ones_like(loss)], twice=True)
    return lambda vs: pull([z], values, pull(slope, [end], pull(pulled, [w], vs)))
