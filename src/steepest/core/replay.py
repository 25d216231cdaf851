"""What a closure uses and changes beside the weights: the modules and random generators that it can reach.

A method that calls its closure several times in one step puts them back after each call but the first.  They are found
by following variables, not by hooks: nothing is registered in torch, so compiled models keep their guards, a module may
be run by ``.forward`` or by ``functional_call``, and threads do not meet.  Followed are the closure's cells and defaults,
the global names in its code, the functions and attributes found there, and the modules that own the optimizer's
parameters with everything around them.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import random
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinMethodType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from steepest.engine import shard

LARGEST = 1_000  # elements of a container that are looked at
FARTHEST = 2_000  # objects other than modules that are looked at, nearest first; about half a millisecond
GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
NORMS = nn.modules.batchnorm._NormBase
_LEAVES = (Tensor, str, bytes, int, float, complex, type(None), type, np.ndarray, torch.optim.Optimizer)
_FOREIGN = ("torch", "numpy", "builtins", "weakref", "threading", "concurrent", "multiprocessing")
_OWN = frozenset(vars(nn.Module()))  # what every module has


# ---- random streams --------------------------------------------------------------------------------------------------


class Streams:
    """Random streams: torch's default one, those of the GPUs that are used, numpy's, Python's, and given generators.

    Args:
        params: the GPUs that hold them are among those that are used, beside the present one.
        generators: of torch, numpy or Python.
    """

    def __init__(self, params: Iterable[Tensor] = (), generators: Iterable[Any] = ()) -> None:
        self._ways: list[tuple[Callable[[], Any], Callable[[Any], None]]] = [
            (torch.get_rng_state, torch.set_rng_state),
            (np.random.get_state, np.random.set_state),
            (random.getstate, random.setstate),
        ]
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            for k in {torch.cuda.current_device(), *(p.device.index for p in params if p.is_cuda)}:
                self._ways.append((functools.partial(torch.cuda.get_rng_state, k),
                                   functools.partial(torch.cuda.set_rng_state, device=k)))  # fmt: skip
        self._ways += map(_ways_of, generators)

    def state(self) -> list[Any]:
        """Where they stand."""
        return [get() for get, _ in self._ways]

    def put(self, state: list[Any]) -> None:
        """Put them back."""
        for (_, put), value in zip(self._ways, state, strict=False):  # a GPU may have come into use since
            put(value)


def random_state() -> list[Any]:
    """Where the streams stand that need no finding: torch's, the present GPU's, numpy's, Python's."""
    return Streams().state()


def set_random_state(state: list[Any]) -> None:
    """Put them back."""
    Streams().put(state)


def _ways_of(generator: Any) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    if isinstance(generator, random.Random):
        return generator.getstate, generator.setstate
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        return (lambda: bits.state), functools.partial(setattr, bits, "state")
    return generator.get_state, generator.set_state


# ---- what a closure reaches ------------------------------------------------------------------------------------------


def reached(closure: Any, roots: Iterable[nn.Module] = ()) -> tuple[list[nn.Module], list[Any]]:
    """The modules and the random generators that a function reaches by its variables, nearest first.

    Iterators are not entered (what ``next`` hands out is new each time), nor optimizers, tensors, torch's and numpy's own
    objects, or containers of more than 1,000 elements.
    """
    modules, generators, queue, seen, budget = [], [], deque([closure, *roots]), dict[Any, Any](), FARTHEST
    while queue and budget:
        thing = queue.popleft()
        kind = type(thing)  # not isinstance, which runs the code of proxies
        if issubclass(kind, _LEAVES):
            continue
        key = (id(thing.__self__), id(thing.__func__)) if kind is MethodType else id(thing)
        if key in seen:
            continue
        seen[key] = thing  # kept alive, so that no other object takes its id
        if issubclass(kind, nn.Module):
            modules.append(thing)
            queue.extend(_inside(thing, seen))
            continue
        budget -= 1
        if not issubclass(kind, GENERATORS):
            queue.extend(_behind(thing, kind))
        elif not issubclass(kind, random.SystemRandom):
            generators.append(thing)
    return modules, generators


def _inside(module: nn.Module, seen: dict[Any, Any]) -> Iterator[Any]:
    """A module's children, and for a class of the user's what it holds by itself and the function that runs it."""
    kind = type(module)
    yield from module._modules.values()
    if _foreign(kind):
        return
    kinds = (nn.Module, list, tuple, dict, *GENERATORS)
    yield from [v for n, v in vars(module).items() if n not in _OWN and issubclass(type(v), kinds)]
    if id(kind) not in seen:
        seen[id(kind)] = kind
        yield MethodType(kind.forward, module)


def _behind(thing: Any, kind: type) -> Iterable[Any]:
    """Where the variables of a function, or the attributes and elements of a plain object, lead."""
    if kind is FunctionType:
        return () if _foreign(thing) else _variables(thing, None)
    if kind is MethodType:
        own = type(thing.__func__) is FunctionType and not _foreign(thing.__func__)
        return thing.__self__, *(_variables(thing.__func__, thing.__self__) if own else ())
    if kind is BuiltinMethodType:
        return () if issubclass(type(thing.__self__), ModuleType) else (thing.__self__,)
    if kind is functools.partial:
        known = thing.args and thing.args[0] is not None and type(thing.func) is FunctionType
        return (
            thing.func,
            *([MethodType(thing.func, thing.args[0])] if known else []),
            *thing.args,
            *thing.keywords.values(),
            vars(thing),
        )
    if issubclass(kind, (list, tuple, set, frozenset, dict, deque)):
        return [] if len(thing) > LARGEST else [*thing.values()] if issubclass(kind, dict) else [*thing]
    if hasattr(kind, "__next__") or (_foreign(kind) and not kind.__module__.startswith("torch.utils.data")):
        return ()
    call = kind.__dict__.get("__call__")
    return [*gc.get_referents(thing), *([MethodType(call, thing)] if type(call) is FunctionType else [])]


def _variables(f: FunctionType, owner: Any) -> Iterator[Any]:
    """What stands in a function's cells, defaults, attributes and global names, and the methods it names of these."""
    names, codes, values = dict[str, None](), [f.__code__], [*(f.__defaults__ or ()), *vars(f).values()]
    for code in codes:
        names.update(dict.fromkeys(code.co_names))
        codes += [c for c in code.co_consts if type(c) is CodeType]
    for cell in f.__closure__ or ():
        with contextlib.suppress(ValueError):  # not filled yet
            values.append(cell.cell_contents)
    values += (f.__kwdefaults__ or {}).values()
    for value in [f.__globals__[n] for n in names if n in f.__globals__]:
        if type(value) is not ModuleType:
            values.append(value)
        elif value.__name__.split(".")[0] not in _FOREIGN:
            values += [vars(value)[n] for n in names if n in vars(value) and n not in f.__globals__]
    for value in [v for v in (*values, owner) if not issubclass(type(v), _LEAVES)]:
        methods = [getattr(type(value), n, None) for n in names]
        yield from [MethodType(m, value) for m in methods if type(m) is FunctionType]
    yield from values


