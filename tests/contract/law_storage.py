"""Laws of lifts and codecs: who runs the maps and how state is stored changes rounding at most."""

from __future__ import annotations

import math
import warnings
from contextlib import ExitStack
from functools import partial
from unittest.mock import patch

import pytest
import torch
from torch import Tensor, nn

import steepest
from steepest.engine import codec as codecs
from steepest.engine.native import CHUNK
from steepest.engine.pieces import PIECE
from steepest.engine.state import State
from steepest.engine.trace import Unprintable
from tests.contract.case import Case
from tests.contract.law import different, finite, frozen, law, one_gradient, same, states, tolerance
from tests.contract.world import Bowl, World, ask, start, walk

#: marks of laws that compile with torch; its inductor uses what torch itself calls deprecated
SLOW = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")]


@law(*codecs.CODECS)
def lifts_agree(case: Case, codec: str) -> None:
    """The printed loop and the eager lift leave the same weights and the same codes, across all chunks and pieces.

    A method of whole tensors is never printed: ``native`` is refused with its name, ``auto`` is the eager lift.
    """
    loose = tolerance(case, "lifts_agree")
    size = PIECE + 5 if codec == "float32" else CHUNK + 3
    ends, kept = [], []
    if not case.printed:
        world, opt = start(case, lift="native")
        with pytest.raises(Unprintable, match=r"\w+\(.*\) works on whole tensors"):
            walk(case, world, opt, 1)
    for lift in ("eager", "native" if case.printed else "auto"):
        world, long = World(), nn.Parameter(torch.randn(size, generator=torch.Generator().manual_seed(0)))
        bowl, opt = Bowl(long), case([*world.params(), long], lift=lift, codec=codec)

        def loss(t: int, world: World = world, bowl: Bowl = bowl) -> Tensor:
            return world.loss(t) + bowl.mean(t)

        for t in range(5):
            ask(case, opt, partial(loss, t))
        ends.append([*world.weights(), long.detach()])
        kept.append(frozen(opt))
    same(ends[1], ends[0], loose=loose)
    same(kept[1], kept[0], loose=loose)


def _no_compiler(*_: object) -> None:
    raise Unprintable("no C compiler")


@law()
def a_compiler_is_not_needed(case: Case) -> None:
    """Without a C compiler the same steps are taken up to rounding; a NaN in the gradient is held back there too."""
    ends, kept = [], []
    for missing in (False, True):
        world = World(dtype=torch.float64)
        opt = case(world.params())
        with warnings.catch_warnings(), ExitStack() as stack:
            warnings.simplefilter("ignore")  # that it is slower, and that something was held back
            if missing:
                stack.enter_context(patch("steepest.engine.lift.Printed", _no_compiler))
            walk(case, world, opt, 6)
            if not case.closure:
                spoil(world, opt)
            walk(case, world, opt, range(6, 9))
        ends.append(world.weights())
        kept.append(frozen(opt))
        printed = {type(kernel).__name__ for kernel in opt.kernels.values()} == {"Printed"}
        assert printed != missing or not (printed or case.printed)
    same(ends[1], ends[0], loose=1e-9)
    same(kept[1], kept[0], loose=1e-9)


def spoil(world: World, opt: steepest.Optimizer) -> None:
    """One step with NaN in one element of one gradient."""
    opt.zero_grad()
    world.loss(6).backward()
    gradient = world.params()[0].grad
    assert gradient is not None
    gradient.view(-1)[1] = torch.nan
    opt.step()


@law(concerns=one_gradient)
def threads_change_nothing(case: Case) -> None:
    """A sum over chunks is added up in order: one thread or two leave the same bits."""
    x = torch.randn(9 * CHUNK + 7, generator=torch.Generator().manual_seed(0))
    before, ends = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            p = nn.Parameter(x.clone())
            opt = case([p])
            for t in range(3):
                p.grad = (x + t).sin() * 1e-2
                opt.step()
            ends.append(p.detach())
    finally:
        torch.set_num_threads(before)
    same(*ends)


