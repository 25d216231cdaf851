"""Subspace optimization: the best step size, or the best of several, in every step, at the price of a fixed one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from steepest.solve.in_place import NotFiniteError
from steepest.solve.inner import dots, newton, two_loop, useful
from steepest.solve.result import Result, Status
from steepest.solve.subspace.friendly import Chain

MODES = ("line", "plane", "layerwise")
BASES = ("gd", "adam", "l-bfgs")

Loss = Callable[[Tensor, Tensor], Tensor]


def check(base: str, mode: str, memory: int, refresh: int) -> None:
    """Refuse words and numbers that are none of theirs."""
    for name, value, known in (("base", base, BASES), ("mode", mode, MODES)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    for name, number in (("memory", memory), ("refresh", refresh)):
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {number!r}")


class SubspaceOptimizer(torch.optim.Optimizer):
    r"""Line, plane and layer-wise search for networks that are friendly to them.

    .. math:: w_l^+ = w_l + \alpha_l d_l + \beta_l (w_l - w_l^{\text{prev}}),\quad
              (\alpha, \beta) \approx \arg\min f

    with one α and no β (``"line"``), one α and one β (``"plane"``), or a pair for every layer (``"layerwise"``). With
    Z = X W₁ᵀ and Q = X D₁ᵀ, every trial needs only Z + α Q + β (Z - Z_prev) and the layers after it, so a step costs two
    products with X, Q and the gradient, as many as with a fixed step size.

    Every linear layer is a parameter group, with its last ``alpha`` and ``beta``. The whole data is given once; ``step()``
    takes nothing and returns the loss where it began. Weights changed by hand between steps are noticed.  A checkpoint
    goes on to within rounding: products are made anew when it is loaded.

    Args:
        model: ``nn.Sequential`` of ``nn.Linear`` and activations; see :func:`steepest.solve.is_so_friendly`.
        X: all inputs, one a row.
        y: all targets.
        loss: of output and targets, a mean or a sum over rows, differentiable twice.
        base: the direction d: ``"gd"`` (-g), ``"adam"`` (betas 0.9 and 0.999, without its learning rate), ``"l-bfgs"``.
        mode: ``"line"``, ``"plane"`` or ``"layerwise"``.
        memory: pairs that l-bfgs keeps, default 10.
        refresh: after so many steps Z is made anew, against drift, at the price of two products; default 100.

    Raises:
        ValueError: the network is not friendly, with the reason; data that do not fit; an unknown base or mode.

    Source: Shea & Schmidt 2024, arXiv:2406.17954 (abstract and introduction; the search inside, by Newton's method from
    the last (α, β), the refresh and the defaults are ours).

    Example:
        >>> net = nn.Sequential(nn.Linear(50, 4), nn.Tanh(), nn.Linear(4, 1))
        >>> X = torch.randn(30, 50, generator=torch.Generator().manual_seed(0))
        >>> opt = SubspaceOptimizer(net, X, X[:, :1], nn.functional.mse_loss, mode="plane")
        >>> result = opt.run(20)
        >>> result.history["loss"][-1] < result.history["loss"][0], result.counts["products"]
        (True, 41)
    """

    def __init__(self, model: nn.Module, X: Tensor, y: Tensor, loss: Loss, base: str = "gd", mode: str = "plane",
                 memory: int = 10, refresh: int = 100) -> None:  # fmt: skip
        check(base, mode, memory, refresh)
        if len(y) != len(X):
            raise ValueError(f"X has {len(X)} rows and y {len(y)}: one target a row")
        self.chain, self.y, self.loss = Chain(model, X, loss), y, loss
        self.base, self.mode, self.memory, self.refresh = base, mode, memory, refresh
        self.products, self.trials = 0, 0
        self._Z: Tensor | None = None
        self._dZ: Tensor | None = None
        self._seen: list[int] = []
        groups = [{"params": self.chain.params(layer)} for layer in self.chain.layers]
        super().__init__(groups, {"alpha": 0.0, "beta": 0.0, "t": 0})

    # ---- the step ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure: None = None) -> float:  # type: ignore[override]
        """One step; the loss where it began.

        Raises:
            TypeError: a closure was given; the data is known already.
            RuntimeError: the loss is not finite; nothing was changed.
        """
        if closure is not None:
            raise TypeError("the data was given at construction: call step() without a closure")
        x = [[p.detach() for p in group["params"]] for group in self.param_groups]
        flat = [p for group in self.param_groups for p in group["params"]]
        Z, dZ = self._product(x)
        value, grads = self._gradient(Z, x)
        if not math.isfinite(value):
            raise NotFiniteError(f"the loss is {value} before the step; nothing was changed: choose other weights")
        d = self._direction(flat, grads)
        D = self._by_layer(d)
        moved = self._by_layer([p - self.state[p].get("prev", p) for p in flat])
        Q = self.chain.first(D[0])
        self.products += 1
        alphas, betas = self._search(Z, Q, dZ, x, D, moved, value)
        new = [[w + a * e + b * m for w, e, m in zip(*row, strict=True)]
               for *row, a, b in zip(x, D, moved, alphas, betas, strict=True)]  # fmt: skip
        after = Z + alphas[0] * Q + betas[0] * dZ
        for p, w, g in zip(flat, [w for row in new for w in row], grads, strict=True):
            self.state[p].update(prev=p.detach().clone(), g=g)
            p.copy_(w)
        for group, a, b in zip(self.param_groups, alphas, betas, strict=True):
            group.update(alpha=a, beta=b, t=group["t"] + 1)
        self._Z, self._dZ, self._seen = after, after - Z, self._versions()
        return value

    def run(self, steps: int, goal: float = -math.inf) -> Result:
        """Steps until the loss is at the goal, or no step lowers it, or there were enough.

        Args:
            steps: at most.
            goal: of the loss.

        Returns:
            The result; its history has ``loss`` before each step and at the end, its counts ``products`` with X and
            ``trials`` of the rest.
        """
        history: list[float] = []
        reason, end = f"{steps} steps", Status.BUDGET
        for _ in range(steps):
            history.append(self.step())
            if history[-1] <= goal:
                reason, end = "the loss is at the goal", Status.SOLVED
                break
            if all(group["alpha"] == 0 == group["beta"] for group in self.param_groups):
                reason, end = "nothing along the direction lowers the loss", Status.STALLED
                break
        else:
            x = [[p.detach() for p in group["params"]] for group in self.param_groups]
            with torch.no_grad():
                history.append(self._value(self._product(x)[0], x[1:]))
        solved = history[-1] <= goal
        return Result(solved, reason, len(history) - 1, {"loss": history},
                      {"products": self.products, "trials": self.trials}, status=Status.SOLVED if solved else end)  # fmt: skip

    # ---- the pieces ----------------------------------------------------------------------------------------------------

    def _versions(self) -> list[int]:
        return [p._version for group in self.param_groups for p in group["params"]]

    def _by_layer(self, flat: list[Tensor]) -> list[list[Tensor]]:
        rest = iter(flat)
        return [[next(rest) for _ in group["params"]] for group in self.param_groups]

    def _product(self, x: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
        """Z and what it moved by in the last step; made anew where weights were changed, and now and then."""
        t, first = self.param_groups[0]["t"], self.param_groups[0]["params"]
        if self._Z is not None and self._dZ is not None and self._seen == self._versions() and t % self.refresh:
            return self._Z, self._dZ
        if self._seen and self._seen != self._versions():  # changed by hand: there is no last step any more
            for p in self.state:
                self.state[p].pop("prev", None)
        Z = self.chain.first(x[0])
        self.products += 1
        dZ = torch.zeros_like(Z)
        if all("prev" in self.state[p] for p in first):
            dZ = Z - self.chain.first([self.state[p]["prev"] for p in first])
            self.products += 1
        self._Z, self._dZ, self._seen = Z, dZ, self._versions()
        return Z, dZ

    def _value(self, Z: Tensor, later: list[list[Tensor]]) -> float:
        return float(self.loss(self.chain.rest(Z, later), self.y))

    def _gradient(self, Z: Tensor, x: list[list[Tensor]]) -> tuple[float, list[Tensor]]:
        """Loss and gradient: one product with X."""
        with torch.enable_grad():
            leaf = Z.detach().requires_grad_()
            later = [[w.detach().requires_grad_() for w in row] for row in x[1:]]
            value = self.loss(self.chain.rest(leaf, later), self.y)
            delta, *tail = torch.autograd.grad(value, [leaf, *(w for row in later for w in row)])
        self.products += 1
        head = [delta.T @ self.chain.X, delta.sum(0)][: len(x[0])]
        return float(value), [*head, *tail]

    def _direction(self, flat: list[Tensor], g: list[Tensor]) -> list[Tensor]:
        t = self.param_groups[0]["t"] + 1
        if self.base == "adam":
            return [self._adam(p, q, t) for p, q in zip(flat, g, strict=True)]
        return self._lbfgs(flat, g) if self.base == "l-bfgs" else [-q for q in g]

    def _adam(self, p: Tensor, g: Tensor, t: int) -> Tensor:
        state = self.state[p]
        m = 0.9 * state.get("m", torch.zeros_like(g)) + 0.1 * g
        v = 0.999 * state.get("v", torch.zeros_like(g)) + 0.001 * g * g
        state.update(m=m, v=v)
        d: Tensor = -(m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
        return d

    def _lbfgs(self, flat: list[Tensor], g: list[Tensor]) -> list[Tensor]:
        """Minus the inverse Hessian's estimate times g, where that descends."""
        q = two_loop(self._pairs(flat, g), g)
        return [-u for u in q] if dots(q, g) > 0 else [-u for u in g]

    def _pairs(self, flat: list[Tensor], g: list[Tensor]) -> list[tuple[list[Tensor], list[Tensor], float]]:
        """Remember the last move if f bends upwards along it; all that is remembered, the oldest first."""
        if all("prev" in self.state[p] for p in flat):
            s = [p - self.state[p]["prev"] for p in flat]
            y = [q - self.state[p]["g"] for p, q in zip(flat, g, strict=True)]
            if useful(s, y):
                for p, u, v in zip(flat, s, y, strict=True):
                    for name, new in (("s", u), ("y", v)):
                        old = self.state[p].get(name, u.new_zeros(0, *u.shape))
                        self.state[p][name] = torch.cat([old, new[None]])[-self.memory :]
        count = len(self.state[flat[0]].get("s", ()))
        found = []
        for k in range(count):
            s, y = ([self.state[p][name][k] for p in flat] for name in ("s", "y"))
            found.append((s, y, dots(s, y)))
        return found

    def _search(self, Z: Tensor, Q: Tensor, dZ: Tensor, x: list[list[Tensor]], D: list[list[Tensor]],
                moved: list[list[Tensor]], value: float) -> tuple[list[float], list[float]]:  # fmt: skip
        """The α and β of each layer."""
        layers = len(x)
        each = layers if self.mode == "layerwise" else 1
        with_beta = self.mode != "line" and any(bool(m.any()) for row in moved for m in row)

        def split(c: Tensor) -> tuple[list[Any], list[Any]]:
            a, b = list(c[:each]), list(c[each:]) if with_beta else [c.new_zeros(())] * each
            return a * (layers // each), b * (layers // each)

        def f(c: Tensor) -> Tensor:
            self.trials += 1
            a, b = split(c.to(Z.dtype))
            later = [[w + p * e + q * m for w, e, m in zip(*row, strict=True)]
                     for *row, p, q in list(zip(x, D, moved, a, b, strict=True))[1:]]  # fmt: skip
            out = self.chain.rest(Z + a[0] * Q + b[0] * dZ, later)
            return self.loss(out, self.y).double()

        unknowns = each * (2 if with_beta else 1)
        nothing = torch.zeros(unknowns, dtype=torch.float64, device=Z.device)
        last = [g[n] for n in ("alpha", "beta")[: unknowns // each] for g in self.param_groups[:each]]
        starts = [nothing, torch.tensor(last, dtype=torch.float64, device=Z.device)] if any(last) else [nothing]
        c, found = newton(f, starts, most=20, tolerance=1e-3)
        if not found < value:
            c = nothing
        return tuple([float(v) for v in part] for part in split(c))  # type: ignore[return-value]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where ``state_dict`` was saved; the products are made anew."""
        super().load_state_dict(state_dict)
        self._Z = self._dZ = None
        self._seen = []

    def kept_products(self) -> list[Tensor]:
        """Z and what it moved by in the last step, as copies; empty before the first step, and when weights were changed."""
        if self._Z is None or self._dZ is None or self._seen != self._versions():
            return []
        return [self._Z.clone(), self._dZ.clone()]

    def keep_products(self, products: list[Tensor]) -> None:
        """Take these for the products at the weights as they are."""
        self._Z, self._dZ = products or (None, None)
        self._seen = self._versions() if products else []