def _foreign(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).split(".")[0] in _FOREIGN


# ---- modules around the parameters -----------------------------------------------------------------------------------


class Scope:
    """The modules around one optimizer's parameters, and which of their buffers a closure changes."""

    _all: weakref.WeakKeyDictionary[Any, Scope] = weakref.WeakKeyDictionary()
    _lock = threading.Lock()

    def __init__(self) -> None:
        self.ids: tuple[int, ...] = ()
        self.thread = 0
        self._roots: list[weakref.ref[nn.Module]] = []
        self.moving: weakref.WeakKeyDictionary[nn.Module, tuple[bool, set[str]]] = weakref.WeakKeyDictionary()

    @classmethod
    def of(cls, opt: Any) -> Scope:
        """That of an optimizer, for the thread that is in its step."""
        with cls._lock:
            scope = cls._all.setdefault(opt, cls())
        scope.thread = threading.get_ident()
        return scope

    def reached(self, params: list[Tensor], closure: Any = None) -> tuple[list[nn.Module], list[Any]]:
        """All modules and generators that a closure may use; with sharded parameters, modules are sharded then."""
        ids = tuple(map(id, params))
        if ids != self.ids:
            self._roots = [weakref.ref(m) for m in _around(params, reached(closure)[0])]
            self.ids = ids
        return reached(closure, [m for ref in self._roots if (m := ref()) is not None])

    def elsewhere(self) -> set[int]:
        """The parameters that other optimizers train in other threads, by their ids."""
        if threading.active_count() == 1:
            return set()
        alive = {t.ident for t in threading.enumerate()} - {threading.get_ident()}
        with self._lock:
            others = [s for s in self._all.values() if s is not self and s.thread in alive]
        return {i for s in others for i in s.ids}


def _around(params: list[Tensor], near: list[nn.Module]) -> list[nn.Module]:
    """The modules that hold these parameters somewhere inside: among those given, or else among all there are."""
    wanted = {id(p) for p in params if isinstance(p, nn.Parameter)}
    if any(map(shard.is_sharded, params)):
        reshard(near)
    if wanted <= {id(p) for m in near for p in _parameters(m)}:
        return near
    every = [m for m in gc.get_objects() if issubclass(type(m), nn.Module)]
    if any(map(shard.is_sharded, params)):
        reshard(every)
    parents: dict[int, list[nn.Module]] = {}
    for m in every:
        for child in (vars(m).get("_modules") or {}).values():
            parents.setdefault(id(child), []).append(m)
    found = {id(m): m for m in every if any(id(p) in wanted for p in _parameters(m))}
    queue = [*found.values()]
    for m in queue:
        above = [other for other in parents.get(id(m), ()) if id(other) not in found]
        found.update((id(other), other) for other in above)
        queue += above
    return [*found.values()]


