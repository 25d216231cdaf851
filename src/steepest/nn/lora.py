"""Low-rank adapters: a frozen weight plus a trainable product of two thin matrices.

The product does not change when one factor is doubled and the other halved, so its factors are a *pair*, and methods
that care (``steepest.BAR``) are told so by ``pairs(model)``.  That helper knows the adapters of this file and whatever
else calls its factors ``lora_A`` and ``lora_B`` (loralib, PEFT).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steepest.engine import shard

M = TypeVar("M", bound=nn.Module)


class LoRALinear(nn.Module):
    r"""A frozen linear layer with a low-rank adapter.

    .. math:: h = W_0 x + \frac{\alpha}{r} B A x,\quad A \in \mathbb{R}^{r\times k},\ B \in \mathbb{R}^{d\times r}

    A starts Gaussian and B at zero, so the layer begins as the one it is made from.

    Args:
        base: the layer W₀, bias included; it is frozen here, not copied.
        rank: r, default 8.
        alpha: α, default 16; the product is scaled by α/r, so r may be changed without tuning the learning rate anew.
        dropout: of the adapter's input, default 0.
        dtype: of A and B, default W₀'s; float32 beside a bfloat16 W₀ is usual.

    Raises:
        TypeError: ``base`` is no linear layer.
        ValueError: a rank, α or dropout out of range.

    Source: Hu et al. 2022, arXiv:2106.09685, equation 3 and section 4.1.

    Note: the paper draws A from a Gaussian and does not say its variance; here it is 1/(3k), that of the uniform
    distribution in the authors' code. Defaults of r and α are those of PEFT's examples, the paper's vary.

    Example:
        >>> layer = LoRALinear(nn.Linear(5, 3), rank=2)
        >>> x = torch.ones(1, 5)
        >>> torch.equal(layer(x), layer.base(x))
        True
    """

    def __init__(self, base: nn.Linear, rank: int = 8, alpha: float = 16.0, dropout: float = 0.0,
                 dtype: torch.dtype | None = None) -> None:  # fmt: skip
        super().__init__()
        if not isinstance(base, nn.Linear):
            raise TypeError(f"LoRALinear goes around an nn.Linear, got {type(base).__name__}")
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            raise ValueError(f"LoRALinear: rank must be an integer from 1, got {rank!r}")
        if not (math.isfinite(alpha) and alpha > 0):
            raise ValueError(f"LoRALinear: alpha must be a positive number, got {alpha!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"LoRALinear: dropout must lie in [0, 1), got {dropout!r}")
        self.base = base.requires_grad_(False)
        self.rank, self.alpha, self.scaling = rank, alpha, alpha / rank
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.lora_A = nn.Parameter(base.weight.new_empty(rank, base.in_features, dtype=dtype))
        self.lora_B = nn.Parameter(base.weight.new_empty(base.out_features, rank, dtype=dtype))
        self.reset_parameters()
        self.train(base.training)

    def reset_parameters(self) -> None:
        """A Gaussian, B zero."""
        nn.init.normal_(self.lora_A, std=1 / math.sqrt(3 * self.base.in_features))
        nn.init.zeros_(self.lora_B)

    def forward(self, x: Tensor) -> Tensor:
        """W₀x + (α/r) BAx."""
        out = self.base(x)
        update = F.linear(F.linear(self.dropout(x).to(self.lora_A.dtype), self.lora_A), self.lora_B)
        answer: Tensor = out + (self.scaling * update).to(out.dtype)
        return answer

    def product(self) -> Tensor:
        """(α/r) BA, in float32 at least."""
        exact = torch.promote_types(self.lora_A.dtype, torch.float32)
        return self.scaling * (self.lora_B.to(exact) @ self.lora_A.to(exact))

    def extra_repr(self) -> str:
        """For printing."""
        return f"rank={self.rank}, alpha={self.alpha:g}"


def add_lora(model: M, rank: int = 8, alpha: float = 16.0, targets: Iterable[str] | None = None,
             dropout: float = 0.0, dtype: torch.dtype | None = None) -> M:  # fmt: skip
    """Freeze a model and give its linear layers adapters, in place; what is trained then is adapters alone.

    Args:
        model: is changed, and returned.
        rank: r, default 8.
        alpha: α, default 16.
        targets: ends of the layers' names (``["q_proj", "v_proj"]``), default every ``nn.Linear``.
        dropout: of the adapters' input, default 0.
        dtype: of the factors, default that of each layer.

    Raises:
        ValueError: a target that no linear layer's name ends with, or no linear layer at all; nothing is changed then.

    Example:
        >>> model = add_lora(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)), rank=1, targets=["2"])
        >>> [name for name, p in model.named_parameters() if p.requires_grad]
        ['2.lora_A', '2.lora_B']
    """
    old = {id(m.base): m for m in model.modules() if isinstance(m, LoRALinear)}
    layers = {n: m for n, m in model.named_modules(remove_duplicate=False)
              if n and type(m) is nn.Linear and id(m) not in old}  # fmt: skip
    made: dict[int, LoRALinear] = {}
    for target in [""] if targets is None else [targets] if isinstance(targets, str) else targets:
        found = [m for n, m in layers.items() if not target or n == target or n.endswith("." + target)]
        if not found:
            known = ", ".join(sorted({n.rsplit(".", 1)[-1] for n in layers})) or "nothing: there is none"
            raise ValueError(
                f"add_lora: no linear layer inside the model ends in {target!r}; their names end in {known}"
            )
        made |= {id(m): LoRALinear(m, rank, alpha, dropout, dtype) for m in found if id(m) not in made}
    trained = {id(p) for layer in old.values() for p in (layer.lora_A, layer.lora_B)}
    for p in model.parameters():
        p.requires_grad_(p.requires_grad and id(p) in trained)
    for name, layer in layers.items():
        if id(layer) in made:
            _put(model, name, made[id(layer)])
    return model


def merge(model: nn.Module) -> Callable[[], None]:
    """Write every adapter into its layer, and put that plain layer in the adapter's place, to deploy it.

    Args:
        model: contains the ``LoRALinear`` layers; is changed.

    Returns:
        A function that takes it back: the adapters are in their places again, the weights W₀ as they were, to the bit.

    Raises:
        ValueError: there is no adapter in the model, or its weights are sharded.

    Example:
        >>> model = add_lora(nn.Sequential(nn.Linear(4, 2)), rank=1)
        >>> undo = merge(model)
        >>> model
        Sequential(
          (0): Linear(in_features=4, out_features=2, bias=True)
        )
        >>> undo()
    """
    layers = {n: m for n, m in model.named_modules(remove_duplicate=False) if n and isinstance(m, LoRALinear)}
    if not layers:
        raise ValueError("merge found no LoRALinear inside the model: give the model that add_lora returned")
    if any(shard.is_sharded(layer.base.weight) for layer in layers.values()):
        raise ValueError("merge needs whole weights: load the adapters into a model that is not sharded")
    kept = {layer: layer.base.weight.detach().clone() for layer in layers.values()}
    with torch.no_grad():
        for layer, w in kept.items():
            layer.base.weight.copy_(w + layer.product())
    for name, layer in layers.items():
        _put(model, name, layer.base.train(layer.training))

    def undo() -> None:
        with torch.no_grad():
            for layer, w in kept.items():
                layer.base.weight.copy_(w)
        for name, layer in layers.items():
            _put(model, name, layer)

    return undo


def adapters(model: nn.Module) -> dict[str, Tensor]:
    """The part of ``model.state_dict()`` that was trained; ``load_state_dict(..., strict=False)`` takes it back."""
    return {n: t for n, t in model.state_dict().items() if {"lora_A", "lora_B"} & set(n.split("."))}


def pairs(model: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """The trainable pairs (A, B) of low-rank factors in a model, each once, for ``steepest.BAR(..., pairs=...)``.

    Args:
        model: with the adapters of ``add_lora``, of loralib or of PEFT; sharded already, if it is going to be.

    Raises:
        ValueError: there is none.
    """
    found = dict.fromkeys(pair for m in model.modules() for names in _NAMES for pair in _factors(m, *names))
    trained = [(a, b) for a, b in found if a.requires_grad and b.requires_grad]
    if not trained:
        raise ValueError("pairs found no trainable lora_A beside a lora_B in the model: add adapters first, for instance "
                         "by steepest.nn.add_lora(model)")  # fmt: skip
    return trained


_NAMES = (("lora_A", "lora_B"), ("lora_embedding_A", "lora_embedding_B"))


def _factors(module: nn.Module, first: str, second: str) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
    """Parameters of these names, or, as PEFT has them, dictionaries of parameters or layers by adapter."""
    a, b = getattr(module, first, None), getattr(module, second, None)
    shared = [k for k in a if k in b] if isinstance(a, _DICTS) and isinstance(b, _DICTS) else []
    for x, y in [(a, b), *((a[k], b[k]) for k in shared)]:  # type: ignore[index]
        x, y = (getattr(z, "weight", z) for z in (x, y))
        if isinstance(x, nn.Parameter) and isinstance(y, nn.Parameter):
            yield x, y


_DICTS = (nn.ModuleDict, nn.ParameterDict)


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, layer)
