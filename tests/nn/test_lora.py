"""Low-rank adapters: they begin as nothing, train alone, are saved alone, and merge and unmerge to the bit."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.nn import LoRALinear, adapters, add_lora, merge, pairs


def net(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Three layers, the first without a bias."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8, bias=False), nn.Tanh(), nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 3)).to(dtype)


X = torch.randn(10, 6, generator=torch.Generator().manual_seed(1))


def trained(**options: Any) -> nn.Sequential:
    """A net whose adapters have taken some steps."""
    model = add_lora(net(), **{"rank": 2, **options})
    opt = steepest.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(3):
        opt.step(lambda: (model(X) - 1).square().mean())
    return model


def test_begins_as_the_layer_it_is_made_from() -> None:
    model = net()
    before = model(X)
    assert torch.equal(add_lora(model)(X), before)


def test_is_the_paper_by_hand() -> None:
    """W₀ = [1 2], A = [3 4], B = [5], α/r = 2: h(1, 1) = 3 + 2·5·7 = 73."""
    layer = LoRALinear(nn.Linear(2, 1, bias=False), rank=1, alpha=2.0)
    with torch.no_grad():
        for p, values in ((layer.base.weight, [[1, 2]]), (layer.lora_A, [[3, 4]]), (layer.lora_B, [[5]])):
            p.copy_(torch.tensor(values))
    assert layer(torch.ones(1, 2)).item() == 73.0
    assert layer.product().tolist() == [[30.0, 40.0]]


def test_a_starts_with_the_variance_of_the_authors_code() -> None:
    layer = LoRALinear(nn.Linear(300, 4), rank=100)
    assert layer.lora_A.std().item() == pytest.approx((3 * 300) ** -0.5, rel=0.03)
    assert not layer.lora_B.any()


def test_only_adapters_are_trained() -> None:
    model, twin = trained(), net()
    ours = {n.replace(".base.", "."): p for n, p in model.named_parameters() if "lora" not in n}
    assert all(torch.equal(ours[n], p) and ours[n].grad is None for n, p in twin.named_parameters())
    assert all(layer.lora_A.grad is not None for layer in model.modules() if isinstance(layer, LoRALinear))
    assert not torch.equal(model(X), twin(X))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_merges_and_comes_back(dtype: torch.dtype) -> None:
    model = trained().to(dtype)
    x, before = X.to(dtype), {n: t.clone() for n, t in model.state_dict().items()}
    out = model(x)
    undo = merge(model)
    assert [type(m) for m in model] == [nn.Linear, nn.Tanh, nn.Linear, nn.Tanh, nn.Linear]
    assert list(model.state_dict()) == list(net().state_dict())
    assert torch.allclose(model(x), out, rtol=0, atol=8 * torch.finfo(dtype).eps)  # outputs are about 1
    undo()
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert torch.equal(model(x), out)


def test_adapters_are_saved_alone() -> None:
    model, other = trained(), add_lora(net(), rank=2)
    file = io.BytesIO()
    torch.save(adapters(model), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert sum(t.numel() for t in saved.values()) == 2 * (6 + 8 + 8 + 7 + 7 + 3)
    assert not other.load_state_dict(saved, strict=False).unexpected_keys
    assert torch.equal(other(X), model(X))


def test_a_float32_adapter_beside_a_bfloat16_layer() -> None:
    model = add_lora(net(torch.bfloat16), rank=2, dtype=torch.float32)
    assert model(X.bfloat16()).dtype is torch.bfloat16
    assert {p.dtype for p in adapters(model).values()} == {torch.float32}
    with torch.autocast("cpu", torch.bfloat16):
        assert trained()(X).dtype is torch.bfloat16


def test_dropout_is_the_adapters_alone_and_rests_in_evaluation() -> None:
    model = trained(dropout=0.5)
    torch.manual_seed(0)
    assert not torch.equal(model(X), model(X))
    assert torch.equal(model.eval()(X), model(X))


def test_targets_are_ends_of_names() -> None:
    model = add_lora(nn.ModuleDict({"q_proj": net(), "v_proj": net()}), targets=["q_proj.0", "4"])
    assert {n.removesuffix(".lora_A") for n in adapters(model) if n.endswith("A")} == {
        "q_proj.0",
        "q_proj.4",
        "v_proj.4",
    }


def test_more_targets_later_leave_the_first_as_they_are() -> None:
    model = add_lora(net(), targets=["0"])
    first = model[0]
    add_lora(model, targets=["2"])
    assert model[0] is first and isinstance(model[2], LoRALinear)
    assert len(pairs(model)) == 2


def test_a_layer_that_stands_in_two_places_stays_one() -> None:
    layer = nn.Linear(4, 4)
    model = add_lora(nn.Sequential(layer, nn.Tanh(), layer))
    assert model[0] is model[2] and len(pairs(model)) == 1
    undo = merge(model)
    assert model[0] is model[2] is layer
    undo()
    assert model[0] is model[2] and isinstance(model[0], LoRALinear)


def test_copies_and_pickles() -> None:
    model = trained()
    assert torch.equal(copy.deepcopy(model)(X), model(X))
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(X), model(X))


@pytest.mark.parametrize(("given", "what"), [
    ({"rank": 0}, "rank"), ({"rank": 1.5}, "rank"), ({"alpha": 0.0}, "alpha"), ({"alpha": float("nan")}, "alpha"),
    ({"dropout": 1.0}, "dropout"), ({"targets": ["q_proj"]}, "'q_proj'; their names end in 0, 2, 4"),
])  # fmt: skip
def test_bad_input_changes_nothing(given: dict[str, Any], what: str) -> None:
    model = net()
    with pytest.raises(ValueError, match=what):
        add_lora(model, **given)
    assert list(model.state_dict()) == list(net().state_dict())


def test_what_is_no_linear_layer_is_refused() -> None:
    with pytest.raises(TypeError, match="Conv2d"):
        LoRALinear(nn.Conv2d(1, 1, 1))  # type: ignore[arg-type]
    for nothing in (lambda: merge(net()), lambda: pairs(net())):
        with pytest.raises(ValueError, match="add_lora"):
            nothing()


class Peft(nn.Module):
    """Factors as PEFT names them: layers by adapter, and for embeddings parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.lora_A = nn.ModuleDict({n: nn.Linear(4, 2, bias=False) for n in ("default", "other")})
        self.lora_B = nn.ModuleDict({n: nn.Linear(2, 3, bias=False) for n in ("default", "other")})
        self.lora_embedding_A = nn.ParameterDict({"default": nn.Parameter(torch.zeros(2, 9))})
        self.lora_embedding_B = nn.ParameterDict({"default": nn.Parameter(torch.zeros(3, 2))})
        self.lora_A["other"].requires_grad_(False)


