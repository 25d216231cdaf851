"""State of a shape of its own: made, stored, checked, saved and resumed like any other; refused if it is not as declared."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.core.part import Direction, NewState, Scalars, State, scalar
from steepest.core.rule import total
from steepest.engine import codec as codecs
from steepest.engine.trace import Unprintable


class Gram(Direction):
    """Both Gram matrices of a gradient matrix, averaged from the identity on; other tensors keep one number."""

    state: ClassVar = {
        "L": State("eye", shape=lambda s: (s[0], s[0]) if len(s) == 2 else None),
        "R": State("eye", shape=lambda s: (s[1], s[1]) if len(s) == 2 else None, exact=True),
        "v": State(signed=False, shape=lambda s: () if len(s) != 2 else None),
        "m": State(),
    }

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        m = s.m * 0.9 + g * 0.1
        if g.dim() != 2:
            v = s.v * 0.9 + total(g * g) * 0.1
            return m / torch.sqrt(v + 1e-8), {"m": m, "v": v}
        L, R = s.L * 0.9 + g @ g.T * 0.1, s.R * 0.9 + g.T @ g * 0.1
        return torch.linalg.solve(L, torch.linalg.solve(R, m, left=False)), {"m": m, "L": L, "R": R}


class Net(nn.Module):
    """A matrix, a vector, a number, and an image's kernel."""

    def __init__(self) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.w, self.b, self.z, self.k = (
            nn.Parameter(torch.randn(shape, generator=random)) for shape in ((5, 7), (5,), (), (2, 3, 2, 2))
        )


def train(model: Net, opt: steepest.Optimizer, steps: range) -> None:
    for t in steps:
        opt.step(lambda t=t: torch.stack([((p - 0.1 * t) ** 2).sum() for p in model.parameters()]).sum())  # type: ignore[misc]


def make(model: Net, **options: Any) -> steepest.Optimizer:
    return steepest.Optimizer(model.parameters(), lr=0.1, direction=Gram(), **options)


def through_file(saved: dict[str, Any]) -> Any:
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def equal(model: Net, opt: steepest.Optimizer, other: Net, theirs: steepest.Optimizer) -> None:
    for p, q in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)
        assert opt.state[p].keys() == theirs.state[q].keys()
        for name, value in opt.state[p].items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(theirs.state[q][name])), name


@pytest.mark.parametrize("codec", codecs.CODECS)
def test_shapes_and_bytes(codec: Any) -> None:
    """Each tensor has the states that are declared for its shape, in the storage that the codec says."""
    model = Net()
    opt = make(model, codec=codec)
    train(model, opt, range(2))
    w, b, z, k = model.parameters()
    assert [{n for n in opt.state[p] if not n.endswith(codecs.SCALE)} for p in (w, b, z, k)] == [
        {"step", "m", "L", "R"}, *[{"step", "m", "v"}] * 3
    ]  # fmt: skip
    assert [tuple(opt.state[w][n].shape) for n in "mLR"] == [(5, 7), (5, 5), (7, 7)]
    assert all(opt.state[p]["v"].shape == () for p in (b, z, k))
    short = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.uint8}[codec]
    assert opt.state[w]["L"].dtype is short
    assert opt.state[w]["R"].dtype is torch.float32
    assert ("L.scale" in opt.state[w]) == (codec == "int8")


def test_the_identity_is_where_it_starts() -> None:
    """Without a gradient to speak of, L and R are what is left of the identity."""
    model = Net()
    opt = make(model)
    opt.step(lambda: torch.stack([p.sum() * 0 for p in model.parameters()]).sum())
    w = next(model.parameters())
    assert torch.equal(opt.state[w]["L"], torch.eye(5) * 0.9)
    assert torch.equal(opt.state[w]["R"], torch.eye(7) * 0.9)


@pytest.mark.parametrize("codec", codecs.CODECS)
@pytest.mark.parametrize("copied", ["file", "deepcopy", "pickle"])
def test_a_run_resumes_to_the_bit(codec: Any, copied: str) -> None:
    """Through a file of plain tensors, or by copying model and optimizer, also where a shape is a lambda."""
    model = Net()
    opt = make(model, codec=codec)
    train(model, opt, range(3))
    if copied == "file":
        other = Net()
        other.load_state_dict(model.state_dict())
        theirs = make(other, codec=codec)
        theirs.load_state_dict(through_file(opt.state_dict()))
    else:
        copier: Callable[[Any], Any] = (
            copy.deepcopy if copied == "deepcopy" else lambda v: pickle.loads(pickle.dumps(v))
        )
        other, theirs = copier((model, opt))
    equal(model, opt, other, theirs)
    train(model, opt, range(3, 6))
    train(other, theirs, range(3, 6))
    equal(model, opt, other, theirs)


