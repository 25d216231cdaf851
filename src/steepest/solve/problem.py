"""Problems: what a solver may evaluate, and a count of every evaluation.

A user writes functions of a tensor or of a pytree of tensors. A solver sees one flat vector: ``problem.start`` is x0 laid out
as one, ``problem.tree(x)`` is the user's form of it again (views, no copies). So that a solver is written once, in plain
vector algebra, and a pytree gives the same numbers as a flat tensor. A problem touches no ``.grad``, no global random state, no
threads and no default dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from steepest.solve.sets import Set

Tree = Any  # a tensor, or tuples, lists and dicts of tensors


@dataclass
class Counts:
    """Evaluations by scipy's names, all from zero.

    Args:
        nfev: values of f, over all samples.
        njev: gradients (of a saddle problem: of the operator), over all samples.
        nhev: products of the Hessian with a vector; a whole Hessian of n unknowns counts n.
        nprox: proximal maps and projections.
        nlmo: linear minimizations over the set.
        nsample: gradients (in an optimizer's closure: losses) of single samples.
        ninner: evaluations of a cheap model in the place of f: a surrogate, a trial along a line.
    """

    nfev: int = 0
    njev: int = 0
    nhev: int = 0
    nprox: int = 0
    nlmo: int = 0
    nsample: int = 0
    ninner: int = 0

    def as_dict(self) -> dict[str, int]:
        """All counts by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Problem:
    """What all problems share: a start, its flat form, and counts.

    Args:
        x0: where to begin, a tensor or a pytree of tensors of one floating dtype and device; it is copied.

    Attributes:
        start: x0 as one flat vector.
        counts: what was evaluated so far.

    Raises:
        TypeError: x0 holds something else than real floating-point tensors of one dtype and device.
        ValueError: x0 is empty or not finite.
    """

    def __init__(self, x0: Tree) -> None:
        leaves, self._spec = pytree.tree_flatten(x0)
        for leaf in leaves:
            if not isinstance(leaf, Tensor) or not leaf.is_floating_point():
                found = leaf.dtype if isinstance(leaf, Tensor) else f"{leaf!r:.40}"
                raise TypeError(f"x0 must hold floating-point tensors only, got {found}")
        kinds = {(leaf.dtype, leaf.device) for leaf in leaves}
        if len(kinds) > 1:
            raise TypeError(f"the tensors of x0 must share one dtype and device, got {sorted(map(str, kinds))}")
        self._shapes = [leaf.shape for leaf in leaves]
        self._sizes = [leaf.numel() for leaf in leaves]
        if not sum(self._sizes):
            raise ValueError("x0 must hold at least one number, got none")
        self.start = torch.cat([leaf.detach().reshape(-1) for leaf in leaves])
        if not bool(torch.isfinite(self.start).all()):
            raise ValueError("x0 has entries that are not finite")
        self.counts = Counts()
        self.running: Any = None  # what an in-place solver (solve/in_place.py) works on; good for one state only

    @property
    def x0(self) -> Tree:
        """The start in the user's form."""
        return self.tree(self.start.clone())

    def tree(self, x: Tensor) -> Tree:
        """A flat vector in the user's form, as views of it."""
        return self.joined(self.leaves(x))

    def leaves(self, x: Tensor) -> list[Tensor]:
        """The tensors of the user's form, as views of a flat vector."""
        return [part.view(shape) for part, shape in zip(x.split(self._sizes), self._shapes, strict=True)]

    def joined(self, leaves: list[Tensor]) -> Tree:
        """The user's form of these tensors."""
        return pytree.tree_unflatten(leaves, self._spec)

    def flat(self, tree: Tree, like: Tensor | None = None) -> Tensor:
        """The inverse of :meth:`tree`, in the dtype of x0 or of ``like``.

        Raises:
            ValueError: other tensors than those of x0.
        """
        leaves, spec = pytree.tree_flatten(tree)
        if spec != self._spec or [getattr(leaf, "shape", None) for leaf in leaves] != self._shapes:
            found = [tuple(leaf.shape) if isinstance(leaf, Tensor) else type(leaf).__name__ for leaf in leaves]
            raise ValueError(f"expected tensors of the shapes of x0, {[tuple(s) for s in self._shapes]}, got {found}")
        return torch.cat([leaf.detach().reshape(-1) for leaf in leaves]).to(self.start if like is None else like)


def scalar(value: Any, name: str) -> Tensor:
    """The one number that a user's function returned, or a sentence that says what it returned instead."""
    if not isinstance(value, Tensor) or value.numel() != 1:
        found = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r:.40}"
        raise TypeError(f"{name} must return one number as a tensor, got {found}")
    return value.reshape(())