def _parameters(module: nn.Module) -> Iterable[Any]:
    return (vars(module).get("_parameters") or {}).values()


def reshard(modules: Iterable[nn.Module]) -> None:
    """Let FSDP's modules free the whole weights that they gathered."""
    for m in modules:
        if callable(getattr(type(m), "reshard", None)):
            m.reshard()  # type: ignore[operator]


@contextlib.contextmanager
def resharded(modules: list[nn.Module]) -> Iterator[None]:
    """FSDP leaves its root gathered after a forward without a backward, and would use those weights again."""
    reshard(modules)  # gathered before the weights were changed, perhaps
    try:
        yield
    finally:
        reshard(modules)


@contextlib.contextmanager
def whole_weights(modules: Iterable[nn.Module], params: list[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors that a closure computes with: the parameters themselves, or what FSDP gathers, kept until the end.

    FSDP frees gathered weights after a backward pass, and a second one through the same graph needs them.

    Raises:
        RuntimeError: a sharded parameter that no module of FSDP2 gathers.
    """
    if not any(map(shard.is_sharded, params)):
        yield params
        return
    modules = [*modules]
    gathering: list[Any] = [m for m in modules if callable(getattr(type(m), "set_reshard_after_backward", None))]
    reshard(gathering)
    homes = {
        id(p): (m, name) for m in modules for name, p in (vars(m).get("_parameters") or {}).items() if p is not None
    }
    try:
        for m in gathering:
            m.set_reshard_after_backward(False, recurse=False)
            m.unshard()
        weights = [vars(homes[id(p)][0])["_parameters"][homes[id(p)][1]] if id(p) in homes else p for p in params]
        if any(map(shard.is_sharded, weights)):
            raise RuntimeError("second derivatives of sharded parameters need fully_shard (FSDP2), which gathers them for "
                               "the time of an evaluation: use it, or train in one process or under DDP")  # fmt: skip
        yield weights
    finally:
        for m in gathering:
            m.set_reshard_after_backward(True, recurse=False)
        reshard(gathering)


# ---- buffers ---------------------------------------------------------------------------------------------------------


class Buffers:
    """The buffers of some modules as they are now, to be put back: running statistics, power iterations, queues.

    Copied are the statistics of normalisations (their kernels move no version counter), every buffer that has been seen
    to change, and, the first time, all: a module is watched once by value and later by version.

    Args:
        modules: whose buffers.
        scope: records which of them change.
    """

    def __init__(self, modules: Iterable[nn.Module], scope: Scope) -> None:
        self.scope = scope
        theirs = self.scope.elsewhere()
        self.kept: list[tuple[nn.Module, str, Tensor, Tensor | None, int]] = []
        self.new: list[nn.Module] = []
        for m in modules:
            buffers = vars(m).get("_buffers") or {}
            if not buffers or (theirs and any(id(p) in theirs for p in _parameters(m))):
                continue
            mode, moving = self.scope.moving.get(m, (None, None))
            if mode is not m.training or moving is None:
                self.new.append(m)
                moving = None
            for name, b in buffers.items():
                if b is None or nn.parameter.is_lazy(b) or b.is_meta or b.is_inference():
                    continue
                copied = moving is None or name in moving or (m.training and _is_statistic(m, name))
                self.kept.append((m, name, b, shard.local(b).clone() if copied else None, writes(b)))

    @torch.no_grad()
    def put(self) -> None:
        """Put them back where they were changed since."""
        changed: dict[nn.Module, set[str]] = {m: set() for m in self.new}
        theirs = self.scope.elsewhere()
        back: list[tuple[Tensor, Tensor]] = []
        for m, name, b, copy, version in self.kept:
            if theirs and any(id(p) in theirs for p in _parameters(m)):
                continue  # another thread has begun to train it
            there = m._buffers[name] if name in m._buffers else None  # noqa: SIM401 -- a ScriptModule's have no get
            moved = there is not b or writes(b) != version
            if there is not b and copy is not None:
                m._buffers[name] = b
            if m in changed and copy is not None:  # kernels may write without a word
                moved = moved or not torch.equal(shard.local(b), copy)
            if moved and (m in changed or copy is None):
                changed.setdefault(m, set()).add(name)
            if copy is not None and (moved or m not in changed):
                back.append((shard.local(b), copy))
        if back:
            torch._foreach_copy_([b for b, _ in back], [copy for _, copy in back])
        for m, names in changed.items():
            mode, before = self.scope.moving.get(m, (None, set()))
            self.scope.moving[m] = (m.training, (before if mode is m.training else set()) | names)


def _is_statistic(module: nn.Module, name: str) -> bool:
    return isinstance(module, NORMS) or name.startswith("running_")


def writes(t: Tensor | None) -> int:
    """How often t (its local part) was written, as autograd counts; -1 for none."""
    return -1 if t is None else shard.local(t)._version
