"""A user's own workload, named `package.module:function` on the command line.

The function gets a seed and returns a `steepest.bench.Problem`. It is tried once, with seed 0, before anything is
started, so that a mistake costs a second and not an evening. The text of the module, and of those beside it that it
uses, is part of the identity of its runs: after an edit, old results are not taken for new ones.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from math import inf, isfinite
from numbers import Real
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from steepest.bench.errors import UsageError, first_line, unknown
from steepest.bench.problem import Problem, Workload, refuse_met
from steepest.bench.workloads import BUILT_IN


def find(name: str) -> Workload:
    """The workload of that name, built in or the user's own.

    Raises:
        UsageError: if there is none, or if the user's function does not give a problem.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    if ":" in name:
        return _own(name)
    raise unknown("workload", name, BUILT_IN, f"give one of {', '.join(BUILT_IN)}, or your own as module:function")


def _own(name: str) -> Workload:
    module_name, _, function_name = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise UsageError(
                f"workload {name!r}: no module {module_name!r} here or on the Python path; run from its folder, "
                "and write it with dots and without .py"
            ) from None
        raise _broken(name, "cannot be imported", error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, "cannot be imported", error) from error
    named = ((k, v) for k, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module_name)
    public = [k for k, v in named if v.__name__ == k and not k.startswith("_")]
    function = getattr(module, function_name, None)
    if not callable(function):
        more = f"{module_name} defines {', '.join(public)}" if public else f"{module_name} defines no functions"
        raise unknown("function", function_name, public, more)
    problem = _tried(name, function)
    return Workload(
        name,
        (inspect.getdoc(function) or "your own").splitlines()[0],
        function,
        problem.budget,
        problem.target,
        fingerprint=hashlib.sha256(_code(module)).hexdigest()[:12],
    )


def _code(module: ModuleType) -> bytes:
    """The source of the module, and of the modules beside it that it has names from, however indirectly."""
    if not module.__file__:
        return b""
    home = Path(module.__file__).resolve().parents[module.__name__.count(".")]
    texts, waiting = dict[str, bytes](), [module]
    while waiting:
        one = waiting.pop()
        path = Path(getattr(one, "__file__", None) or "/").resolve()
        if one.__name__ in texts or home not in path.parents or "site-packages" in path.parts or not path.is_file():
            continue
        texts[one.__name__] = path.read_bytes()
        for value in vars(one).values():
            where = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            if isinstance(where, str) and where in sys.modules:
                waiting.append(sys.modules[where])
    return texts.pop(module.__name__, b"") + b"".join(text for _, text in sorted(texts.items()))


def _broken(name: str, what: str, error: BaseException) -> UsageError:
    return UsageError(f"workload {name!r} {what}: {first_line(error)}; correct it there and run again")


def _tried(name: str, function: Callable[[int], object]) -> Problem:
    """Builds the problem for seed 0 and calls each of its parts once, leaving the random state as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(0)  # as a run does: what is seen here is what a run with seed 0 begins with
        try:
            problem = function(0)
        except (Exception, SystemExit) as error:
            raise _broken(name, "failed when called with seed 0", error) from error
        if not isinstance(problem, Problem):
            raise UsageError(
                f"workload {name!r} returned {type(problem).__name__}; it must return a steepest.bench.Problem"
            )
        try:
            with torch.no_grad():
                metrics: object = problem.evaluate(problem.model.eval())
            loss = problem.loss(problem.model.train(), problem.batch(0))
        except (Exception, SystemExit) as error:
            raise _broken(name, "failed on its first batch", error) from error
    given: object = loss
    if not (isinstance(given, Tensor) and given.numel() == 1 and given.requires_grad):
        raise UsageError(f"workload {name!r}: loss(model, batch) must return a scalar tensor with a gradient")
    if not (isinstance(metrics, Mapping) and "loss" in metrics):
        given = sorted(metrics) if isinstance(metrics, Mapping) else metrics
        raise UsageError(f"workload {name!r}: evaluate(model) gave {given!r}; give numbers by name, 'loss' among them")
    for key, value in metrics.items():
        if not isinstance(value, Real) and not (isinstance(value, Tensor) and value.numel() == 1):
            raise UsageError(f"workload {name!r}: evaluate(model) gave {key}={value!r}; it must be a number")
    if not (isinstance(problem.budget, Real) and 0 < problem.budget < inf):
        raise UsageError(f"workload {name!r}: budget is {problem.budget!r}; give a positive number, 3 per plain step")
    if problem.target is not None and not (isinstance(problem.target, Real) and isfinite(problem.target)):
        raise UsageError(
            f"workload {name!r}: target is {problem.target!r}; give a finite number, or None for no target"
        )
    refuse_met(name, 0, problem.target, float(metrics["loss"]))
    return problem
