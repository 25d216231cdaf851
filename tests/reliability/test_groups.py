"""Helpers around constructors: groups with each parameter exactly once, and methods by their names."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import groups


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.wide = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        return x + self.wide(x)


class Transformer(nn.Module):
    """A language model whose head is its embedding."""

    def __init__(self, tied: bool = True) -> None:
        super().__init__()
        self.tokens = nn.Embedding(7, 4)
        self.position = nn.Parameter(torch.zeros(1, 5, 4))
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 7, bias=False)
        if tied:
            self.head.weight = self.tokens.weight

    def forward(self, t: Tensor) -> Tensor:
        x = self.tokens(t) + self.position
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def whose(model: nn.Module, found: list[dict[str, Any]]) -> list[set[str]]:
    """The first names of the parameters of each group, after a look that each is there exactly once."""
    counts = Counter(id(p) for group in found for p in group["params"])
    assert set(counts.values()) == {1}
    assert set(counts) == {id(p) for p in model.parameters()}
    names = {id(p): name for name, p in model.named_parameters()}
    return [{names[id(p)] for p in group["params"]} for group in found]


def test_norms_biases_and_embeddings_do_not_decay() -> None:
    model = Transformer()
    found = groups.no_decay(model, 0.1)
    decays, bare = whose(model, found)
    assert [group["weight_decay"] for group in found] == [0.1, 0.0]
    matrices = ("attention.in_proj_weight", "attention.out_proj.weight", "wide.0.weight", "wide.2.weight")
    assert decays == {"position"} | {f"blocks.{i}.{name}" for i in range(3) for name in matrices}
    assert {"tokens.weight", "norm.weight", "blocks.0.wide.0.bias", "blocks.1.norm.bias"} <= bare
    model.no_weight_decay = lambda: {"position"}  # type: ignore[assignment]
    for chosen in (groups.no_decay(model), groups.no_decay(Transformer(), without="pos*")):
        assert chosen[0]["weight_decay"] == 0.01 and len(chosen[0]["params"]) == 12
    assert "head.weight" in whose(untied := Transformer(tied=False), groups.no_decay(untied))[0]


@pytest.mark.parametrize(("model", "without"), [
    (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)), 1),
    (nn.Sequential(nn.EmbeddingBag(5, 3), nn.RMSNorm((2, 3)), nn.Linear(3, 3)), 1),
    (nn.LayerNorm((2, 3)), 0),
])  # fmt: skip
def test_layers_with_other_shapes(model: nn.Module, without: int) -> None:
    """Norms over matrices have matrices for scales; a group that would be empty is left out."""
    found = groups.no_decay(model, 0.1)
    whose(model, found)
    assert [len(group["params"]) for group in found if group["weight_decay"]] == [1] * without


@pytest.mark.parametrize("tied", [True, False])
def test_layer_wise_rates(tied: bool) -> None:
    """lr γ^(n + 1 - k): embeddings 0, blocks 1 to n, head n + 1; a head that is the embedding is an embedding."""
    model = Transformer(tied)
    found = groups.layer_decay(model, 1.0, 0.5, 0.1)
    names = whose(model, found)
    for group, inside in zip(found, names, strict=True):
        layers = {int(n.split(".")[1]) + 1 if n.startswith("blocks") else 0 if n in ("tokens.weight", "position") else 4
                  for n in inside}  # fmt: skip
        assert layers == {group["layer"]}
        assert group["lr"] == 0.5 ** (4 - group["layer"])
        assert len({name.endswith(("bias", "norm.weight", "tokens.weight")) for name in inside}) == 1
        assert group["weight_decay"] == (
            0.0 if any(n.endswith("bias") or n == "tokens.weight" for n in inside) else 0.1
        )
    assert [group["layer"] for group in found] == sorted(group["layer"] for group in found)
    chosen = groups.layer_decay(model, 1.0, 0.5, blocks=[model.blocks[2]])
    assert {group["layer"] for group in chosen} == {0, 1, 2}
    whose(model, chosen)


@pytest.mark.parametrize("name", ["AdamW", "Auto", "SGD", "Lion"])
def test_the_groups_train(name: str) -> None:
    """With ours and, for AdamW, as torch's own does with the same groups."""
    torch.manual_seed(0)
    model, t = Transformer(), torch.randint(0, 7, (4, 5))
    twin = Transformer()
    twin.load_state_dict(model.state_dict())
    opt = steepest.create(name, groups.layer_decay(model, 1.0 if name == "Auto" else 0.01))
    theirs = torch.optim.AdamW(groups.layer_decay(twin, 0.01), lr=1.0)

    def loss(net: nn.Module) -> Tensor:
        return nn.functional.cross_entropy(net(t).flatten(0, 1), t.roll(1, 1).flatten())

    first = float(loss(model).detach())
    for _ in range(10):
        opt.step(lambda: loss(model))
        theirs.zero_grad()
        loss(twin).backward()
        theirs.step()
    assert float(loss(model).detach()) < first
    if name == "AdamW":  # not the weights: some gradients are 0 up to rounding, which Adam blows up
        assert float(loss(model).detach()) == pytest.approx(float(loss(twin).detach()), rel=1e-4)