class Loralib(nn.Linear):
    """Factors as loralib names them: parameters of the layer."""

    def __init__(self) -> None:
        super().__init__(4, 3)
        self.lora_A, self.lora_B = nn.Parameter(torch.zeros(2, 4)), nn.Parameter(torch.zeros(3, 2))


def test_pairs_are_found_under_other_peoples_names() -> None:
    """An adapter that is frozen, as PEFT's inactive ones are, is none."""
    shapes = [(tuple(a.shape), tuple(b.shape)) for a, b in pairs(nn.ModuleList([Peft(), Loralib()]))]
    assert shapes == [((2, 4), (3, 2)), ((2, 9), (3, 2)), ((2, 4), (3, 2))]


def test_peft_itself() -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed")
    model = peft.get_peft_model(net(), peft.LoraConfig(r=2, target_modules=["0", "4"]))
    found = pairs(model)
    assert len(found) == 2
    expected: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    assert {id(p) for pair in found for p in pair} == {id(p) for p in expected}


@pytest.mark.parametrize("variant", ["n", "o"])
def test_bar_trains_pefts_adapters_as_ours(variant: Any) -> None:
    """The same weights after the same steps, and not those of training without it."""
    peft = pytest.importorskip("peft", reason="peft is not installed")

    def trained(model: Any, alpha: float) -> tuple[Tensor, float]:
        with torch.no_grad():
            for i, p in enumerate(p for pair in pairs(model) for p in pair):
                p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(i)) / 4)
        params = [p for p in model.parameters() if p.requires_grad]
        opt = steepest.BAR(params, lr=1e-2, alpha=alpha, pairs=pairs(model), variant=variant)
        for _ in range(20):
            opt.step(lambda: (model(X) - 1).square().mean())
        uneven = [abs(steepest.landscape.balancedness(a, b).value) for a, b in pairs(model)]
        return model(X).detach(), sum(uneven)

    def theirs() -> Any:
        return peft.get_peft_model(net(), peft.LoraConfig(r=2, lora_alpha=16, target_modules=["0", "4"]))

    x, uneven = trained(add_lora(net(), rank=2, alpha=16.0, targets=["0", "4"]), alpha=1.0)
    y, same = trained(theirs(), alpha=1.0)
    z, plain = trained(theirs(), alpha=0.0)
    assert torch.allclose(x, y, atol=1e-5) and uneven == pytest.approx(same, rel=1e-4)
    assert not torch.allclose(y, z, atol=1e-3)
    if variant == "o":  # it looks at the lengths, and makes them equal
        assert same < plain / 2
