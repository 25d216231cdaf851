"""Adapters whose layers are read, tied, quantized or short: what is read is what would be called, and merging harms nobody."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import steepest
from steepest.nn import LoRALinear, adapters, add_lora, merge


def fill(model: nn.Module, scale: float = 0.3) -> nn.Module:
    """Adapters that do something."""
    chance = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for t in adapters(model).values():
            t.copy_(torch.randn(t.shape, generator=chance) * scale)
    return model


def encoder(targets: list[str] | None = None) -> nn.Module:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return fill(add_lora(nn.TransformerEncoder(layer, 2), rank=2, targets=targets))


X = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("targets", [None, ["out_proj"], ["out_proj", "linear1", "linear2"]])
def test_layers_that_are_read(targets: list[str] | None) -> None:
    """The fast path of evaluation, the slow one, a compiled one and the merged model say the same."""
    model = encoder(targets)
    trains = model(X)
    model.eval()
    slow = model(X)  # with gradients
    with torch.no_grad():
        fast = model(X)
        compiled = torch.compile(model, backend="eager", fullgraph=True)(X)
        plain = copy.deepcopy(model)
        merge(plain)
        assert not any(isinstance(m, LoRALinear) for m in plain.modules())
        for other in (trains, slow, compiled, plain(X)):
            assert torch.allclose(fast, other, atol=1e-5)
        for t in adapters(model).values():
            t.zero_()
        assert not torch.allclose(model(X), fast, atol=1e-2)


def test_a_layer_that_is_read_is_trained() -> None:
    """Attention's ``out_proj``: gradients reach A and B as those of the sum of matrices, and training goes downhill."""
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    fill(add_lora(attention, rank=2, targets=["out_proj"]))
    layer: Any = attention.out_proj

    def loss() -> Tensor:
        return (attention(X, X, X)[0] - X).square().mean()

    whole = layer.weight.detach().requires_grad_()
    with torch.no_grad():
        heads = copy.deepcopy(attention)
        heads.out_proj = nn.modules.linear.NonDynamicallyQuantizableLinear(8, 8)
        heads.out_proj.bias.copy_(layer.bias)
    g = torch.autograd.grad(
        (torch.func.functional_call(heads, {"out_proj.weight": whole}, (X, X, X))[0] - X).square().mean(), whole
    )[0]
    found = torch.autograd.grad(loss(), [layer.lora_A, layer.lora_B])
    assert torch.allclose(found[0], layer.scaling * layer.lora_B.T @ g, atol=1e-6)
    assert torch.allclose(found[1], layer.scaling * g @ layer.lora_A.T, atol=1e-6)
    opt, before = steepest.AdamW([layer.lora_A, layer.lora_B], lr=1e-2), loss().item()
    for _ in range(20):
        opt.step(loss)
    assert loss().item() < before


def test_reading_changes_no_names() -> None:
    model = add_lora(nn.Sequential(nn.Linear(4, 3)), rank=2)
    layer: Any = model[0]
    assert list(model.state_dict()) == ["0.lora_A", "0.lora_B", "0.base.weight", "0.base.bias"]
    assert [n for n, _ in model.named_parameters()] == list(model.state_dict())
    assert (layer.in_features, layer.out_features, layer.bias is layer.base.bias) == (4, 3, True)
    fill(model)
    x = torch.randn(5, 4)
    assert torch.allclose(F.linear(x, layer.weight, layer.bias), model(x), atol=1e-6)
    other = fill(add_lora(nn.Sequential(nn.Linear(4, 3)), rank=2), 2.0)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x)) and torch.equal(copy.deepcopy(model)(x), model(x))
    right = layer.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.weight, right)