def test_groups_say_what_they_cannot() -> None:
    model = Transformer()
    for call, kind, words in (
        (lambda: groups.no_decay(model.parameters()), TypeError, "nn.Module"),  # type: ignore[arg-type]
        (lambda: groups.no_decay(model, -1.0), ValueError, "weight_decay must"),
        (lambda: groups.no_decay(model, without=["pos"]), ValueError, "without='pos'"),
        (lambda: groups.layer_decay(model, 1.0, 1.5), ValueError, "decay must"),
        (lambda: groups.layer_decay(model, -1.0), ValueError, "lr must"),
        (lambda: groups.layer_decay(nn.Linear(2, 2), 1.0), ValueError, "blocks=model.layers"),
        (lambda: groups.layer_decay(model, 1.0, blocks=[nn.Linear(2, 2)]), ValueError, "blocks="),
    ):
        with pytest.raises(kind, match=words):
            call()


def test_players_have_sides() -> None:
    """Extragradient on xy, from named players, goes to the equilibrium; as groups by hand do."""
    x, y = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    opt = steepest.ExtraSGD(groups.players({"x": [x]}, {"y": [y]}), lr=0.5)
    for _ in range(100):
        opt.step(lambda: x @ y)
    assert float((x.norm() + y.norm()).detach()) < 1e-3
    assert [group["player"] for group in opt.state_dict()["param_groups"]] == ["x", "y"]
    a, b = nn.Linear(2, 2), nn.Linear(2, 1)
    b.weight = nn.Parameter(torch.zeros(1, 2))
    for call, kind, words in (
        (lambda: groups.players({"a": a}, {"a": b}), ValueError, "both minimizes and maximizes"),
        (lambda: groups.players({"a": a}, {"b": a}), ValueError, "'a' and 'b' share a parameter of shape"),
        (lambda: groups.players({"a": nn.ReLU()}, {"b": a}), ValueError, "'a' has no parameters"),
        (lambda: groups.players({"a": [3.0]}, {"b": a}), TypeError, "got float"),  # type: ignore[list-item]
    ):
        with pytest.raises(kind, match=words):
            call()


# ---- methods by their names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(steepest.methods))
def test_a_method_is_made_by_its_name(name: str) -> None:
    """However it is written, of parameters or of a model."""
    model = nn.Linear(2, 1)
    for word in (name, name.lower(), name.upper(), "-".join(name), f"{name[:2]}_{name[2:]}"):
        made = steepest.create(word, model)
        assert type(made) is steepest.methods[name].make
        assert [p for group in made.param_groups for p in group["params"]] == [*model.parameters()]
    assert steepest.create(name, model.parameters(), lr=0.5).param_groups[0]["lr"] == 0.5
    assert steepest.create(name, [{"params": model.parameters(), "lr": 0.25}]).param_groups[0]["lr"] == 0.25


def test_names_that_are_none_are_answered_by_close_ones() -> None:
    for wrong, words in (("cadamv", "'CAdamW'"), ("d-adapt-adm", "'DAdaptAdam'"), ("zzz", r"methods\('\*'\)")):
        with pytest.raises(ValueError, match=words):
            steepest.create(wrong, nn.Linear(1, 1))
    with pytest.raises(TypeError, match="must be a word"):
        steepest.create(steepest.AdamW, nn.Linear(1, 1))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="did you mean 'weight_decay'"):
        steepest.create("adamw", nn.Linear(1, 1), weight_deca=0.1)


def test_names_are_listed_by_pattern() -> None:
    """The table is a dict still."""
    assert steepest.methods("dadapt*") == ["DAdaptAdaGrad", "DAdaptAdam", "DAdaptDual", "DAdaptSGD"]
    assert steepest.methods("*SAM") == ["ASAM", "FSAM", "InfoSAM", "SAM"]
    assert steepest.methods() == sorted(steepest.methods, key=str.lower)
    assert steepest.methods("nothing") == []
    assert isinstance(steepest.methods, dict)
