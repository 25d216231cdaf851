"""Every parameter of every constructor, given what it cannot take: one sentence with its name, the value and the mend.

The table is generated (see ``declared``). A constructor that takes something wrong in silence, or answers it by an
exception that does not help, fails here with the list of what it said.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch

import steepest
from tests.reliability.declared import OPTIONS, SEAMS, Maker, Wrong, declared, methods, misspelt, parts, wrong_values

LONGEST = 400  # characters of a sentence
PARTS, METHODS = list(parts()), list(methods())
OPTIMIZER = Maker(
    "Optimizer",
    lambda **given: steepest.Optimizer([torch.nn.Parameter(torch.ones(3))], **given),
    {name: (allowed, "structure") for name, allowed in OPTIONS.items()},
)


def answer(call: Callable[[], Any]) -> tuple[type[BaseException] | None, str]:
    """What a call raises, and says."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 -- any other kind is what is looked for
        return type(error), str(error)
    return None, "nothing"


def complaint(call: Callable[[], Any], says: tuple[tuple[str, ...], ...]) -> str:
    """What is wrong with the answer to a wrong call, or nothing."""
    kind, text = answer(call)
    if kind not in (TypeError, ValueError):
        return f"raises {kind.__name__ if kind else 'nothing'}: {text}"
    missing = [" or ".join(some) for some in says if not any(word in text for word in some)]
    if missing:
        return f"does not say {', '.join(missing)}: {text}"
    if "\n" in text or len(text) > LONGEST or ". " in text:
        return f"is not one sentence: {text}"
    return ""


def complaints(maker: Maker, wrong: list[Wrong]) -> Iterator[str]:
    """All answers of a constructor that are not good enough."""
    for w in wrong:
        if said := complaint(partial(maker.make, **{w.name: w.value}), w.says):
            yield f"{maker.name}({w.name}={w.value!r}) {said}"


def all_wrong(maker: Maker) -> list[Wrong]:
    """Wrong values for all that a constructor takes."""
    return [w for name, (allowed, kind) in maker.takes.items() for w in wrong_values(name, allowed, kind)]


@pytest.mark.parametrize("maker", [*PARTS, *METHODS, OPTIMIZER], ids=lambda maker: maker.name)
def test_a_wrong_value_is_answered_by_one_sentence(maker: Maker) -> None:
    """Name, value seen, and the interval or the words that are allowed."""
    assert "\n".join(complaints(maker, all_wrong(maker))) == ""


@pytest.mark.parametrize("maker", [*PARTS, *METHODS], ids=lambda maker: maker.name)
def test_a_misspelt_name_is_answered_by_the_nearest(maker: Maker) -> None:
    """``weight_decy`` is told about ``weight_decay``."""
    found = [
        f"{maker.name}({typo}=...) {said}"
        for name in maker.takes
        for typo in misspelt(name, set(maker.takes))
        if (said := complaint(partial(maker.make, **{typo: 0.5}), ((typo,), (f"did you mean {name!r}",))))
    ]
    assert "\n".join(found) == ""


@pytest.mark.parametrize("typo", ["directon", "stepsize", "geometri", "oracl", "chanel", "char", "pint", "codek"])
def test_a_misspelt_seam_is_answered_by_the_nearest(typo: str) -> None:
    right = {"directon": "direction", "stepsize": "step_size", "geometri": "geometry", "oracl": "oracle",
             "chanel": "channel", "char": "chart", "pint": "point", "codek": "codec"}[typo]  # fmt: skip
    assert not complaint(lambda: OPTIMIZER.make(**{typo: None}), ((typo,), (f"did you mean {right!r}",)))


def settled() -> steepest.AdamW:
    """An optimizer in the middle of its work."""
    opt = steepest.AdamW([torch.nn.Parameter(torch.ones(3))])
    for _ in range(2):
        opt.step(lambda: opt.param_groups[0]["params"][0].square().sum())
    return opt


def test_nothing_is_touched_by_a_refusal() -> None:
    """Neither parameters, nor their gradients, nor an earlier optimizer, nor random numbers, nor the given group."""
    opt = settled()
    p = opt.param_groups[0]["params"][0]
    before = copy.deepcopy((p.detach(), p.grad, opt.state_dict(), torch.get_rng_state()))
    for method in METHODS:
        for w in all_wrong(method):
            group = {"params": [p], w.name: w.value}
            made = steepest.methods[method.name].make
            answer(partial(made, [p], **{w.name: w.value}))
            kind, _ = answer(partial(made, [group]))
            assert kind is None or set(group) == {"params", w.name}, f"{method.name}: {w.name}={w.value!r}"
    after = (p.detach(), p.grad, opt.state_dict(), torch.get_rng_state())
    assert torch.equal(before[0], after[0])
    assert before[1] is not None and after[1] is not None and torch.equal(before[1], after[1])
    assert repr(before[2]) == repr(after[2])
    assert torch.equal(before[3], after[3])
    assert p._backward_hooks is None


def of_group(method: Maker, opt: steepest.Optimizer) -> Iterator[Wrong]:
    """What must be refused in a parameter group: wrong numbers, names that belong to the whole optimizer, typos."""
    structure = {n for part in opt.parts() for n, (_, kind) in declared(part).items() if kind == "structure"}
    alive = {n for part in opt.parts() for n, (_, kind) in declared(part).items() if kind == "hyper"} | {"lr"}
    torch_has = set(type(opt).torch_group or ())
    for name, (allowed, kind) in method.takes.items():
        if "betas" in opt.defaults and name.startswith("beta") and name != "betas":
            continue  # in groups it is one of betas
        if (kind == "pair" and name in opt.defaults) or name in alive or name == "maximize":
            yield from wrong_values(name, allowed, kind)
            for typo in misspelt(name, set(method.takes)):
                yield Wrong(typo, 0.5, ((typo,), (f"did you mean {name!r}",)))
        elif name in structure | set(OPTIONS) and name not in torch_has:
            yield Wrong(name, 1, ((name,), ("whole optimizer", "constructor", "every group", "all groups")))
    if "betas" in opt.defaults:
        yield Wrong("beta1", 0.5, (("beta1",), ("betas",)))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_wrong_group_is_answered_by_one_sentence(method: Maker) -> None:
    """In the constructor and in ``add_param_group``, which leaves the optimizer as it was."""
    opt = method.make()
    anew: Callable[..., Any] = steepest.methods[method.name].make
    before, found = repr(opt.state_dict()), []
    for w in of_group(method, opt):
        group = {"params": [torch.nn.Parameter(torch.ones(2))], w.name: w.value}
        for where, call in (
            ("constructor", partial(anew, [dict(group)])),
            ("add_param_group", partial(opt.add_param_group, dict(group))),
        ):
            if said := complaint(call, w.says):
                found.append(f"{method.name}, {where}, {{{w.name!r}: {w.value!r}}} {said}")
            if repr(opt.state_dict()) != before:
                found.append(f"{method.name}, {where}, {{{w.name!r}: {w.value!r}}} was taken, or changed something")
                opt = method.make()
    assert "\n".join(found) == ""


def test_the_table_is_not_empty() -> None:
    """Every seam has a row, and every named method."""
    assert {maker.name.split(".")[0] for maker in PARTS} == set(SEAMS)
    assert {maker.name for maker in METHODS} == set(steepest.methods)
    assert sum(len(all_wrong(maker)) for maker in (*PARTS, *METHODS)) > 2000
