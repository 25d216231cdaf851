"""Laws of the weights a method returns: ``eval`` and ``train`` lose nothing, and a checkpoint knows which the model had."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest import point

X, Y = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)), torch.ones(8, 2)
POINTS = {
    "AdamW": point.Average, "Auto": None, "DoG": point.Average, "Lion": point.ScheduleFree, "GaLore": point.Average,
    "UDoG": None,
}  # fmt: skip


def made(name: str) -> tuple[nn.Module, steepest.Optimizer]:
    """A small net and a method that returns an average."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    inner = POINTS[name]
    options: dict[str, Any] = {} if inner is None else {"point": inner()}
    return model, steepest.methods[name].make(model.parameters(), **options)


def go(model: nn.Module, opt: Any, steps: int = 3) -> None:
    for _ in range(steps):
        opt.step(lambda: (model(X) - Y).square().mean())


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


def through_a_file(what: Any) -> Any:
    file = io.BytesIO()
    torch.save(what, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("name", POINTS)
def test_eval_and_train_are_the_block(name: str) -> None:
    """The same weights as inside ``averaged()``, also when called twice; back to the bit; training does not notice."""
    model, opt = made(name)
    twin, other = made(name)
    opt.train()
    opt.eval()  # nothing is there yet
    opt.train()
    for _ in range(4):
        go(model, opt, 1)
        go(twin, other, 1)
        before = weights(model)
        with opt.averaged():
            right = weights(model)
        for _ in range(2):
            opt.eval()
            assert same(weights(model), right)
        with opt.averaged():
            assert same(weights(model), right)
        assert same(weights(model), right)
        for _ in range(2):
            opt.train()
            assert same(weights(model), before)
    assert same(weights(model), weights(twin))
    assert same(before, right) == (name == "UDoG")  # which returns the weights it trains
    assert all("training_weights" not in state for state in opt.state.values())


@pytest.mark.parametrize("name", ["AdamW", "SAM", "PoNoS", "MeZO"])
def test_a_method_without_an_average_does_not_mind(name: str) -> None:
    """Loops may call both always; only the block is refused, as it is a promise."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    opt = steepest.methods[name].make(model.parameters())
    opt.eval()
    go(model, opt, 1)
    before = weights(model)
    opt.eval()
    assert same(weights(model), before)
    opt.train()
    assert "weights" not in opt.state_dict()
    with pytest.raises(TypeError, match="keeps no average"), opt.averaged():
        pass


@pytest.mark.parametrize("what", ["step", "restart"])
def test_in_evaluation_nothing_is_trained(what: str) -> None:
    """Said with what to do, and nothing is changed: also before the first step, where the weights are the same."""
    model, opt = made("AdamW")
    for steps in (0, 3):
        go(model, opt, steps)
        opt.eval()
        before = weights(model)
        with pytest.raises(RuntimeError, match=r"call opt\.train\(\) before " + what):
            getattr(opt, what)()
        assert same(weights(model), before) and opt.counters.steps == steps
        opt.train()


def test_a_block_ends_where_it_ends() -> None:
    """Inside, ``eval`` finds its work done (Hugging Face's ``evaluate`` calls it), and ``train`` is refused."""
    model, opt = made("Auto")
    go(model, opt)
    before = weights(model)
    with opt.averaged():
        opt.eval()
        with pytest.raises(RuntimeError, match=r"leave it before train\(\)"):
            opt.train()
    assert same(weights(model), before)
    go(model, opt)


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", POINTS)
def test_what_is_saved_in_either_mode_goes_on_to_the_bit(name: str, mode: str) -> None:
    """The model's file has the weights of that mode; the optimizer's makes the others from it."""
    model, opt = made(name)
    go(model, opt)
    getattr(opt, mode)()
    held = weights(model)
    file = through_a_file({"model": model.state_dict(), "opt": opt.state_dict()})
    assert file["opt"]["weights"]["kind"] == {"eval": "averaged", "train": "training"}[mode]
    opt.train()
    go(model, opt)
    again, fresh = made(name)
    again.load_state_dict(file["model"])
    fresh.load_state_dict(file["opt"])
    assert same(weights(again), held)
    fresh.train()
    go(again, fresh)
    assert same(weights(again), weights(model))
    opt.eval()
    fresh.eval()
    assert same(weights(again), weights(model))


@pytest.mark.parametrize("name", ["Auto", "AdamW"])
def test_a_state_that_was_taken_keeps_its_weights(name: str) -> None:
    """Also when the optimizer trains on before it is written."""
    model, opt = made(name)
    go(model, opt)
    before = weights(model)
    opt.eval()
    taken = opt.state_dict()
    opt.train()
    go(model, opt)
    opt.load_state_dict(taken)
    opt.train()
    assert same(weights(model), before)


@pytest.mark.parametrize("where", ["eval", "block"])
@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_a_copy_has_both_weights(how: str, where: str) -> None:
    """A copy made in a block is in evaluation mode: there is no block that it could leave."""
    model, opt = made("AdamW")
    go(model, opt)
    before = weights(model)
    with opt.averaged():
        pair = copy.deepcopy((model, opt)) if how == "deepcopy" else pickle.loads(pickle.dumps((model, opt)))
    if where == "eval":
        opt.eval()
        pair = copy.deepcopy((model, opt)) if how == "deepcopy" else pickle.loads(pickle.dumps((model, opt)))
        opt.train()
    with pytest.raises(RuntimeError, match=r"opt\.train\(\)"):
        pair[1].step()
    pair[1].train()
    assert same(weights(pair[0]), before)
    go(model, opt)
    go(*pair)
    assert same(weights(pair[0]), weights(model))


def test_loading_sets_the_mode_of_the_file() -> None:
    """Over an optimizer in the other mode, too."""
    model, opt = made("AdamW")
    go(model, opt)
    files = {}
    for mode in ("eval", "train"):
        getattr(opt, mode)()
        files[mode] = through_a_file([model.state_dict(), opt.state_dict()])
    before = weights(model)
    for mode in ("eval", "train", "eval"):
        model.load_state_dict(files[mode][0])
        opt.load_state_dict(files[mode][1])
        assert same(weights(model), before) == (mode == "train")
        if mode == "train":
            opt.step()  # no gradients: nothing moves, and nothing is refused
    opt.train()
    assert same(weights(model), before)


@pytest.mark.parametrize("bad", [torch.zeros(3), torch.zeros(4, 3, dtype=torch.int64), 1.0], ids=str)
def test_kept_weights_that_do_not_fit_are_refused(bad: Any) -> None:
    """When they are loaded, before anything is changed."""
    model, opt = made("AdamW")
    go(model, opt)
    opt.eval()
    file = through_a_file(opt.state_dict())
    file["state"][0]["training_weights"] = bad
    opt.train()
    before, count = weights(model), opt.counters.steps
    with pytest.raises(ValueError, match=r"training_weights.*belongs to another model"):
        opt.load_state_dict(file)
    assert same(weights(model), before) and opt.counters.steps == count
    go(model, opt, 1)


def test_short_weights_come_back_and_late_ones_join() -> None:
    x, late = nn.Parameter(torch.ones(3, dtype=torch.bfloat16)), nn.Parameter(torch.ones(2))
    opt = steepest.SGD([x, late], lr=0.01, point=point.Average())
    for used in ([x], [x], [x, late]):
        opt.step(lambda used=used: sum(p.float().square().sum() for p in used))  # type: ignore[misc]
        kept = x.detach().clone(), late.detach().clone()
        opt.eval()
        assert len(used) == 2 or torch.equal(late, kept[1])
        opt.train()
        assert torch.equal(x, kept[0]) and torch.equal(late, kept[1])


def test_an_answer_that_fails_changes_nothing() -> None:
    model, opt = made("AdamW")
    go(model, opt)
    before = weights(model)
    last = [*model.parameters()][-1]
    mean = opt.state[last].pop("average")
    with pytest.raises(KeyError):
        opt.eval()
    opt.state[last]["average"] = mean
    assert same(weights(model), before)
    go(model, opt)


# ---- which weights a file has ------------------------------------------------------------------------------------------


def files(name: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """An optimizer's state and three models: the right one, the average, and one of another moment."""
    model, opt = made(name)
    go(model, opt, 2)
    found = {"early": through_a_file(model.state_dict())}
    go(model, opt, 2)
    found["right"] = through_a_file(model.state_dict())
    with opt.averaged():
        found["average"] = through_a_file(model.state_dict())
    return through_a_file(opt.state_dict()), found


@pytest.mark.parametrize("which", ["right", "average", "early"])
@pytest.mark.parametrize("name", ["AdamW", "Auto", "GaLore"])
def test_weights_of_the_wrong_kind_are_said_once(name: str, which: str) -> None:
    """At the first step after loading, whatever was loaded first."""
    state, found = files(name)
    model, opt = made(name)
    opt.load_state_dict(state)
    model.load_state_dict(found[which])
    if which != "right":
        with pytest.warns(UserWarning, match="weights are not those") as said:
            go(model, opt, 1)
        assert ("averaged ones" in str(said[0].message)) == (which == "average")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        go(model, opt, 2)


def test_weights_of_another_type_are_not_judged() -> None:
    """They are not equal to the bit, but right."""
    state, found = files("AdamW")
    model, _ = made("AdamW")
    model.load_state_dict(found["right"])
    opt = steepest.AdamW(model.bfloat16().parameters(), point=point.Average())
    opt.load_state_dict(state)
    opt.step()


HALF = {"kind": "training", "dtypes": ["torch.float32"]}


@pytest.mark.parametrize("word", [None, 3, {}, {"kind": []}, HALF, {**HALF, "sum": "a", "norm": [1]}], ids=str)
def test_a_damaged_word_is_no_harm(word: Any) -> None:
    """A checkpoint without it, of an older version, loads in silence; nonsense in it is at most a warning."""
    state, found = files("AdamW")
    model, opt = made("AdamW")
    model.load_state_dict(found["right"])
    state["weights"] = word
    if word is None:
        del state["weights"]
    opt.load_state_dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if not word or word == 3 else "ignore")
        go(model, opt, 1)
