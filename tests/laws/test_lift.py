"""Laws of lifts: the printed loop computes what torch computes, to the bit where IEEE says so, NaN and infinity included.

Rules are drawn at random from every operation that can be printed; only roots, quotients of a number by a vector and
transcendental functions may differ by a few units in the last place, because torch does not round them correctly.
"""

from __future__ import annotations

import math
import random
import threading
import warnings
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import steepest
from steepest.core.rule import total
from steepest.engine import trace as R
from steepest.engine.codec import create
from steepest.engine.lift import Eager, Printed, Spec, Table, make
from steepest.engine.pieces import Pieces, runnable
from steepest.engine.trace import Unprintable, trace
from tests.laws.common import few

Space = SimpleNamespace
Body = Callable[[Space, Space], dict[str, Any]]
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
H = {"a": 0.75, "b": -1.5, "c": 3.0, "numel": 0.0}
SPECIAL = [math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.0, 3.0, 1e30, -1e30, 1e-40, 7.25]
CPU = torch.device("cpu")


def pairs(dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Every pair of special numbers."""
    grid = torch.cartesian_prod(torch.tensor(SPECIAL, dtype=dtype), torch.tensor(SPECIAL, dtype=dtype))
    return grid[:, 0].contiguous(), grid[:, 1].contiguous()


def results(lift: str, body: Body, x: Tensor, g: Tensor, kinds: dict[str, str] | None = None,
            sums: Body | None = None) -> tuple[dict[str, Tensor], dict[str, float]]:  # fmt: skip
    """What a lift stores, and what it sums up, for a rule given by what it stores (and sums)."""
    names = [n for n in body(Space(x=x, g=g), Space(**{**H, "numel": float(len(x))})) if n != "x"]
    compute = {torch.float32: "f32", torch.float64: "f64"}[x.dtype]
    stored = {n: (kinds or {}).get(n, compute) for n in names}

    def rule(t: Space, h: Space) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return body(t, h), sums(t, h) if sums else {}

    spec = Spec(rule, {"x": compute, "g": compute}, stored, list(H))
    program = trace(rule, ["x", "g", *names], list(H))
    kernel: Any = {"eager": lambda: make(spec, "eager", CPU), "native": lambda: Printed(spec, program),
                   "pieces": lambda: Pieces(spec, program, program)}[lift]()  # fmt: skip
    assert lift != "eager" or isinstance(kernel, Eager)
    state: dict[str, Any] = {}
    for n in names:
        state.update(create(n, x, stored[n], None))
    y = x.clone()
    table = Table([state], [len(x)], [len(x)], [3], ([y], [y.data_ptr()]))
    found = kernel.run(table, {"x": [x.clone()], "g": [g.clone()], "y": [y]}, dict(H), 11, None)
    return {**state, "x": y}, found


def alike(a: dict[str, Tensor], b: dict[str, Tensor], ulps: float = 0.0) -> list[str]:
    """The names under which two results differ; NaN equals NaN."""
    wrong = []
    for n in sorted(a.keys() & b.keys()):
        eps = torch.finfo(a[n].dtype).eps if a[n].is_floating_point() else 0.0
        if not torch.allclose(a[n], b[n], rtol=ulps * eps, atol=0, equal_nan=True):
            i = int((~torch.isclose(a[n], b[n], rtol=ulps * eps, atol=0, equal_nan=True)).nonzero()[0])
            wrong.append(f"{n}: {a[n][i]} and {b[n][i]} at {i}")
    return wrong


# ---- every operation alone -----------------------------------------------------------------------------------------------

EXACT: dict[str, Callable[[Any, Any, Any], Any]] = {
    "add": lambda x, g, h: x + g, "sub": lambda x, g, h: x - g, "mul": lambda x, g, h: x * g,
    "div": lambda x, g, h: x / g, "add a number": lambda x, g, h: x + 0.1, "number minus": lambda x, g, h: 0.1 - x,
    "minus a negative number": lambda x, g, h: x - (-0.1), "times a scalar": lambda x, g, h: x * h.a,
    "over a scalar": lambda x, g, h: x / h.c, "scalar minus a negative number": lambda x, g, h: x * (h.a - (-0.25)),
    "clamp the wrong way round": lambda x, g, h: torch.clamp(x, 2.0, -1.0),
    "neg": lambda x, g, h: -x, "abs": lambda x, g, h: x.abs(), "torch.abs": lambda x, g, h: torch.abs(g),
    "reciprocal": lambda x, g, h: torch.reciprocal(x),
    "sq": lambda x, g, h: torch.square(x), "sign": lambda x, g, h: torch.sign(x),
    "where": lambda x, g, h: torch.where(x > g, x, g), "where a number": lambda x, g, h: torch.where(x > 0, g, 0.0),
    "where two numbers": lambda x, g, h: x * torch.where(g > 0, 0.5, 2.0),
    "gt": lambda x, g, h: x > g, "lt": lambda x, g, h: x < g, "ge": lambda x, g, h: x >= g, "le": lambda x, g, h: x <= g,
    "eq": lambda x, g, h: x == g, "ne": lambda x, g, h: x != g, "gt a scalar": lambda x, g, h: x > h.a,
    "gt a number float32 has not": lambda x, g, h: x * 0 + 0.1 > 0.1,
    "maximum": lambda x, g, h: torch.maximum(x, g), "minimum": lambda x, g, h: torch.minimum(x, g),
    "clamp": lambda x, g, h: torch.clamp(x, -0.5, 2.0), "clamp by scalars": lambda x, g, h: torch.clamp(x, h.b, h.c),
    "clamp below": lambda x, g, h: x.clamp(min=h.a), "clamp above": lambda x, g, h: x.clamp(max=-h.a),
    "clamp_min": lambda x, g, h: x.clamp_min(1.0), "clamp_max": lambda x, g, h: torch.clamp_max(x, 1.0),
    "and": lambda x, g, h: (x > 0) & (g > 0), "or": lambda x, g, h: (x > 0) | (g > 0), "not": lambda x, g, h: ~(x > g),
    "logical_and": lambda x, g, h: torch.logical_and(x, g), "logical_or": lambda x, g, h: torch.logical_or(x, g),
    "logical_not": lambda x, g, h: torch.logical_not(x), "isfinite": lambda x, g, h: torch.isfinite(x),
    "sum": lambda x, g, h: x * total(x > g), "a scalar for all": lambda x, g, h: total(x > 0) + h.a,
    "pow 2": lambda x, g, h: x**2, "pow 0.5": lambda x, g, h: x**0.5, "pow 1": lambda x, g, h: x**1.0,
    "pow 0": lambda x, g, h: x**0.0, "pow -1": lambda x, g, h: x**-1, "numel": lambda x, g, h: x / h.numel,
    "plus a comparison": lambda x, g, h: x + (x > g), "times a comparison": lambda x, g, h: x * (g > 0),
}  # fmt: skip
#: torch multiplies by the reciprocal in c / x, and MKL's roots are not correctly rounded; ours are both
CLOSE: dict[str, Callable[[Any, Any, Any], Any]] = {
    "sqrt": lambda x, g, h: torch.sqrt(x), "scalar over": lambda x, g, h: h.b / x,
    "exp": lambda x, g, h: torch.exp(x), "log": lambda x, g, h: torch.log(x), "tanh": lambda x, g, h: torch.tanh(x),
    "rsqrt": lambda x, g, h: torch.rsqrt(x), "pow": lambda x, g, h: torch.pow(x, g), "pow 3": lambda x, g, h: x**3,
    "pow a scalar": lambda x, g, h: x.abs() ** h.a, "scalar to the pow": lambda x, g, h: h.a**g,
    "pow -0.5": lambda x, g, h: x**-0.5, "pow 1/4": lambda x, g, h: x**0.25,
}  # fmt: skip


def alone(table: dict[str, Callable[[Any, Any, Any], Any]]) -> Body:
    return lambda t, h: {f"o{i}": op(t.x, t.g, h) for i, op in enumerate(table.values())}


def told(table: dict[str, Any], wrong: list[str]) -> list[str]:
    """The names of the operations instead of those of their outputs."""
    names = list(table)
    return [f"{names[int(w.split(':')[0][1:])]}:{w.split(':', 1)[1]}" for w in wrong]


def program(body: Body, *stored: str) -> R.Program:
    """The rule of a body, written down."""

    def rule(t: Space, h: Space) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return body(t, h), {}

    return trace(rule, ["x", "g", *stored], list(H))


def test_every_printable_operation_is_here() -> None:
    assert {op.what for table in (EXACT, CLOSE) for op in program(alone(table)).ops} == set(R._KNOWN)


@DTYPES
@pytest.mark.parametrize(("table", "ulps"), [(EXACT, 0.0), (CLOSE, 8.0)], ids=["exact", "close"])
def test_every_operation_is_torchs(table: dict[str, Any], ulps: float, dtype: torch.dtype) -> None:
    """On all pairs of special numbers, and against torch itself, not only against the eager lift."""
    x, g = pairs(dtype)
    native, _ = results("native", alone(table), x, g)
    eager, _ = results("eager", alone(table), x, g)
    plain = {n: torch.as_tensor(v).to(dtype).expand(len(x)) for n, v in
             alone(table)(Space(x=x, g=g), Space(**{**H, "numel": float(len(x))})).items()}  # fmt: skip
    assert told(table, alike(eager, plain)) == []
    assert told(table, alike(native, plain, ulps)) == []


@DTYPES
def test_pieces_are_torchs(dtype: torch.dtype) -> None:
    """The program without a compiler, for every operation it knows."""
    x, g = pairs(dtype)
    kind = {torch.float32: "f32", torch.float64: "f64"}[dtype]
    spec = Spec(lambda t, h: ({}, {}), {"x": kind, "g": kind}, {"o0": kind}, list(H))
    for name, op in {**EXACT, **CLOSE}.items():
        body = alone({name: op})
        if runnable(spec, program(body, "o0")):
            (pieces, _), (eager, _) = (results(lift, body, x, g) for lift in ("pieces", "eager"))
            assert alike(pieces, eager, 0.0 if name in EXACT else 8.0) == [], name


# ---- random rules --------------------------------------------------------------------------------------------------------


def recipe(seed: int, sums: bool = True, ops: int = 30) -> Body:
    """A random rule: real vectors, truth values, and scalars made of sums that are whole numbers, so exact."""

    def body(t: Space, h: Space) -> dict[str, Any]:
        r = random.Random(seed)
        reals: list[Any] = [t.x, t.g]
        truths: list[Any] = [t.x > t.g]
        scalars: list[Any] = []
        hs: list[Any] = [h.a, h.b, h.c, h.numel, 0.1, -2.5]
        for _ in range(ops):
            p, q, s = r.choice(reals[-6:]), r.choice(reals), r.choice(hs)
            kind = r.randrange(9 if sums else 7)
            if kind == 0:
                reals.append(r.choice([lambda: p + q, lambda: p - q, lambda: p * q, lambda: p / q])())
            elif kind == 1:
                reals.append(r.choice([lambda: -p, p.abs, lambda: torch.square(p), lambda: torch.reciprocal(p),
                                       lambda: torch.sign(p)])())  # fmt: skip
            elif kind == 2:  # of two zeros either may be the larger: adding a zero makes both +0
                reals.append(r.choice([lambda: torch.maximum(p, q), lambda: torch.minimum(p, q),
                                       lambda: torch.clamp(p, -1.5, 2.0), lambda: p.clamp_min(s)])() + 0.0)  # fmt: skip
            elif kind == 3:
                reals.append(r.choice([lambda: p + s, lambda: s - p, lambda: p * s, lambda: p / s])())
                hs.append(r.choice([lambda: s + 0.3, lambda: s * -1.1, lambda: 1 - s])())
            elif kind == 4:
                truths.append(r.choice([lambda: p > q, lambda: p <= q, lambda: p == q, lambda: p != s, lambda: p < s,
                                        lambda: p >= s, lambda: torch.isfinite(p)])())  # fmt: skip
            elif kind == 5:
                a, b = r.choice(truths), r.choice(truths)
                truths.append(r.choice([lambda: a & b, lambda: a | b, lambda: ~a])())
            elif kind == 6:
                reals.append(torch.where(r.choice(truths), p, r.choice([q, 0.0])))
            elif kind == 7:
                scalars.append(total(r.choice([lambda: r.choice(truths), lambda: torch.sign(p)])()))
            elif scalars:
                w = r.choice(scalars)
                scalars.append(r.choice([lambda: w + s, lambda: w * s, lambda: torch.clamp(w, min=1.0),
                                         lambda: w / h.numel])())  # fmt: skip
                reals.append(r.choice([lambda: p * w, lambda: p + w, lambda: p / w])())
                truths.append(p > w)
        kept = [*r.sample(reals, min(4, len(reals))), reals[-1], truths[-1], *scalars[-1:]]
        return {f"o{i}": v for i, v in enumerate(kept)}

    return body


def counts(t: Space, h: Space) -> dict[str, Any]:
    """Sums that are whole numbers."""
    return {"up": torch.sign(t.x), "both": (t.x > 0) & (t.g > 0), "twice": torch.sign(t.g) * total(t.x > t.g)}


@DTYPES
@settings(few, max_examples=6)
@given(seed=st.integers(0, 10**6))
def test_random_rules_are_printed_as_they_are_written(dtype: torch.dtype, seed: int) -> None:
    """Thirty operations, several levels of sums, more than one chunk: to the bit."""
    r = torch.Generator().manual_seed(seed)
    x, g = pairs(dtype)
    x, g = (torch.cat([t, torch.randn(5000, dtype=dtype, generator=r)]) for t in (x, g))
    (eager, whole), (native, printed) = (results(lift, recipe(seed), x, g, sums=counts) for lift in ("eager", "native"))
    assert alike(native, eager) == []
    assert printed == whole


@settings(few, max_examples=4)
@given(seed=st.integers(0, 10**6))
def test_random_rules_are_stored_alike(seed: int) -> None:
    """In every format: the same codes, to the bit."""
    r = torch.Generator().manual_seed(seed)
    x, g = (torch.randn(700, generator=r) for _ in range(2))

    def body(t: Space, h: Space) -> dict[str, Any]:
        values = list(recipe(seed)(t, h).values())[:5]
        tame = [torch.where(torch.isfinite(v + t.x * 0), torch.clamp(v + t.x * 0, -1e6, 1e6), t.g) for v in values]
        return {f"o{i}": v.abs() if i == 2 else v for i, v in enumerate(tame)}

    kinds = {"o0": "bf16", "o1": "q8s", "o2": "q8u", "o3": "q8s"}
    (eager, _), (native, _) = (results(lift, body, x, g, kinds) for lift in ("eager", "native"))
    assert alike(native, eager) == []


@settings(few, max_examples=6)
@given(seed=st.integers(0, 10**6))
def test_random_rules_without_a_compiler(seed: int) -> None:
    """Joined operations round once less: on positive numbers nothing cancels, so only the last digits may differ."""
    gen = torch.Generator().manual_seed(seed)
    x, g = (torch.rand(300, dtype=torch.float64, generator=gen) + 0.5 for _ in range(2))

    def body(t: Space, h: Space) -> dict[str, Any]:
        r, reals, hs = random.Random(seed), [t.x, t.g], [h.a, h.c, 0.1]
        for _ in range(15):
            p, q, s, w = r.choice(reals), r.choice(reals), r.choice(hs), r.choice(hs)
            reals.append(r.choice([p + q * s, p * s + q, p + q * q * s, p + s * w * q, p + q * s / p, p * s + q * w,
                                   torch.sqrt(p) + q / p, p / q, torch.maximum(p, q * s)]))  # fmt: skip
            hs.append(s * w + 0.2)
        return {"o0": reals[-1], "o1": reals[-2], "o2": reals[4], "x": reals[-1] * 0.5 + t.x}

    eager, _ = results("eager", body, x, g)
    pieces, _ = results("pieces", body, x, g)
    native, _ = results("native", body, x, g)
    assert alike(pieces, eager, ulps=200) == []
    assert alike(native, eager, ulps=200) == []


@pytest.mark.parametrize("guarded", [False, True], ids=["calm", "guarded"])
def test_threads_without_a_compiler(guarded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces shared out among threads leave the bits that one thread leaves, and torch's own threads as they were."""
    monkeypatch.setattr("steepest.engine.pieces.PIECE", 1 << 10)
    x = torch.randn(20_011, generator=torch.Generator().manual_seed(0))
    if guarded:
        x[777] = torch.inf
    before, ends = torch.get_num_threads(), []
    monkeypatch.setattr("steepest.engine.lift.Printed", not_printed)
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            p = torch.nn.Parameter(x.clone())
            opt = steepest.AdamW([p], lr=0.1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for t in range(3):
                    p.grad = (x + t).sin() if not guarded else x * t
                    opt.step()
            (kernel,) = opt.kernels.values()
            assert isinstance(kernel, Pieces)
            found: list[int] = []
            other = threading.Thread(target=partial(_threads, found))
            other.start()
            other.join()
            assert (torch.get_num_threads(), found) == (threads, [threads])
            ends.append(p.detach())
    finally:
        torch.set_num_threads(before)
    assert bool(torch.isfinite(ends[0]).sum() == len(x) - guarded)
    assert torch.equal(ends[0], ends[1]) and torch.equal(ends[0], ends[2])


def _threads(found: list[int]) -> None:
    found.append(torch.get_num_threads())


def not_printed(*_: object) -> None:
    """Stands for the printed loop where there is no compiler."""
    raise Unprintable("no C compiler")


# ---- what cannot be printed ------------------------------------------------------------------------------------------

TRAPS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "NaN as a number": lambda x, g, h: torch.where(x > 0, x, math.nan),
    "a live exponent": lambda x, g, h: (x.abs() ** h.a) ** (h.a - 0.25),
    "rounding to float32": lambda x, g, h: x.float() * 0.1,
    "another type": lambda x, g, h: x.to(torch.float32) * 0.1,
    "the type of a comparison": lambda x, g, h: x.type_as(g > 0) * 1.0,
    "adding comparisons": lambda x, g, h: (x > 0) + (g > 0),
}  # fmt: skip


@pytest.mark.parametrize("name", TRAPS)
@DTYPES
def test_printed_as_torch_has_it_or_not_at_all(name: str, dtype: torch.dtype) -> None:
    """What cannot be printed may be refused: another lift takes over."""
    x, g = pairs(dtype)
    body = alone({name: TRAPS[name]})
    plain = {n: torch.as_tensor(v).to(dtype) for n, v in body(Space(x=x, g=g), Space(**H)).items()}
    try:
        native, _ = results("native", body, x, g)
    except Unprintable:
        return
    assert alike(native, plain, 8.0) == []


@pytest.mark.parametrize("rule", [
    lambda t, h: ({"o": torch.sort(t.x).values}, {}), lambda t, h: ({"o": t.x.mean()}, {}),
    lambda t, h: ({"o": t.x.sum(0)}, {}), lambda t, h: ({"o": torch.add(t.x, t.g, alpha=2)}, {}),
    lambda t, h: ({"o": t.x if t.x > 0 else t.g}, {}), lambda t, h: ({"o": t.x @ t.g}, {}),
    lambda t, h: ({"o": t.x.cumsum(0)}, {}), lambda t, h: ({"o": torch.where(t.x > 0)}, {}),
])  # fmt: skip
def test_the_rest_is_refused(rule: Any) -> None:
    """Never printed wrongly: another lift takes over."""
    with pytest.raises(Unprintable):
        trace(rule, ["x", "g"], list(H))
