"""The contract of losses, over everything in the room."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor

from steepest import losses
from tests.losses.table import OTHERS, ROWS, Row, State

EACH = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def run(row: Row, dtype: torch.dtype, steps: range, state: State) -> tuple[list[Tensor], list[Tensor], State]:
    """Losses and gradients of some steps, and the last state."""
    found: list[Tensor] = []
    slopes: list[Tensor] = []
    for k in steps:
        outputs, targets, given = row.draw(5, torch.float64, generator(k))
        outputs = outputs.to(dtype).requires_grad_()
        targets = targets.to(dtype) if targets.is_floating_point() else targets
        loss, state = row.loss(outputs, targets, state, **given)
        slopes += torch.autograd.grad(loss, outputs)
        found.append(loss.detach())
    return found, slopes, state


def test_every_loss_has_a_row() -> None:
    assert {*losses.__all__} == {*ROWS} | OTHERS


@EACH
def test_a_scalar_of_the_outputs_type_and_the_gradient_is_right(row: Row) -> None:
    for k in range(3):
        outputs, targets, given = row.draw(5, torch.float64, generator(k))
        _, _, state = run(row, torch.float64, range(4), row.start(torch.float64))
        loss = row.loss(outputs, targets, state, **given)[0]
        assert loss.shape == ()
        assert loss.dtype is torch.float64
        outputs.requires_grad_()

        def of(o: Tensor, t: Any = targets, s: State = state, g: dict[str, Any] = given) -> Tensor:
            return row.loss(o, t, s, **g)[0]

        if "early" in row.loss.__name__:  # no gradient through the target: held fixed by a full decay
            given = {**given, "decay": 0.999999999}
        assert torch.autograd.gradcheck(lambda o, g=given: of(o, g=g), (outputs,), atol=1e-6)


@EACH
def test_float32_is_float64_rounded(row: Row) -> None:
    """Also after some steps of state."""
    double, single = (run(row, d, range(4), row.start(d)) for d in (torch.float64, torch.float32))
    for a, b in zip([*double[0], *double[1]], [*single[0], *single[1]], strict=True):
        assert b.dtype is torch.float32
        assert torch.allclose(a, b.double(), rtol=2e-5, atol=2e-6)


@EACH
def test_a_run_resumes_to_the_bit_from_its_state(row: Row) -> None:
    """Through a file that holds tensors alone."""
    whole = run(row, torch.float32, range(6), row.start(torch.float32))
    first = run(row, torch.float32, range(3), row.start(torch.float32))
    file = io.BytesIO()
    torch.save(first[2], file)
    file.seek(0)
    second = run(row, torch.float32, range(3, 6), torch.load(file, weights_only=True))
    assert all(map(torch.equal, whole[0], [*first[0], *second[0]]))
    assert all(torch.equal(whole[2][name], second[2][name]) for name in whole[2])


@EACH
def test_pure(row: Row) -> None:
    """Nothing that is given is changed, no stream of random numbers moves, and the same comes out twice."""
    _, _, state = run(row, torch.float64, range(2), row.start(torch.float64))
    outputs, targets, given = row.draw(5, torch.float64, generator(9))
    before = [t.clone() for t in (outputs, targets, *state.values(), *given.values())]
    stream = torch.get_rng_state()
    one, two = (row.loss(outputs, targets, state, **given) for _ in range(2))
    assert torch.equal(stream, torch.get_rng_state())
    assert all(map(torch.equal, before, (outputs, targets, *state.values(), *given.values())))
    assert torch.equal(one[0], two[0])
    assert all(torch.equal(one[1][name], two[1][name]) for name in one[1])
    assert not any(t.requires_grad for t in one[1].values())


@EACH
def test_no_examples_are_no_loss(row: Row) -> None:
    """0 with a gradient, and a state as it was: batches drawn by Poisson sampling may be empty."""
    state = row.start(torch.float32)
    outputs, targets, given = row.draw(0, torch.float32, generator(0))
    loss, after = row.loss(outputs.requires_grad_(), targets, state, **given)
    if row.loss.__name__ == "flooded":  # a loss of 0 is below its level, and flooded to twice that
        assert float(loss.detach()) == pytest.approx(1.4)
    else:
        assert float(loss.detach()) == 0
    assert torch.autograd.grad(loss, outputs)[0].shape == outputs.shape
    assert all(torch.equal(after[name], state[name]) for name in state)


@EACH
def test_compiled_is_eager(row: Row) -> None:
    """In one graph."""
    compiled = torch.compile(row.loss, backend="aot_eager", fullgraph=True)
    state = row.start(torch.float32)
    outputs, targets, given = row.draw(5, torch.float32, generator(2))
    outputs.requires_grad_()
    ours, theirs = (f(outputs, targets, state, **given) for f in (row.loss, compiled))
    assert torch.allclose(ours[0], theirs[0])
    slopes = [torch.autograd.grad(loss, outputs)[0] for loss in (ours[0], theirs[0])]
    assert torch.allclose(slopes[0], slopes[1])
    assert all(torch.allclose(ours[1][name], theirs[1][name]) for name in state)


@pytest.mark.parametrize(("row", "given", "words"), [(r, *bad) for r in ROWS.values() for bad in r.bad],
                         ids=[f"{n}-{i}" for n, r in ROWS.items() for i in range(len(r.bad))])  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(row: Row, given: dict[str, Any], words: str) -> None:
    outputs, targets, named = row.draw(3, torch.float32, generator(0))
    all_of_it = {"outputs": outputs, "targets": targets, "state": row.start(torch.float32), **named, **given}
    with pytest.raises((ValueError, TypeError), match=words) as raised:
        row.loss(**all_of_it)
    assert "\n" not in str(raised.value)
