"""Loading: what a checkpoint may hold, what is refused before anything is changed, and who has a say."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.core.stored import fault

ROOT = Path(__file__).parents[2]
Make = Callable[..., steepest.Optimizer]


def grown(make: Make, *shapes: tuple[int, ...], steps: int = 3, **options: Any) -> steepest.Optimizer:
    """An optimizer that has taken some steps on weights of these shapes."""
    params = [nn.Parameter(torch.linspace(-1, 1, max(1, torch.Size(s).numel())).reshape(s)) for s in shapes]
    opt = make(params, **options)
    for _ in range(steps):
        opt.step(lambda: torch.stack([(p - 2).square().mean() for p in params]).sum())
    return opt


def kept(opt: steepest.Optimizer) -> str:
    """All that a load could change."""
    torch.set_printoptions(profile="full", precision=9)
    try:
        return repr((opt.state_dict(), [p for g in opt.param_groups for p in g["params"]]))
    finally:
        torch.set_printoptions(profile="default")


def first(state: dict[str, Any], name: str, change: Callable[[Any], Any]) -> None:
    """Change one state of the first parameter."""
    state["state"][0][name] = change(state["state"][0][name])


def number(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Another number in the group."""
    return lambda state: state["param_groups"][0].__setitem__(name, value)


#: what is wrong -> how it comes about in a checkpoint of AdamW in 8 bits, and words that the answer has
DAMAGED: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "codes in float": (lambda s: first(s, "exp_avg", Tensor.float), "'m' of parameter 0 has the type torch.float32"),
    "codes cut": (lambda s: first(s, "exp_avg", lambda v: v[:-1]), "(599,), not (600,)"),
    "scales empty": (
        lambda s: first(s, "m.scale", lambda v: v[:0]),
        "'m.scale' of parameter 0 has the shape (0,), not",
    ),
    "scales too many": (lambda s: first(s, "v.scale", lambda v: v.repeat(2)), "'v.scale'"),
    "a scale that is a number": (lambda s: first(s, "m.scale", lambda v: 5), "is 5, not a tensor"),
    "scales gone": (lambda s: s["state"][0].pop("m.scale"), "'m' of parameter 0 has the type torch.uint8"),
    "scales of bytes": (lambda s: first(s, "m.scale", Tensor.byte), "torch.uint8, not floating point"),
    "a state gone": (lambda s: s["state"][0].pop("exp_avg_sq"), "another method"),
    "sparse": (lambda s: first(s, "exp_avg", lambda v: v.float().to_sparse()), "torch.sparse_coo"),
    "meta": (lambda s: first(s, "m.scale", lambda v: v.to("meta")), "meta"),
    "half a step": (lambda s: first(s, "step", lambda v: 2.5), "'step' of parameter 0 is 2.5"),
    "steps below zero": (lambda s: first(s, "step", lambda v: -1), "is -1, not a"),
    "endless steps": (lambda s: first(s, "step", lambda v: 10**400), "number of steps"),
    "an entry that is a list": (lambda s: s["state"].update({0: [1]}), "the state of parameter 0"),
    "state that is a list": (lambda s: s.update(state=[1]), "the state of a checkpoint"),
    "no state": (lambda s: s.pop("state"), "'state' and 'param_groups'"),
    "a group without params": (lambda s: s["param_groups"][0].pop("params"), "'params'"),
    "a parameter twice": (lambda s: s["param_groups"][0].update(params=[0, 0]), "twice"),
    "a group that is none": (lambda s: s.update(param_groups=[3]), "group 0"),
    "lr NaN": (number("lr", float("nan")), "lr must lie in [0, inf), got nan"),
    "lr below zero": (number("lr", -0.1), "lr must lie in [0, inf), got -0.1"),
    "lr endless": (number("lr", 10**400), "too large"),
    "lr a word": (number("lr", "x"), "lr must be a number"),
    "betas out of range": (number("betas", (0.9, 1.5)), "beta2 must lie in"),
    "one beta": (number("betas", (0.9,)), "2 betas"),
    "t below zero": (number("t", -2), "'t' is -2"),
    "maximize a word": (number("maximize", "yes"), "maximize"),
    "counters that are words": (lambda s: s.update(counters={"steps": "x"}), "the counter 'steps'"),
    "no counters": (lambda s: s.update(counters=None), "the counters"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_what_is_damaged_is_refused_and_changes_nothing(what: str) -> None:
    """In one sentence; weights, state, groups and counters stay as they are, to the bit."""
    damage, words = DAMAGED[what]
    saved = copy.deepcopy(grown(steepest.AdamW, (600,), (3,), lr=0.5, codec="int8", steps=5).state_dict())
    damage(saved)
    opt = grown(steepest.AdamW, (600,), (3,), lr=0.1, codec="int8")
    before = kept(opt)
    with pytest.raises((ValueError, TypeError)) as error:
        opt.load_state_dict(saved)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert kept(opt) == before


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("codec", ["float32", "bfloat16", "int8"])
def test_other_precisions_are_converted(dtype: torch.dtype, codec: Any) -> None:
    """torch's checkpoint of a model in another precision: the same moments, rounded as the codec does."""
    values = torch.linspace(0.1, 1, 600)
    theirs = nn.Parameter(torch.zeros(600, dtype=dtype))
    torch_opt = torch.optim.AdamW([theirs])
    theirs.grad = values.to(dtype)
    torch_opt.step()
    x = nn.Parameter(torch.zeros(600))
    opt = steepest.AdamW([x], codec=codec)
    opt.load_state_dict(torch_opt.state_dict())
    assert fault(opt, x, opt.state[x]) is None
    assert opt.state[x]["step"] == 1
    if codec == "float32":
        assert torch.equal(opt.state[x]["m"], torch_opt.state[theirs]["exp_avg"].float())
        assert opt.state[x]["v"].dtype is torch.float32
    elif codec == "int8":
        assert opt.state[x]["m"].dtype is torch.uint8
        assert opt.state[x]["m.scale"].tolist() == pytest.approx(
            [0.1 * float(values[i]) for i in (255, 511, 599)], rel=1e-2
        )


def test_layouts_are_converted() -> None:
    """An expanded, a sliced and a transposed state hold the same numbers afterwards, in the parameter's own layout."""
    saved = grown(steepest.AdamW, (4, 6)).state_dict()
    m = saved["state"][0]["exp_avg"]
    for odd in (m[:1, :1].expand(4, 6), torch.stack([m, m], -1)[..., 0], m.T.contiguous().T):
        opt = grown(steepest.AdamW, (4, 6), steps=0)
        opt.load_state_dict({**saved, "state": {0: {**saved["state"][0], "exp_avg": odd}}})
        (state,) = opt.state.values()
        assert torch.equal(state["m"], odd)
        assert state["m"].is_contiguous()


def columns(rank: int, projection: Any) -> Make:
    """Adam in the coordinates of a chart."""
    return lambda params, **options: steepest.Optimizer(
        params, lr=0.1, direction=steepest.direction.Adam(),
        chart=steepest.chart.LowRank(rank=rank, projection=projection), **options)  # fmt: skip


@pytest.mark.parametrize("codec", ["float32", "int8"])
@pytest.mark.parametrize("projection", ["svd", "columns"])
@pytest.mark.parametrize(
    ("other", "shape"),
    [((2, "svd"), (16, 12)), ((3, "random"), (16, 13)), ((3, "svd"), (12, 16)), ((3, "columns"), (30, 40))],
)
def test_other_coordinates_are_refused(projection: str, other: Any, shape: tuple[int, int], codec: str) -> None:
    """A chart's state belongs to its rank, its kind of coordinates and the matrix's shape."""
    saved = grown(columns(3, projection), (16, 12), codec=codec).state_dict()
    opt = grown(columns(*other), shape, codec=codec, steps=2)
    before = kept(opt)
    with pytest.raises(ValueError, match="parameter 0"):
        opt.load_state_dict(saved)
    assert kept(opt) == before


def test_columns_that_a_matrix_does_not_have_are_refused() -> None:
    saved = grown(columns(3, "columns"), (16, 12)).state_dict()
    saved["state"][0]["P"] = torch.tensor([0, 5, 12])
    with pytest.raises(ValueError, match=r"'P' of parameter 0 has numbers that are not in \[0, 12\)"):
        grown(columns(3, "columns"), (16, 12)).load_state_dict(saved)


@pytest.mark.parametrize(
    "make",
    [
        columns(2, "svd"),
        lambda p, **o: steepest.Optimizer(p, lr=0.01, direction=steepest.direction.Adam(), point=steepest.point.SMBi(),
                                          oracle=steepest.oracle.TwoPoint(), chart=steepest.chart.LowRank(rank=1), **o),
    ],
    ids=["chart after a NaN", "waiting in a chart"],
)  # fmt: skip
@pytest.mark.parametrize("codec", ["float32", "int8"])
def test_what_was_saved_before_a_first_move_loads(make: Make, codec: str) -> None:
    """A chart whose coordinates are not chosen yet has no moments to save."""
    opt = grown(make, (9, 7), (5,), steps=0, codec=codec)
    params = opt.param_groups[0]["params"]
    for p in params:
        p.grad = torch.full_like(p, torch.nan)
    if opt.closure_parts:
        opt.step(lambda: torch.stack([p.square().mean() for p in params]).sum())
    else:
        with pytest.warns(UserWarning, match="NaN"):
            opt.step()
    assert "m" not in opt.state[params[0]]
    other = grown(make, (9, 7), (5,), steps=0, codec=codec)
    other.load_state_dict(opt.state_dict())
    assert [*map(len, other.state.values())] == [*map(len, opt.state.values())]


FOREIGN: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "LBFGS": torch.optim.LBFGS,
    "Adamax": torch.optim.Adamax,
    "RMSprop": torch.optim.RMSprop,
}


