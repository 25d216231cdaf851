"""Saddle points, games and variational inequalities: an operator, the players whose unknowns it moves, and a set.

All three are one question: find z in C with ⟨F(z), z' - z⟩ ≥ 0 for every z' in C; without a set, F(z) = 0. F may be a mean over
samples. A player is a name, a part of the unknown, and a sign: the parts stand in ``players``, in the order of the unknown.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from steepest.solve.problem import Problem, Tree, derivative, scalar

Project = Callable[[Tree], Tree]


class VariationalInequality(Problem):
    r"""Find z in C with :math:`\langle F(z), z' - z\rangle \ge 0` for all z' in C.

    Args:
        F: of z; returns its value in the form of z.  With ``n``: of z and a vector of indices i; the mean of F over them.
        z0: where to begin.
        project: onto the convex set C; default none, and F(z) = 0 is solved.
        n: how many samples F is the mean of; default None, F is given whole.

    Attributes:
        players: name -> the player's part of flat z; here one, ``"z"``.
        signs: one number for each element of z, 1 where its player minimizes and -1 where it maximizes.

    Raises:
        ValueError: n is no positive integer.
        TypeError: F does not take one argument (with n: two).

    Example:
        >>> turn = VariationalInequality(lambda z: torch.stack([z[1], -z[0]]), torch.ones(2))
        >>> turn.operator(turn.start)
        tensor([ 1., -1.])
    """

    def __init__(self, F: Callable[..., Tree], z0: Tree, project: Project | None = None, n: int | None = None) -> None:
        super().__init__(z0)
        self._named({"z": z0})
        self._sampled(F, 1, n)
        self.F, self._project = F, project

    def _named(self, parts: Mapping[str, Tree], maximize: frozenset[str] = frozenset()) -> None:
        leaves = {name: len(pytree.tree_leaves(part)) for name, part in parts.items()}
        ends = list(accumulate(leaves.values()))
        self._leaves = {name: slice(end - count, end) for (name, count), end in zip(leaves.items(), ends, strict=True)}
        sizes = [0, *accumulate(self._sizes)]
        self.players = {name: slice(sizes[part.start], sizes[part.stop]) for name, part in self._leaves.items()}
        self.maximize = maximize
        self.signs = torch.ones_like(self.start)
        for name in maximize:
            self.signs[self.players[name]] = -1

    def _sampled(self, f: Callable[..., Any], unknowns: int, n: int | None) -> None:
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise ValueError(f"n must be a positive number of samples, got {n!r}")
        want = unknowns + (n is not None)
        try:
            inspect.signature(f).bind(*range(want))
        except (TypeError, ValueError):
            raise TypeError(f"the function must take {want} arguments{'' if n is None else ', samples last'}") from None
        self.n = n
        self._all = None if n is None else torch.arange(n, device=self.start.device)

    def _evaluate(self, z: Tensor, i: Tensor | None) -> Tensor:
        return self.flat(self.F(self.tree(z)) if i is None else self.F(self.tree(z), i))

    def operator(self, z: Tensor) -> Tensor:
        """F(z); counts one njev."""
        self.counts.njev += 1
        return self._evaluate(z, self._all)

    def operator_of(self, z: Tensor, i: Tensor) -> Tensor:
        """The mean of F over samples i; counts len(i) nsample.

        Raises:
            TypeError: F was not given as a mean over samples.
        """
        if self.n is None:
            raise TypeError(
                f"this solver draws samples: give {type(self).__name__} the number of them, n=, and a function of i"
            )
        self.counts.nsample += len(i)
        return self._evaluate(z, i)

    def project(self, z: Tensor) -> Tensor:
        """The nearest point of the set; counts one nprox where there is a set."""
        if self._project is None:
            return z
        self.counts.nprox += 1
        return self.flat(self._project(self.tree(z)))

    @property
    def has_set(self) -> bool:
        """Whether there is a set to be projected on."""
        return self._project is not None

    def residual(self, z: Tensor) -> float:
        """‖z - P(z - F(z))‖, which is zero at solutions alone; without a set ‖F(z)‖."""
        return float((z - self.project(z - self.operator(z))).norm())

    def groups(self, leaves: list[Tensor]) -> list[dict[str, Any]]:
        """The players' tensors, as an optimizer takes them; a maximizing player's group has ``maximize=True``.

        Raises:
            TypeError: there is a set, which an optimizer does not know.
        """
        if self._project is not None:
            raise TypeError("an optimizer knows nothing of the set: leave out project=, or give it a geometry")
        return [{"params": leaves[part], "maximize": name in self.maximize} for name, part in self._leaves.items()]


class Saddle(VariationalInequality):
    r"""Find a saddle point, :math:`\min_x \max_y f(x, y)`, or a zero of the operator F = (∇ₓf, -∇ᵧf).

    The unknown is z = (x, y), a tuple in the result.

    Args:
        f: of x and y; returns one number.  With ``n``: of x, y and a vector of indices; one number for each.
        x0: where x begins.
        y0: where y begins.
        project: of z = (x, y) onto its convex set; default none.
        n: how many samples f is the mean of; default None, f is given whole.
    """

    def __init__(self, f: Callable[..., Tensor], x0: Tree, y0: Tree, project: Project | None = None,
                 n: int | None = None) -> None:  # fmt: skip
        Problem.__init__(self, (x0, y0))
        self._named({"x": x0, "y": y0}, frozenset({"y"}))
        self._sampled(f, 2, n)
        self.f, self._project = f, project

    def _value(self, z: Tree, i: Tensor | None) -> Tensor:
        if i is None:
            return scalar(self.f(*z), "f")
        values = self.f(*z, i)
        if not isinstance(values, Tensor) or values.shape != i.shape:
            found = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"{values!r:.40}"
            raise TypeError(f"f(x, y, i) must return one number for each of the {len(i)} indices, got {found}")
        return values.mean()

    def loss(self, z: Tree, i: Tensor | None = None) -> Tensor:
        """f with its graph, for an optimizer; counts one nfev."""
        self.counts.nfev += 1
        return self._value(z, self._all if i is None else i)

    def _evaluate(self, z: Tensor, i: Tensor | None) -> Tensor:
        with torch.enable_grad():
            z = z.detach().clone().requires_grad_()
            return self.signs * derivative(self._value(self.tree(z), i), z)

    def mixed(self, z: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """F(z), and the map from (u, v) to (∂²f/∂x∂y v, ∂²f/∂y∂x u); counts one njev, and two nhev for each use."""
        self.counts.njev += 1
        x = self.players["x"].stop
        with torch.enable_grad():
            z = z.detach().clone().requires_grad_()
            g = derivative(self._value(self.tree(z), self._all), z, create_graph=True)

        def product(w: Tensor) -> Tensor:
            self.counts.nhev += 2
            if not g.requires_grad:
                return torch.zeros_like(w)
            along = [torch.cat([w[:x], torch.zeros_like(w[x:])]), torch.cat([torch.zeros_like(w[:x]), w[x:]])]
            rows = [torch.autograd.grad(g, z, u, retain_graph=True, materialize_grads=True)[0] for u in along]
            return torch.cat([rows[1][:x], rows[0][x:]])

        return self.signs * g.detach(), product


class Game(VariationalInequality):
    r"""Find a Nash equilibrium: no player lowers its loss by changing its own part; :math:`F = (\nabla_{x_i} f_i)_i`.

    Args:
        losses: name -> f_i, of all parts by name; returns one number, which its player minimizes.
        x0: name -> where the player begins; the same names.
        project: of all parts by name onto their convex set; default none.

    Raises:
        ValueError: the names are not the same.

    Example:
        >>> prices = {"a": torch.zeros(1), "b": torch.zeros(1)}
        >>> game = Game(
        ...     {
        ...         "a": lambda p: (p["a"] * (p["a"] - 1 - p["b"] / 2)).sum(),
        ...         "b": lambda p: (p["b"] * (p["b"] - 1 - p["a"] / 2)).sum(),
        ...     },
        ...     prices,
        ... )
        >>> game.operator(game.start)
        tensor([-1., -1.])
    """

    def __init__(self, losses: Mapping[str, Callable[[Tree], Tensor]], x0: Mapping[str, Tree],
                 project: Project | None = None) -> None:  # fmt: skip
        if list(losses) != list(x0):
            raise ValueError(f"each player has a loss and a start, in one order, got {list(losses)} and {list(x0)}")
        Problem.__init__(self, dict(x0))
        self._named(x0)
        self.losses, self._project, self.n, self._all = losses, project, None, None

    def _evaluate(self, z: Tensor, i: Tensor | None) -> Tensor:
        with torch.enable_grad():
            z = z.detach().clone().requires_grad_()
            rows = {name: derivative(scalar(f(self.tree(z)), name), z) for name, f in self.losses.items()}
        return torch.cat([rows[name][part] for name, part in self.players.items()])