class Tied(nn.Module):
    """A head on the embedding's weight."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        if how == "parameter":
            self.head.weight = self.inner.weight
        elif how == "memory":
            self.head.weight = nn.Parameter(self.inner.weight.detach())
        elif how == "buffer":
            self.register_buffer("table", self.head.weight.detach()[2:4])

    def forward(self, i: Tensor) -> Tensor:
        out: Tensor = self.head(self.inner(i))
        return out


I = torch.arange(7)


@pytest.mark.parametrize("how", ["parameter", "memory", "buffer"])
def test_merging_a_shared_weight_is_refused(how: str) -> None:
    """By name, before anything is changed; the message's own mend works."""
    model = fill(add_lora(Tied(how), rank=2))
    before, answers = {n: t.clone() for n, t in model.state_dict().items()}, model(I)
    with pytest.raises(ValueError, match=r"would change '(inner.weight|table)'.* of 'head': untie"):
        merge(model)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    base: Any = model.get_submodule("head").base
    base.weight = nn.Parameter(base.weight.clone(), requires_grad=False)
    undo = merge(model)
    assert torch.allclose(model(I), answers, atol=1e-5)
    assert torch.equal(model.get_submodule("inner").weight, before["inner.weight"])  # type: ignore[arg-type]
    undo()
    assert torch.equal(model(I), answers)


def test_two_adapters_on_one_weight_are_not_merged() -> None:
    """Each would be added for both."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    fill(add_lora(model, rank=1))
    with pytest.raises(ValueError, match=r"'1.base.weight'.*'0'"):
        merge(model)


def test_neighbours_in_one_block_of_memory_are_merged() -> None:
    """Weights that are cut from one long tensor share it without overlapping."""
    model, long = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)), torch.randn(32)
    for k, layer in enumerate(model):
        layer.weight = nn.Parameter(long[16 * k : 16 * k + 16].view(4, 4))
    fill(add_lora(model, rank=1))
    x = torch.randn(3, 4)
    before = model(x)
    merge(model)
    assert torch.allclose(model(x), before, atol=1e-5)


def test_weights_are_tied_by_assigning_them() -> None:
    """After the adapter was made, as libraries tie when they load; the adapter stays the head's own."""
    model: Any = fill(add_lora(Tied("not"), rank=2))
    head = model.head
    head.weight = model.inner.weight
    assert head.base.weight is model.inner.weight and "weight" not in head._parameters
    e = model.inner(I)
    assert torch.allclose(model(I), e @ (model.inner.weight + head.product()).T, atol=1e-5)
    with pytest.raises(ValueError, match="untie"):
        merge(model)


class Codes(nn.Linear):
    """A layer whose weight is stored in eight bits, as quantizing libraries have it."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.weight = nn.Parameter((self.weight.detach() * 100).to(torch.int8), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype) / 100, self.bias)


def test_a_quantized_layer_is_trained_and_not_merged() -> None:
    model = nn.Sequential(Codes(), nn.Linear(3, 3))
    plain = model(X[..., :4])
    add_lora(model, rank=2, targets=["0", "1"])
    assert {t.dtype for t in adapters(model).values()} == {torch.float32}
    assert torch.equal(model(X[..., :4]), plain)
    opt = steepest.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    first = float(opt.step(lambda: model(X[..., :4]).square().mean()))
    for _ in range(5):
        last = float(opt.step(lambda: model(X[..., :4]).square().mean()))
    assert last < first
    before = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(TypeError, match=r"stored as torch.int8.*dequantize"):
        merge(model)
    assert isinstance(model[0], LoRALinear) and isinstance(model[1], LoRALinear)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_a_sum_that_overflows_is_not_merged() -> None:
    """float16 ends at 65504."""
    model = add_lora(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).half(), rank=1, alpha=1.0)
    last: Any = model[1]
    with torch.no_grad():
        last.base.weight.fill_(4e4)
        last.lora_A.fill_(200)
        last.lora_B.fill_(200)
    before = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"'1' with its adapter is not finite in torch.float16"):
        merge(model)
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_twice_is_once_and_again_is_new() -> None:
    """A second ``add_lora`` leaves adapters alone; after a merge it makes new ones on what was learnt."""
    model = fill(add_lora(nn.Sequential(nn.Linear(4, 4), nn.ModuleDict({"in": nn.Linear(4, 4)})["in"]), rank=2))
    x = torch.randn(3, 4)
    before, layers = model(x), list(model)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="no linear layer"):
        add_lora(model, rank=2)
    assert list(model) == layers and torch.equal(model(x), before)  # type: ignore[call-overload]
    merge(model)
    add_lora(model, rank=2)
    assert torch.allclose(model(x), before, atol=1e-5)
    assert not any(t.any() for n, t in adapters(model).items() if n.endswith("B"))