def derivative(value: Tensor, x: Tensor, **options: Any) -> Tensor:
    """The gradient of one number by a flat leaf, zero where nothing depends on it."""
    if not value.requires_grad:
        raise TypeError("f(x) does not depend on x through torch operations: return a tensor computed from x, not from "
                        "x.item() or x.numpy()")  # fmt: skip
    (g,) = torch.autograd.grad(value, x, materialize_grads=True, allow_unused=True, **options)
    return g


class Differentiable(Problem):
    r"""Minimize f(x) + h(x): f with gradients by autograd, h through its proximal map; here h = 0.

    Args:
        f: of the user's form of x; returns one number.
        x0: where to begin.
    """

    def __init__(self, f: Callable[[Tree], Tensor], x0: Tree) -> None:
        if not callable(f):
            raise TypeError(f"f must be a function of x, got {f!r:.40}")
        super().__init__(x0)
        self.f = f

    def value(self, x: Tensor) -> float:
        """f(x); counts one nfev."""
        self.counts.nfev += 1
        with torch.no_grad():
            return float(scalar(self.f(self.tree(x)), "f"))

    def value_and_grad(self, x: Tensor) -> tuple[float, Tensor]:
        """f(x) and its gradient, flat; counts one nfev and one njev."""
        self.counts.nfev += 1
        self.counts.njev += 1
        with torch.enable_grad():
            x = x.detach().clone().requires_grad_()
            value = scalar(self.f(self.tree(x)), "f")
            return float(value.detach()), derivative(value, x)

    def hvp(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """The map v -> ∇²f(x) v; making it counts one njev, each product one nhev."""
        self.counts.njev += 1
        with torch.enable_grad():
            x = x.detach().clone().requires_grad_()
            g = derivative(scalar(self.f(self.tree(x)), "f"), x, create_graph=True)

        def product(v: Tensor) -> Tensor:
            self.counts.nhev += 1
            if not g.requires_grad:  # f is linear
                return torch.zeros_like(v)
            (Hv,) = torch.autograd.grad(g, x, v, retain_graph=True, materialize_grads=True, allow_unused=True)
            return Hv.detach()

        return product

    def prox(self, x: Tensor, step: float) -> Tensor:
        r""":math:`\operatorname{argmin}_z h(z) + \lVert z - x\rVert^2 / 2\,\text{step}`; x itself where h = 0."""
        return x

    def objective(self, x: Tensor) -> float:
        """f(x) + h(x); counts one nfev."""
        return self.value(x)


class Smooth(Differentiable):
    """Minimize f(x), differentiable, without constraints.

    Args:
        f: of a tensor or a pytree of tensors; returns one number. Differentiated by autograd.
        x0: where to begin; see :class:`Problem`.

    Example:
        >>> problem = Smooth(lambda x: (x["a"] - 1).square().sum(), {"a": torch.zeros(2)})
        >>> problem.value_and_grad(problem.start)
        (2.0, tensor([-2., -2.]))
        >>> problem.counts.njev
        1
    """

    def groups(self, leaves: list[Tensor]) -> list[dict[str, Any]]:
        """These tensors of x, as an optimizer takes them."""
        return [{"params": leaves}]

    def loss(self, x: Tree, i: Tensor | None = None) -> Tensor:
        """f in the user's form and with its graph, for an optimizer; counts one nfev."""
        self.counts.nfev += 1
        return scalar(self.f(x), "f")


class FiniteSum(Smooth):
    r"""Minimize :math:`f(x) = \frac1n \sum_{i<n} f_i(x)`, with gradients of chosen samples.

    Args:
        rows: ``rows(x, i)`` returns f_i(x) for a vector of indices i, one number for each.
        x0: where to begin.
        n: how many samples.

    Raises:
        ValueError: n is no positive integer.
    """

    def __init__(self, rows: Callable[[Tree, Tensor], Tensor], x0: Tree, n: int) -> None:
        if isinstance(n, bool) or not isinstance(n, int) or n < 1:
            raise ValueError(f"n must be a positive number of samples, got {n!r}")
        self.rows, self.n, self._all = rows, n, torch.arange(n)
        super().__init__(lambda x: self._mean(x, self._all), x0)
        self._all = self._all.to(self.start.device)

    def _mean(self, x: Tree, i: Tensor) -> Tensor:
        values = self.rows(x, i)
        if not isinstance(values, Tensor) or values.shape != i.shape:
            found = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"{values!r:.40}"
            raise TypeError(f"rows(x, i) must return one number for each of the {len(i)} indices, got {found}")
        return values.mean()

    def loss(self, x: Tree, i: Tensor | None = None) -> Tensor:
        """The mean over samples i, all by default; counts len(i) nsample, or one nfev."""
        if i is None:
            return super().loss(x)
        self.counts.nsample += len(i)
        return self._mean(x, i)

    def grad_of(self, x: Tensor, i: Tensor) -> Tensor:
        """The mean gradient of samples i; counts len(i) nsample."""
        self.counts.nsample += len(i)
        with torch.enable_grad():
            x = x.detach().clone().requires_grad_()
            return derivative(self._mean(self.tree(x), i), x)

    def grad_along(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        r"""The mean gradient of samples i, and its first two derivatives along v, :math:`\nabla^2 f v` and
        :math:`\nabla^3 f[v, v]`; counts 3 len(i) nsample.
        """
        self.counts.nsample += 3 * len(i)
        with torch.enable_grad():
            x = x.detach().clone().requires_grad_()
            found = [derivative(self._mean(self.tree(x), i), x, create_graph=True)]
            for _ in range(2):  # by symmetry vᵀ∇ is the derivative along v
                found.append(derivative(found[-1] @ v, x, create_graph=True) if found[-1].requires_grad else x * 0)
        g, first, second = (t.detach() for t in found)
        return g, first, second


class Composite(Differentiable):
    r"""Minimize f(x) + h(x), f differentiable, h convex with a proximal map.

    Args:
        f: returns one number.
        h: returns one number.
        prox: ``prox(x, step)`` returns argmin over z of h(z) + ‖z - x‖²/(2 step), in the form of x.
        x0: where to begin.

    Example:
        >>> from steepest.solve.inner import soft_threshold
        >>> lasso = Composite(
        ...     lambda x: (x - 3).square().sum() / 2, lambda x: x.abs().sum(), soft_threshold, torch.zeros(2)
        ... )
        >>> lasso.prox(torch.tensor([2.0, -0.5]), 1.0)
        tensor([1., -0.])
    """

    def __init__(self, f: Callable[[Tree], Tensor], h: Callable[[Tree], Tensor],
                 prox: Callable[[Tree, float], Tree], x0: Tree) -> None:  # fmt: skip
        super().__init__(f, x0)
        self.h, self._prox = h, prox

    def prox(self, x: Tensor, step: float) -> Tensor:
        """The proximal map of h; counts one nprox."""
        self.counts.nprox += 1
        return self.flat(self._prox(self.tree(x), step))

    def objective(self, x: Tensor) -> float:
        """f(x) + h(x); counts one nfev."""
        with torch.no_grad():
            return self.value(x) + float(scalar(self.h(self.tree(x)), "h"))


class Constrained(Differentiable):
    """Minimize f(x) over a convex set, given by its projection, its linear minimization oracle, or both.

    Args:
        f: returns one number.
        x0: where to begin; should lie in the set.
        project: the nearest point of the set, in the form of x.
        lmo: ``lmo(g)`` returns argmin over s in the set of ⟨g, s⟩.
        over: a set of :mod:`steepest.solve.sets`, which has both, for x that is one tensor.

    Raises:
        TypeError: no set or two, or, later, a solver needs the one that is missing.
    """

    def __init__(self, f: Callable[[Tree], Tensor], x0: Tree, *, project: Callable[[Tree], Tree] | None = None,
                 lmo: Callable[[Tree], Tree] | None = None, over: Set | None = None) -> None:  # fmt: skip
        super().__init__(f, x0)
        if over is not None:
            if project is not None or lmo is not None or not isinstance(x0, Tensor):
                raise TypeError(
                    f"over={type(over).__name__}(...) is a set of one tensor, in the place of project= and lmo="
                )
            project, lmo = over.project, over.lmo
        if project is None and lmo is None:
            raise TypeError("Constrained needs project=, lmo= or both, or over=: the set is known through them")
        self._project, self._lmo, self.over = project, lmo, over

    def prox(self, x: Tensor, step: float) -> Tensor:
        """The projection; counts one nprox."""
        if self._project is None:
            raise TypeError(
                "this solver projects: give Constrained project=, or take FrankWolfe, which needs lmo= only"
            )
        self.counts.nprox += 1
        return self.flat(self._project(self.tree(x)))

    def lmo(self, g: Tensor) -> Tensor:
        """The vertex that minimizes ⟨g, s⟩; counts one nlmo."""
        if self._lmo is None:
            raise TypeError("this solver minimizes linear functions over the set: give Constrained lmo=")
        self.counts.nlmo += 1
        return self.flat(self._lmo(self.tree(g)))
