"""Networks that can be searched along a direction for nothing: their first product with the data outweighs the rest.

A network is *friendly to subspace optimization* if its input meets the weights in one product Z = X W₁ᵀ that costs at least
as much as everything after it. Along a direction D₁ the product is Z + α X D₁ᵀ, so after one more product any number of
step sizes can be tried at the price of the small rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

#: applied to each number (or each row) alone, without weights and without chance
PLAIN = (nn.Identity, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh,
         nn.Sigmoid, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Softmax, nn.LogSoftmax)  # fmt: skip


@dataclass(frozen=True)
class Friendly:
    """Whether a network is friendly to subspace optimization; true or false by itself.

    Args:
        friendly: the answer.
        reason: of the answer, in words.
        first: multiplications a row in the first product.
        rest: multiplications a row in everything after it.
    """

    friendly: bool
    reason: str
    first: int = 0
    rest: int = 0

    def __bool__(self) -> bool:
        return self.friendly


def modules(model: nn.Module) -> list[nn.Module]:
    """A network's modules one after another, chains within chains unfolded."""
    if isinstance(model, nn.Sequential):
        return [module for part in model for module in modules(part)]
    return [model]


def is_so_friendly(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor] | None = None) -> Friendly:
    """Whether a precise search along a direction costs no more than the step itself, and why (not).

    Understood are chains (``nn.Sequential``) of ``nn.Linear`` and activations, ``nn.Flatten`` in front, linear models among
    them: the first product must cost at least as much as the others together. With two layers that is: no fewer
    inputs than outputs.

    Args:
        model: the network.
        loss: of its output and the targets; must have no weights of its own.

    Returns:
        Something that is true or false, with its ``reason``.

    Source: Shea & Schmidt 2024, arXiv:2406.17954 (definition as in its abstract; the count of products is ours).

    Example:
        >>> net = nn.Sequential(nn.Linear(1000, 30), nn.Tanh(), nn.Linear(30, 10))
        >>> (
        ...     bool(is_so_friendly(net)),
        ...     bool(is_so_friendly(nn.Sequential(nn.Linear(3, 30), nn.Tanh(), nn.Linear(30, 10)))),
        ... )
        (True, False)
        >>> is_so_friendly(nn.Sequential(nn.Linear(9, 2), nn.Dropout())).reason
        'Dropout(p=0.5, inplace=False) is neither nn.Linear nor an activation'
    """
    chain = modules(model)
    while chain and isinstance(chain[0], (nn.Flatten, nn.Identity)):
        chain = chain[1:]
    linear = [module for module in chain if type(module) is nn.Linear]
    if not chain or type(chain[0]) is not nn.Linear:
        name = type(chain[0]).__name__ if chain else "nothing"
        return Friendly(False, f"it begins with {name}: the input must meet the weights in one nn.Linear")
    for module in chain:
        if type(module) is not nn.Linear and not isinstance(module, PLAIN):
            return Friendly(False, f"{module!r} is neither nn.Linear nor an activation")
    owned = [p for module in linear for p in module.parameters()]
    if len(set(map(id, owned))) < len(owned):
        return Friendly(False, "layers share their weights: along a direction the first product is not linear")
    if not all(p.requires_grad for p in owned):
        return Friendly(False, "some weights are frozen: give the features they make as X")
    if isinstance(loss, nn.Module) and any(True for _ in loss.parameters()):
        return Friendly(False, "the loss has weights of its own")
    first, *others = [module.in_features * module.out_features for module in linear]
    rest = sum(others)
    if first < rest:
        return Friendly(False, f"the first product takes {first} multiplications a row and the rest {rest}: trials cost "
                               "more than the step", first, rest)  # fmt: skip
    return Friendly(True, f"the first product takes {first} multiplications a row, the rest {rest}", first, rest)


class Chain:
    """A friendly network, cut behind its first product.

    Args:
        model: the network; its parameters are read whenever they are needed.
        X: all inputs, one a row.

    Raises:
        ValueError: the network is not friendly, or X does not fit.
    """

    def __init__(self, model: nn.Module, X: Tensor, loss: Any) -> None:
        answer = is_so_friendly(model, loss)
        if not answer:
            raise ValueError(f"this network is not friendly to subspace optimization: {answer.reason}")
        chain = modules(model)
        while type(chain[0]) is not nn.Linear:
            X, chain = chain[0](X), chain[1:]
        self.layers = [module for module in chain if isinstance(module, nn.Linear)]
        self.tail = chain[1:]
        weight = self.layers[0].weight
        if X.dim() != 2 or X.shape[1] != weight.shape[1] or X.dtype != weight.dtype:
            raise ValueError(f"X must be a {weight.dtype} table of {weight.shape[1]} columns, got {X.dtype} of shape "
                             f"{tuple(X.shape)}")  # fmt: skip
        self.X = X

    def params(self, layer: nn.Linear) -> list[nn.Parameter]:
        """Weight, and bias if there is one."""
        return list(layer.parameters(recurse=False))

    def first(self, values: list[Tensor]) -> Tensor:
        """The product of X with these values of the first layer's parameters: the one that costs."""
        Z = self.X @ values[0].T
        return Z + values[1] if len(values) > 1 else Z

    def rest(self, Z: Tensor, values: list[list[Tensor]]) -> Tensor:
        """The network's output from its first product and values of the later layers' parameters."""
        later = iter(values)
        for module in self.tail:
            Z = F.linear(Z, *next(later)) if isinstance(module, nn.Linear) else module(Z)
        return Z
