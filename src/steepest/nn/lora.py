"""Low-rank adapters: a frozen weight plus a trainable product of two thin matrices.

The product does not change when one factor is doubled and the other halved, so its factors are a *pair*, and methods
that care (``steepest.BAR``) are given them by ``pairs(model)``.  That helper knows the adapters of this file and whatever
else calls its factors ``lora_A`` and ``lora_B`` (loralib, PEFT).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steepest.engine import shard

M = TypeVar("M", bound=nn.Module)


class LoRALinear(nn.Module):
    r"""A frozen linear layer with a low-rank adapter.

    .. math:: h = W_0 x + \frac{\alpha}{r} B A x,\quad A \in \mathbb{R}^{r\times k},\ B \in \mathbb{R}^{d\times r}

    A starts Gaussian and B at zero, so the layer begins as the one it is made from.  Code that reads ``weight`` instead of
    calling the layer (``nn.MultiheadAttention`` its ``out_proj``, ``nn.TransformerEncoderLayer`` when it evaluates) finds the
    sum W₀ + (α/r)BA, through which gradients reach A and B.  It is computed at each reading and not written to: what is
    assigned to ``weight`` or ``bias`` becomes W₀ or the bias.

    Args:
        base: the layer W₀, bias included; it is frozen here, not copied.
        rank: r, default 8.
        alpha: α, default 16; the product is scaled by α/r, so r may be changed without tuning the learning rate anew.
        dropout: of the adapter's input, default 0; whoever reads ``weight`` knows nothing of it.
        dtype: of A and B, default W₀'s, or torch's default where W₀ is quantized to 8 bits or fewer; float32 beside a
            bfloat16 W₀ is usual.

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
        if dtype is None and _is_quantized(base.weight):
            dtype = torch.get_default_dtype()
        self.lora_A = nn.Parameter(base.weight.new_empty(rank, base.in_features, dtype=dtype))
        self.lora_B = nn.Parameter(base.weight.new_empty(base.out_features, rank, dtype=dtype))
        self.reset_parameters()
        self.train(base.training)

    def reset_parameters(self) -> None:
        """A Gaussian, B zero."""
        nn.init.normal_(self.lora_A, std=1 / math.sqrt(3 * self.in_features))
        nn.init.zeros_(self.lora_B)

    def forward(self, x: Tensor) -> Tensor:
        """W₀x + (α/r) BAx."""
        out = self.base(x)
        update = F.linear(F.linear(self.dropout(x).to(self.lora_A.dtype), self.lora_A), self.lora_B)
        answer: Tensor = out + (self.scaling * update).to(out.dtype)
        return answer

    def product(self) -> Tensor:
        """(α/r) BA, in float32 at least, also under autocast."""
        exact = torch.promote_types(self.lora_A.dtype, torch.float32)
        with torch.autocast(self.lora_A.device.type, enabled=False):
            return self.scaling * (self.lora_B.to(exact) @ self.lora_A.to(exact))

    @property
    def weight(self) -> Tensor:
        """W₀ + (α/r) BA, in the type of W₀.

        Raises:
            TypeError: W₀ is quantized, and nothing can be added to it.
        """
        w: Tensor = self.base.weight
        if _is_quantized(w):
            raise TypeError(f"the weight of this layer is stored as {w.dtype}, and an adapter cannot be added to it: call "
                            "the layer instead of reading its weight, or dequantize it before merging")  # fmt: skip
        return (w + self.product()).to(w.dtype)

    @property
    def bias(self) -> Tensor | None:
        """That of the layer inside."""
        bias: Tensor | None = self.base.bias
        return bias

    @property
    def in_features(self) -> int:
        """k."""
        return int(self.base.in_features)

    @property
    def out_features(self) -> int:
        """d."""
        return int(self.base.out_features)

    def __setattr__(self, name: str, value: Any) -> None:
        """Weights are tied by assigning them: they belong to the layer inside."""
        super().__setattr__(name, value) if name not in ("weight", "bias") else setattr(self.base, name, value)

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
        targets: ends of the layers' names (``["q_proj", "v_proj"]``), default every layer that is exactly ``nn.Linear``;
            one that is named may be of a subclass, as attention's ``out_proj`` is.
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
              if n and isinstance(m, nn.Linear) and id(m) not in old}  # fmt: skip
    made: dict[int, LoRALinear] = {}
    for target in [""] if targets is None else [targets] if isinstance(targets, str) else targets:
        found = [m for n, m in layers.items()
                 if (n == target or n.endswith("." + target) if target else type(m) is nn.Linear)]  # fmt: skip
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
        ValueError: there is no adapter in the model; its weights are sharded, shared with something else in the model (a
            head that is tied to the embedding), or too small a type for the sum. Nothing is changed then.
        TypeError: its weights are quantized.

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
    for name, layer in layers.items():
        for other in _sharers(model, layer):
            raise ValueError(f"merge would change {other!r}, which shares its memory with the weight of {name!r}: untie "
                             f"them first, model.get_submodule({name!r}).base.weight = torch.nn.Parameter(W.clone(), "
                             "requires_grad=False) with that weight as W, or keep the adapter")  # fmt: skip
    kept = {layer: layer.base.weight.detach().clone() for layer in layers.values()}
    with torch.no_grad():
        for name, layer in layers.items():
            if not torch.isfinite(layer.weight).all() and torch.isfinite(kept[layer]).all():
                raise ValueError(f"the weight of {name!r} with its adapter is not finite in {kept[layer].dtype}: convert "
                                 "the layer to a wider type before merging, or look for NaN in the adapter")  # fmt: skip
        for layer in kept:
            layer.base.weight.copy_(layer.weight)
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


def _is_quantized(w: Tensor) -> bool:
    """Whether values are codes or too few bits to compute with."""
    return not w.is_floating_point() or torch.finfo(w.dtype).bits < 16


def _sharers(model: nn.Module, layer: LoRALinear) -> Iterator[str]:
    """Names of other tensors in the memory of a layer's weight."""

    def span(t: Tensor) -> tuple[Any, int, int]:
        last = sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True)) if t.numel() else -1
        return t.device, t.data_ptr(), t.data_ptr() + (last + 1) * t.element_size()

    device, begin, end = span(layer.base.weight)
    for owner, module in model.named_modules():
        for name, t in (*module._parameters.items(), *module._buffers.items()):
            if (
                t is None
                or (module is layer.base and name == "weight")
                or shard.is_sharded(t)
                or t.layout is not torch.strided
            ):
                continue
            other, first, last = span(t)
            if other == device and first < end and begin < last:
                yield f"{owner}.{name}".lstrip(".")


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