@pytest.mark.parametrize("after", codecs.CODECS)
@pytest.mark.parametrize("before", codecs.CODECS)
def test_another_codec_loads_it(before: Any, after: Any) -> None:
    """As near as eight bits are, and in the same shapes."""
    model, other = Net(), Net()
    opt, theirs = make(model, codec=before), make(other, codec=after)
    train(model, opt, range(3))
    theirs.load_state_dict(through_file(opt.state_dict()))
    plain, wanted = make(Net()), make(Net())
    plain.load_state_dict(theirs.state_dict())
    wanted.load_state_dict(opt.state_dict())
    for p, q in zip(plain.param_groups[0]["params"], wanted.param_groups[0]["params"], strict=True):
        assert plain.state[p].keys() == wanted.state[q].keys()
        for name in plain.specs(p):
            a, b = plain.state[p][name], wanted.state[q][name]
            assert a.shape == b.shape
            assert (a - b).abs().max() <= b.abs().max() / 16


class Wrong(Gram):
    """Answers the other Gram matrix."""

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        d, new = super().__call__(g, x, s, h)
        return d, {**new, "L": new["R"]} if "R" in new else new


class Unasked(Gram):
    """Answers a state that vectors do not have."""

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        d, new = super().__call__(g, x, s, h)
        return d, new if g.dim() == 2 else {**new, "L": g}


@pytest.mark.parametrize("nonfinite", ["guard", "propagate"])
@pytest.mark.parametrize(("direction", "said"), [
    (Wrong, r"Wrong\(\) answers 'L' of shape \(7, 7\) for a gradient of \(5, 7\): it is declared as \(5, 5\)"),
    (Unasked, r"Unasked\(\) answers 'L' of shape \(5,\) for a gradient of \(5,\): it is declared as None"),
])  # fmt: skip
def test_a_shape_that_was_not_declared_is_refused(direction: type[Gram], said: str, nonfinite: Any) -> None:
    """With the part and the name, also inside another part; the weights of that tensor stay."""
    model = Net()
    params = [model.w] if direction is Wrong else [model.b]
    before = [p.detach().clone() for p in params]
    inside = steepest.direction.Coupled(direction())
    opt = steepest.Optimizer(params, lr=0.1, direction=inside, nonfinite=nonfinite)
    with pytest.raises(ValueError, match=said):
        opt.step(lambda: (params[0] ** 2).sum())
    assert torch.equal(params[0].detach(), before[0])