@pytest.mark.parametrize("theirs", FOREIGN)
@pytest.mark.parametrize(
    "name", ["AdamW", "Lion", "SAM", "GaLore", "DoG", "ADOPT", "SGD", "CompressedSGD", "LDoG", "SPS"]
)
def test_another_method_is_refused(name: str, theirs: str) -> None:
    """By what its state is called, or by the numbers its groups lack where the method has no state."""
    model = nn.Linear(4, 3)
    other = FOREIGN[theirs](model.parameters())
    model(torch.ones(2, 4)).sum().backward()
    other.step(lambda: model(torch.ones(2, 4)).square().sum())
    opt = grown(steepest.methods[name].make, (3, 4), (3,))
    before = kept(opt)
    if (name, theirs) == ("SAM", "SGD"):  # SGD is what it goes around: the momentum is its own
        opt.load_state_dict(other.state_dict())
        momenta = [s["momentum_buffer"] for s in other.state.values()]
        assert all(map(torch.equal, momenta, (s["m"] for s in opt.state.values())))
        return
    with pytest.raises((ValueError, TypeError), match=r"another method|was made with|betas"):
        opt.load_state_dict(other.state_dict())
    assert kept(opt) == before


@pytest.mark.parametrize(
    "pair", ["RAdam Adam", "NAdam Adam", "Adam NAdam", "NAdam AdamW", "RAdam NAdam", "RAdam AMSGrad"]
)
def test_torchs_methods_with_the_same_state_are_told_apart(pair: str) -> None:
    """By the numbers and choices that their groups have."""
    theirs, ours = pair.split()
    x = nn.Parameter(torch.ones(3))
    other = getattr(torch.optim, theirs)([x])
    x.grad = torch.ones(3)
    other.step()
    opt = grown(steepest.methods[ours].make, (3,))
    before = kept(opt)
    with pytest.raises(ValueError, match=r"another method|was made with"):
        opt.load_state_dict(other.state_dict())
    assert kept(opt) == before