@law()
def auto_is_quiet_and_quick(case: Case) -> None:
    """``lift="auto"`` prints every method that can be printed, without a warning, and says nothing about the others."""
    world, opt = start(case)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        walk(case, world, opt, 2)
    found = {type(kernel).__name__ for kernel in opt.kernels.values()}
    assert found == {"Printed"} if case.printed else found <= {"Stacked", "Eager"}


@law(concerns=lambda case: case.name in ("AdamW", "Lion", "MARS"), slow=True)
def inductor_agrees(case: Case) -> None:
    """``torch.compile`` leaves the same weights up to rounding, and compiles nothing twice under a changing lr."""
    ends = []
    for lift in ("eager", "inductor"):
        world, opt = start(case, lift=lift)
        walk(case, world, opt, 3)
        with patch("torch._dynamo.config.error_on_recompile", True):
            for t in range(3, 6):
                opt.param_groups[0]["lr"] *= 0.9
                ask(case, opt, partial(world.loss, t))
        ends.append(world.weights())
    same(ends[1], ends[0], loose=1e-5)


def _large(case: Case, codec: str, steps: int = 3) -> tuple[nn.Parameter, steepest.Optimizer]:
    """A vector long enough for bytes per element to be counted."""
    p = nn.Parameter(torch.randn(1024, generator=torch.Generator().manual_seed(0)))
    bowl, opt = Bowl(p), case([p], codec=codec)
    for t in range(steps):
        ask(case, opt, partial(bowl.mean, t))
    return p, opt


@law(*codecs.CODECS)
def state_takes_the_bytes_it_promises(case: Case, codec: str) -> None:
    """4, 2 or 1 + 4/256 bytes an element for each state, except for those that are declared exact."""
    p, opt = _large(case, codec)
    found = sum(s.numel() * s.element_size() for s in states(opt)) / 1024
    specs = opt.specs(p).values()
    memory = 4.0 * (case.name == "CompressedSGD")  # what was not sent
    assert found == sum(_bytes(spec, codec) for spec in specs) / 1024 + memory
    own = any(
        spec.shape is not None for part in opt.parts() for spec in part.state.values()
    )  # the table has a matrix's
    if codec == "float32" and not opt.defaults.get("momentum") and not own:  # the table counts SGD without it
        assert case.state_bytes in (None, found)


def _bytes(spec: State, codec: str) -> int:
    """What a state of a vector of 1024 takes."""
    shape = spec.of((1024,))
    n = 0 if shape is None else math.prod(shape)
    return (
        n * 4 if spec.exact or codec == "float32" else n * 2 if codec == "bfloat16" else n + 4 * -(-n // codecs.BLOCK)
    )


@law("bfloat16", "int8")
def descent_survives_rounding(case: Case, codec: str) -> None:
    """With compressed state training still descends, nearly as far as with full state."""
    full, ours = start(case)
    world, opt = start(case, codec=codec)
    begin = world.overall()
    walk(case, full, ours, case.row.steps)
    walk(case, world, opt, case.row.steps)
    assert finite([*world.weights(), *states(opt)])
    gain, kept = begin - full.overall(), begin - world.overall()
    assert kept > 0.8 * gain > 0


@law("bfloat16", "int8")
def rounding_differs_between_steps_and_tensors(case: Case, codec: str) -> None:
    """Two equal tensors round with bits of their own, the same in every run."""
    runs = []
    for _ in range(2):
        x = torch.randn(300, generator=torch.Generator().manual_seed(1))
        a, b = nn.Parameter(x.clone()), nn.Parameter(x.clone())
        opt = case([a, b], codec=codec)

        def loss(t: int, left: Bowl = Bowl(a), right: Bowl = Bowl(b)) -> Tensor:  # noqa: B008 -- of this round
            return left.mean(t) + right.mean(t)

        for t in range(3):
            ask(case, opt, partial(loss, t))
        runs.append(frozen(opt))
        rounded = [n for n, spec in opt.specs(a).items() if not spec.exact and opt.state[a][n].numel() > 1]
        assert all(different([opt.state[a][n]], [opt.state[b][n]]) for n in rounded)
    same(*runs)