def test_bad_declarations_are_refused() -> None:
    """At once where they can be seen at once, else with the shape that was answered."""
    for bad, said in (({"start": "ones"}, "got 'ones'"), ({"start": "x", "shape": scalar}, "leave out shape"),
                      ({"start": "eye"}, "shape of its own")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            State(**bad)
    for answer in (3, [3, 3], (3.0,), (-1,)):
        with pytest.raises(TypeError, match=r"must be a tuple of sizes or None, got .* for a parameter of \(2,\)"):
            State(shape=lambda s, answer=answer: answer).of((2,))  # type: ignore[misc]
    with pytest.raises(TypeError, match="must be a matrix's shape"):
        State("eye", shape=scalar).of((2,))


@pytest.mark.parametrize("codec", codecs.CODECS)
@pytest.mark.parametrize("fault", ["shape", "missing", "type", "vector"])
def test_a_damaged_checkpoint_changes_nothing(codec: Any, fault: str) -> None:
    """Another shape, none, or another parameter's."""
    model = Net()
    opt = make(model, codec=codec)
    train(model, opt, range(2))
    saved = opt.state_dict()
    entry = saved["state"][0]
    if fault == "shape":
        entry["L"] = entry["L"].new_zeros(7, 7)
    elif fault == "missing":
        del entry["L"]
    elif fault == "type":
        entry["L"] = entry["L"].long()
    else:
        saved["state"][0], saved["state"][1] = saved["state"][1], saved["state"][0]
    other = make(Net(), codec=codec)
    with pytest.raises(ValueError, match=r"L|'m'"):
        other.load_state_dict(saved)
    assert not other.state


@pytest.mark.filterwarnings("ignore:the loss, a gradient")
@pytest.mark.parametrize("codec", codecs.CODECS)
def test_a_nan_holds_the_whole_tensor_back(codec: Any) -> None:
    """One number of state belongs to many elements, so one bad element holds back all of its tensor, and no other."""
    model = Net()
    opt = make(model, codec=codec)
    train(model, opt, range(2))
    kept = copy.deepcopy((model, opt))
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    model.w.grad[1, 2] = torch.nan  # type: ignore[index]
    opt.step()
    before = opt.state[model.w], kept[1].state[kept[0].w]
    assert torch.equal(model.w, kept[0].w)
    for name in ("L", "R") if codec == "bfloat16" else ("L", "R", "m"):
        assert torch.equal(before[0][name], before[1][name])
    assert not torch.equal(model.b, kept[0].b)
    v = "v.scale" if codec == "int8" else "v"
    assert not torch.equal(opt.state[model.b][v], kept[1].state[kept[0].b][v])
    assert opt.counters.skipped == 1


def test_in_a_chart_the_shape_is_that_of_the_coordinates() -> None:
    """A thin matrix has thin factors; a resumed run goes on to the bit."""
    model = Net()
    chart = steepest.chart.LowRank(rank=2, every=3)
    opt = make(model, chart=chart)
    train(model, opt, range(3))
    assert [tuple(opt.state[model.w][n].shape) for n in "mLR"] == [(2, 7), (2, 2), (7, 7)]
    other = copy.deepcopy(model)
    theirs = make(other, chart=steepest.chart.LowRank(rank=2, every=3))
    theirs.load_state_dict(through_file(opt.state_dict()))
    train(model, opt, range(3, 7))
    train(other, theirs, range(3, 7))
    equal(model, opt, other, theirs)
    saved = opt.state_dict()
    saved["state"][0]["L"] = torch.eye(5)
    with pytest.raises(ValueError, match=r"'L' of parameter 0 has the shape \(5, 5\), not \(2, 2\)"):
        theirs.load_state_dict(saved)


def test_a_parameter_may_change_its_type_but_not_its_shape() -> None:
    """State follows to float64; a tensor of other rows is refused, and nothing of it is changed."""
    model = Net()
    opt = make(model)
    train(model, opt, range(2))
    model.double()
    train(model, opt, range(2, 4))
    assert all(opt.state[model.w][n].dtype is torch.float64 for n in "mLR")
    model.w.data = torch.ones(4, 7, dtype=torch.float64)
    with pytest.raises(RuntimeError, match=r"has now the shape \(4, 7\), but its state 'L' has \(5, 5\)"):
        train(model, opt, range(4, 5))


def test_no_printed_loop_and_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    """Such a method is declared to run eagerly, tensor by tensor; the printed loop is refused where it is demanded."""
    model = Net()
    opt = make(model)
    train(model, opt, range(1))
    assert not recwarn.list
    with pytest.raises(Unprintable, match="whole tensors"):
        train(model, make(model, lift="native"), range(1))


@pytest.mark.parametrize("options", [
    {"point": steepest.point.SAM()}, {"step_size": steepest.stepsize.DoG(reps_rel=0.1)},
    {"step_size": steepest.stepsize.SLS()}, {"direction": steepest.direction.Cautious(Gram())},
    {"geometry": steepest.geometry.Decay(weight_decay=0.1)}, {"channel": steepest.channel.TopK(keep=0.5)},
], ids=lambda o: next(iter(o)))  # fmt: skip
def test_it_goes_with_other_parts(options: dict[str, Any]) -> None:
    """A point that asks again, a step size that measures or searches, a direction around it, a channel: it descends."""
    model = Net()
    opt = steepest.Optimizer(model.parameters(), **{"lr": 0.1, "direction": Gram(), **options})

    def loss() -> Tensor:
        return torch.stack([(p**2).sum() for p in model.parameters()]).sum()

    first = float(opt.step(loss))
    for _ in range(8):
        last = float(opt.step(loss))
    assert last < first
