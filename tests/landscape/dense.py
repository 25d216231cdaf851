"""Small models of every kind, and their curvature written down whole: what the tools are compared with.

Derivatives are torch.func's, except where a layer normalises: of ``batch_norm`` and ``layer_norm`` with weights, torch 2.13
gives wrong second derivatives by jacrev of jacrev and jacfwd of jacrev (test_loss.py shows it), so the gradient is
differenced there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev
from torch.nn import functional as F

from steepest.landscape import Loss

torch.manual_seed(0)
X = torch.randn(12, 4, dtype=torch.float64)
Y = torch.randint(3, (12,))


class Tied(nn.Module):
    """One matrix used twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False), nn.Linear(4, 3)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.tanh(self.b(torch.tanh(self.a(x)))))
        return out


class Attention(nn.Module):
    """Rows attend to each other; torch's fast kernels for this cannot be differentiated twice."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 6, 0.0, "gelu", batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.layer(x.view(3, 4, 4)).flatten(0, 1))
        return out


def frozen() -> nn.Module:
    """The first layer does not train."""
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    model[0].requires_grad_(False)
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(4, 3),
    "tanh": lambda: nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)),
    "norm": lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)),
    "tied": Tied,
    "frozen": frozen,
    "attention": Attention,
}


def build(name: str) -> nn.Module:
    """The model in float64, the same each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return MODELS[name]().double()


def cross_entropy(model: nn.Module) -> Loss:
    """Its loss on all rows, with the head apart."""
    return Loss(model, lambda: model(X), head=lambda z: F.cross_entropy(z, Y))


def _whole(model: nn.Module, derive: Callable[..., Any], f: Callable[[Tensor], Tensor]) -> Any:
    """A derivative of f(outputs) by all trainable parameters in one vector."""
    named = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    buffers = {n: b.clone() for n, b in model.named_buffers()}
    sizes, shapes = [p.numel() for p in named.values()], [p.shape for p in named.values()]
    x = torch.cat([p.reshape(-1) for p in named.values()])

    def of(v: Tensor) -> Tensor:
        parts = {n: t.view(s) for n, t, s in zip(named, v.split(sizes), shapes, strict=True)}
        return f(functional_call(model, parts | {n: b.clone() for n, b in buffers.items()}, (X,)))

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return derive(of)(x)


def differenced(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The Jacobian by central differences; right to about seven digits."""
    h = 1e-5
    return lambda x: torch.stack([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in torch.eye(len(x), dtype=x.dtype)], 1)


def dense_hessian(model: nn.Module) -> Tensor:
    """∇²f."""
    normalises = any(isinstance(m, nn.BatchNorm1d | nn.LayerNorm) for m in model.modules())
    again = differenced if normalises else jacrev
    found: Tensor = _whole(model, lambda of: again(jacrev(of)), lambda z: F.cross_entropy(z, Y))
    return found


def dense_ggn(model: nn.Module) -> Tensor:
    """Jᵀ ∇²ℓ J."""
    J: Tensor = _whole(model, jacrev, lambda z: z)
    z = model(X).detach()
    H = torch.autograd.functional.hessian(lambda out: F.cross_entropy(out, Y), z)
    n = z.numel()
    return J.reshape(n, -1).T @ H.reshape(n, n) @ J.reshape(n, -1)


def columns(product: Callable[[Tensor], Tensor], n: int) -> Tensor:
    """The matrix of a product."""
    return torch.stack([product(e) for e in torch.eye(n, dtype=torch.float64)], 1)