def test_fault_names_what_a_kernel_must_not_see() -> None:
    """State that was replaced since: type, shape, layout, place, and memory that is gone."""
    for codec in ("float32", "int8"):
        opt = grown(steepest.AdamW, (300, 2), codec=codec)
        (p,), (state,) = opt.param_groups[0]["params"], opt.state.values()
        assert fault(opt, p, state) is None
        wrong = {"type": state["m"].half(), "shape": state["m"][:-1], "strides": state["m"].T.contiguous().T,
                 "number": 3, "meta": state["m"].to("meta"), "gaps": torch.stack([state["m"]] * 2, -1)[..., 0]}  # fmt: skip
        gone = state["m"].clone()
        gone.untyped_storage().resize_(0)
        for value in (*wrong.values(), gone):
            said = fault(opt, p, {**state, "m": value})
            assert said is not None
            assert said.startswith("state 'm' of parameter 0 ")
        for name in ("m", "v"):
            assert (
                fault(opt, p, {k: v for k, v in state.items() if k != name})
                == f"state {name!r} of parameter 0 is missing"
            )
        assert fault(opt, p, {**state, "step": -1}) is not None
        assert fault(opt, p, {**state, "m.scale": torch.zeros(2)}) is not None  # too few in 8 bits, none in 32


def test_a_few_dozen_damaged_checkpoints() -> None:
    """A sample of ``benchmarks/fuzz_checkpoints.py``: no signal, nothing half loaded, nothing that breaks later."""
    command = [
        sys.executable,
        "benchmarks/fuzz_checkpoints.py",
        "--methods",
        "[AG]*a[mL][Wo]*",
        "--mutations",
        "48",
        "--seed",
        "7",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "48 mutations" in done.stdout
