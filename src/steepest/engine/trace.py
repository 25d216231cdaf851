"""Tracing: a rule, written for tensors, becomes a program that can be printed.

A *rule* is a pure function of named tensors of one parameter and named scalars.  It returns named tensors to store and
named elementwise terms to sum over the tensor.  It is traced once, with stand-ins for tensors, into a ``Program``: a
list of elementwise operations and per-tensor sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from steepest.engine.table import Rule as Rule

#: set while a rule sees tensors of equal shape as one, b x shape: each of them then has a total of its own
stacked = False


def total(t: Tensor) -> Tensor:
    """The sum of t over the whole tensor (all its shards), as a 0-dim tensor: the one reduction rules may use.

    The printed loop adds up shards; lifts that cannot are given whole tensors.  In a stack b x shape it is the sum over each
    of the b tensors, b x 1 x ... x 1.
    """
    if not isinstance(t, Tensor):  # being written down
        return t.sum()
    if stacked:
        sums = t.flatten(1).sum(1, dtype=torch.float64) if t.dim() > 1 else t.double()
        sums = sums.view(-1, *[1] * (t.dim() - 1))  # as wide as a step is computed: what has dimensions would widen it
        return sums.to(t.dtype) if t.is_floating_point() else sums.float()
    return t.sum(dtype=torch.float64)  # as the printed loop does; a 0-dim float64 leaves float32 vectors what they are


#: the least numbers that are rounded to infinity when x is stored: halfway between the largest and the next power of two
BELOW = {torch.float16: 65520.0, torch.bfloat16: 2.0**128 - 2.0**119}

#: the sum under which a guarded commit counts the elements it did not write
STOPPED = "stopped"


class Unprintable(Exception):
    """The rule uses something that a program cannot express; another lift must run it."""


@dataclass(frozen=True)
class Op:
    """One value of a program: ``name = what(*args)``; args are names or numbers."""

    name: str
    what: str
    args: tuple[str | float, ...]
    vector: bool
    level: int  # number of passes that must have finished before it is known


@dataclass
class Program:
    """A rule as straight-line code over one parameter's tensors."""

    ops: list[Op] = field(default_factory=list)
    stores: dict[str, str | float] = field(default_factory=dict)
    sums: dict[str, str | float] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    scalars: list[str] = field(default_factory=list)


_SAME = {"truediv": "div", "true_divide": "div", "clip": "clamp", "negative": "neg", "absolute": "abs", "and_": "and",
         "logical_and": "and", "or_": "or", "logical_or": "or", "invert": "not", "logical_not": "not", "square": "sq",
         "clamp_min": "maximum", "clamp_max": "minimum", "bitwise_not": "not"}  # fmt: skip
_KNOWN = frozenset(
    "add sub mul div neg abs sqrt rsqrt reciprocal exp log tanh sign where gt lt ge le eq ne maximum minimum clamp sq "
    "pow and or not isfinite sum".split()
)


TRUTH = frozenset("gt lt ge le eq ne and or not isfinite".split())
_ARGUMENTS = {"where": 3, "clamp": 3} | dict.fromkeys(
    "neg abs sqrt rsqrt reciprocal exp log tanh sign sq not isfinite sum".split(), 1
)
_POWERS = {0.5: "sqrt", -0.5: "rsqrt", 2.0: "sq", -1.0: "reciprocal"}  # as torch takes them


class StandIn:
    """Stands for a tensor or a scalar while a rule is written down: every operation on it becomes a line."""

    def __init__(self, program: Program, name: str, vector: bool, level: int = 0, truth: bool = False) -> None:
        self._program, self._name, self.is_vector, self._level, self._truth = program, name, vector, level, truth

    def _record(self, what: str, args: tuple[Any, ...], named: dict[str, Any]) -> StandIn:
        what = _SAME.get(what, what)
        if what == "clamp":
            low, high = (*args[1:], None, None)[:2]
            low = named.pop("min", None) if low is None else low
            high = named.pop("max", None) if high is None else high
            args = (args[0], -torch.inf if low is None else low, torch.inf if high is None else high)
        if what == "pow" and len(args) == 2 and isinstance(args[1], (int, float)) and float(args[1]) in _POWERS:
            what, args = _POWERS[float(args[1])], args[:1]
        stands = [a for a in args if isinstance(a, StandIn)]
        if what == "type_as" and len(stands) == 2 and not stands[1]._truth:
            return stands[0]
        if what not in _KNOWN or named or len(args) != _ARGUMENTS.get(what, 2):
            raise Unprintable(f"the printed loop does not know {what} with {len(args)} arguments {', '.join(named)}")
        if what not in TRUTH | {"where", "sum"} and all(a._truth for a in stands):
            raise Unprintable(f"the printed loop does not do arithmetic with truth values only ({what})")
        level, vector = max(a._level for a in stands), any(a.is_vector for a in stands)
        if what == "sum":
            if not vector:
                raise Unprintable("the printed loop sums over whole tensors only")
            vector, level = False, level + 1
        try:
            plain = tuple(a._name if isinstance(a, StandIn) else float(a) for a in args)
        except (TypeError, ValueError) as error:
            raise Unprintable(f"the printed loop does not know {what} of {args!r}") from error
        ops = self._program.ops
        ops.append(Op(f"t{len(ops)}", what, plain, vector, level))
        return StandIn(self._program, ops[-1].name, vector, level, what in TRUTH)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> StandIn:
        first = next(a for a in args if isinstance(a, StandIn))
        return first._record(function.__name__, args, dict(kwargs or {}))

    def __getattr__(self, method: str) -> Callable[..., StandIn]:
        if method.startswith("__"):
            raise AttributeError(method)
        return lambda *args, **named: self._record(method, (self, *args), named)

    def __bool__(self) -> bool:
        raise Unprintable("the rule branches on a value")


def _operator(what: str, reverse: bool = False) -> Any:
    def method(self: StandIn, *other: Any) -> StandIn:
        return self._record(what, (*other, self) if reverse else (self, *other), {})

    return method


for _name in ("add", "sub", "mul", "truediv", "pow"):
    setattr(StandIn, f"__{_name}__", _operator(_name))
    setattr(StandIn, f"__r{_name}__", _operator(_name, reverse=True))
for _name in ("gt", "lt", "ge", "le", "eq", "ne", "neg", "abs", "invert", "and", "or"):
    setattr(StandIn, f"__{_name}__", _operator(_name))
StandIn.__hash__ = object.__hash__  # type: ignore[method-assign]


def trace(rule: Rule, tensors: list[str], scalars: list[str]) -> Program:
    """Write a rule down as a program.

    Raises:
        Unprintable: an operation that is neither elementwise nor a full sum.
    """
    program = Program(scalars=scalars)
    t = SimpleNamespace(**{n: StandIn(program, n, True) for n in tensors})
    h = SimpleNamespace(**{n: StandIn(program, n, False) for n in scalars})
    try:
        outs, sums = rule(t, h)
    except Unprintable:
        raise
    except Exception as error:  # a shape, a Python function: whatever it is, it cannot be printed
        raise Unprintable(f"{type(error).__name__}: {error}") from error
    program.stores = {n: v._name if isinstance(v, StandIn) else float(v) for n, v in outs.items()}
    program.sums = {n: v._name if isinstance(v, StandIn) else float(v) for n, v in sums.items()}
    used = {a for op in program.ops for a in op.args} | set(program.stores.values()) | set(program.sums.values())
    program.reads = [n for n in tensors if n in used]
    return program
