"""Parts broken on purpose: every way to change one operator, number, name or statement of a part's methods."""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import inspect
import pkgutil
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

from steepest.core.part import Part

ROOMS = ("direction", "geometry", "point", "oracle", "chart", "channel", "stepsize")
SWAP: dict[type, type] = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
NEGATE: dict[type, type] = {ast.Gt: ast.LtE, ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.LtE: ast.Gt, ast.Eq: ast.NotEq,
                            ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In}  # fmt: skip
OTHER = {"beta1": "beta2", "beta2": "beta1", "c1": "c2", "c2": "c1", "max": "min", "min": "max",
         "maximum": "minimum", "minimum": "maximum"}  # fmt: skip
NOT_ALONE = {"__init__", "attach", "_exchange"}  # constructors, and what needs several processes


def parts() -> list[type[Part]]:
    """All parts of all rooms."""
    found = []
    for room in ROOMS:
        home = importlib.import_module(f"steepest.{room}")
        for info in pkgutil.iter_modules(home.__path__):
            module = importlib.import_module(f"{home.__name__}.{info.name}")
            found += [c for c in vars(module).values()
                      if inspect.isclass(c) and issubclass(c, Part) and c.__module__ == module.__name__]  # fmt: skip
    return found


def alternatives(node: ast.AST) -> Iterator[ast.AST]:
    """What could stand here instead."""
    new: Any = copy.deepcopy(node)
    if isinstance(node, ast.BinOp):
        if type(node.op) in SWAP:
            new.op = SWAP[type(node.op)]()
            yield new
        yield node.left
        if isinstance(node.op, (ast.Add, ast.Mult)):
            yield node.right
    elif isinstance(node, ast.Attribute) and node.attr in OTHER:
        new.attr = OTHER[node.attr]
        yield new
    elif isinstance(node, ast.Name) and node.id in OTHER:
        new.id = OTHER[node.id]
        yield new
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in NEGATE:
        new.ops[0] = NEGATE[type(node.ops[0])]()
        yield new
    elif isinstance(node, ast.Constant) and not isinstance(node.value, bool) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.BoolOp):
        yield from node.values
    elif isinstance(node, ast.Dict):  # a state that is not updated
        for i, key in enumerate(node.keys):
            if isinstance(key, ast.Constant):
                broken = copy.deepcopy(node)
                broken.values[i] = ast.Attribute(ast.Name("s", ast.Load()), str(key.value), ast.Load())
                yield broken
    elif isinstance(node, (ast.AugAssign, ast.Expr)) and not isinstance(getattr(node, "value", None), ast.Constant):
        yield ast.Pass()


class Break(ast.NodeTransformer):
    """Put the k-th alternative in its place."""

    def __init__(self, k: int) -> None:
        self.left, self.what = k, ""

    def visit(self, node: ast.AST) -> Any:
        if self.what or isinstance(node, ast.arguments):
            return node
        for new in alternatives(node):
            if self.left == 0:
                self.what = f"{ast.unparse(node)} -> {ast.unparse(new)}"
                self.left = -1
                return copy.deepcopy(new)
            self.left -= 1
        return self.generic_visit(node)


def mutants(part: type[Part]) -> Iterator[tuple[str, str, Any]]:
    """Name of the method, what was changed, and the broken function."""
    for name, raw in vars(part).items():
        if name in NOT_ALONE or not isinstance(raw, (staticmethod, type(mutants))):
            continue
        function = raw.__func__ if isinstance(raw, staticmethod) else raw
        tree: Any = ast.parse(textwrap.dedent(inspect.getsource(function)))
        whole = tree.body[0]
        whole.decorator_list, whole.returns = [], None
        for argument in whole.args.args:
            argument.annotation = None
        k = 0
        while True:
            breaker, k = Break(k), k + 1
            broken = ast.fix_missing_locations(breaker.visit(copy.deepcopy(tree)))
            if not breaker.what:
                break
            space: dict[str, Any] = {}
            exec(compile(broken, f"<{part.__name__}.{name}>", "exec"), dict(vars(sys.modules[part.__module__])), space)
            yield name, breaker.what, staticmethod(space[name]) if isinstance(raw, staticmethod) else space[name]


@contextlib.contextmanager
def broken(part: type[Part], name: str, function: Any) -> Iterator[None]:
    """The part with one method replaced."""
    kept = vars(part)[name]
    setattr(part, name, function)
    try:
        yield
    finally:
        setattr(part, name, kept)
