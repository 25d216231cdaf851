"""Target-based surrogates: evaluate one gradient of the loss by the model's outputs, and take many steps on it.

Where the loss is what costs (a simulator, an expert who labels, a sum over the world) and the model is cheap, the gradient
should be evaluated at the outputs z = f(θ), not at the weights.  One such gradient gives a surrogate of the loss that holds
for all weights near by, and as many steps on it as one likes need the model alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from steepest.core.optimizer import Optimizer
from steepest.core.part import LineSearch, check_number
from steepest.core.replay import random_state, set_random_state
from steepest.solve.in_place import Buffers, InPlace, NotFiniteError, Running
from steepest.solve.problem import Problem
from steepest.solve.result import Result, Status
from steepest.stepsize import SLS

Inner = Callable[[Iterable[Tensor]], torch.optim.Optimizer]

#: rule -> what multiplies η at step t, given the sum of squared target gradients up to it
RULES: dict[str, Callable[[int, float], float]] = {
    "constant": lambda t, squares: 1.0,
    "decay": lambda t, squares: 1 / math.sqrt(t),
    "adagrad": lambda t, squares: 1 / math.sqrt(squares),
}


def armijo(params: Iterable[Tensor]) -> Optimizer:
    """Gradient descent with a monotone line search, which halves its step and starts from twice the last one."""
    step = SLS(c=0.1, shrink=0.5, growth=2.0, eta_max=1e3, batches_per_epoch=1)
    return Optimizer(params, step_size=step)


def check(name: str, m: int, rule: str) -> None:
    """Refuse a number of steps or a rule that is none."""
    if not isinstance(m, int) or m < 1:
        raise ValueError(f"{name}: m must be an integer of at least 1, got {m!r}")
    if rule not in RULES:
        raise ValueError(f"{name}: rule must be one of {', '.join(map(repr, RULES))}, got {rule!r}")


class SSO:
    r"""Surrogates in the space of targets, minimized by a few steps of any optimizer.

    .. math:: \tilde\ell_t(\theta) = \ell(z_t) + \langle \nabla\ell(z_t), f(\theta) - z_t\rangle
              + \frac{1}{2\eta_t n}\lVert f(\theta) - z_t\rVert^2,\quad z_t = f(\theta_t)

    with n rows in z, so that η is in units of the loss of one row and does not depend on the batch.  On the whole data, η
    ≤ 1/L with L the smoothness of one row's loss makes it an upper bound of the loss that touches it at θ_t: a step that
    lowers it lowers the loss.  On mini-batches it is stochastic gradient descent on z, projected onto what the model can do.
    With ``m=1`` and plain gradient descent inside it is (S)GD.

    Args:
        model: f, any module.
        loss: of outputs and whatever ``step`` is given besides inputs; a mean over rows.  It is evaluated once a step.
        eta: η, default 1.  For 1/L: 1 for half the squared error, 4 for the logistic loss, 2 for cross entropy.
        m: steps on each surrogate, default 10.
        inner: makes the optimizer of the model's parameters, of this library or torch's; default gradient descent with an
            Armijo line search.  It lives as long as this object, and schedules may be put on ``sso.inner``.
        rule: "constant"; "decay", η/√t; or "adagrad", η over the root of the sum of the squared gradients in z (of one
            row's loss, mean over rows).

    Raises:
        ValueError: η that is not positive, fewer than one inner step, or an unknown rule.

    Source: Lavington, Vaswani, Babanezhad, Schmidt & Le Roux 2023, arXiv:2302.02607 (abstract; the surrogate, the rules and
    the line search as in the authors' code, sgd_fmdopt.py, ada_fmdopt.py, lsopt.py).

    Note: the authors' code takes ‖f(θ) - z‖² without the ½ and divides the linear term by n once more, which are factors
    of its η.  Their line search (c = 0.1 and growth 2 as here) begins anew for each surrogate and shortens by 0.9, which takes
    many more forwards; here by 0.5.
    Dropout is drawn once a step, and batch normalisation counts once.

    Example:
        >>> X = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> model = nn.Linear(2, 1, bias=False)
        >>> sso = SSO(model, lambda z, y: (z - y).square().mean() / 2, eta=1.0, m=20)
        >>> result = sso.run([(X, torch.ones(2, 1))], steps=30, goal=1e-6)
        >>> result.solved, result.counts["expensive"] < 10
        (True, True)
    """

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor], eta: float = 1.0, m: int = 10,
                 inner: Inner = armijo, rule: str = "constant") -> None:  # fmt: skip
        self.eta = check_number("SSO", "eta", eta, "(0, inf)")
        check("SSO", m, rule)
        self.model, self.loss, self.m, self.rule = model, loss, m, rule
        self.inner = inner([p for p in model.parameters() if p.requires_grad])
        self.t, self.squares = 0, 0.0
        self.counts = {"expensive": 0, "forwards": 0, "backwards": 0}

    def step(self, inputs: Any, *rest: Any) -> float:
        """One gradient of the loss, and m steps on its surrogate.

        Args:
            inputs: of the model.
            rest: handed to the loss after the outputs.

        Returns:
            The loss where the step began.

        Raises:
            TypeError: the model does not answer with one tensor, or the loss not with one number.
            RuntimeError: loss or gradient are not finite; nothing was changed.
        """
        surrogate = Surrogate(self, inputs, rest)
        if isinstance(self.inner, Optimizer) and isinstance(self.inner.step_size, LineSearch):  # it is another function
            for group in self.inner.param_groups:
                group.update({n: start for n, start in self.inner.step_size.memory.items() if n in group})
        for _ in range(self.m):
            if isinstance(self.inner, Optimizer):
                before = self.inner.counters.backwards
                self.inner.step(surrogate)
                self.counts["backwards"] += self.inner.counters.backwards - before
            else:
                self.inner.step(surrogate.backward)  # type: ignore[arg-type]
        return surrogate.at_start

    def run(self, batches: Iterable[tuple[Any, ...]], steps: int, goal: float = -math.inf) -> Result:
        """Steps on batches, again and again, until a loss is at the goal or there were enough.

        Args:
            batches: tuples of what ``step`` takes, inputs first; one of them, for the whole data.
            steps: at most.
            goal: of a step's loss where it began.

        Returns:
            The result; its history has each step's ``loss``, its counts ``expensive`` gradients, and ``forwards`` and
            ``backwards`` of the model.
        """
        kept, history = list(batches), []
        if not kept:
            raise ValueError("SSO.run needs at least one batch, got none")
        for k in range(steps):
            history.append(self.step(*kept[k % len(kept)]))
            if history[-1] <= goal:
                return Result(True, "the loss is at the goal", k + 1, {"loss": history}, dict(self.counts),
                              status=Status.SOLVED)  # fmt: skip
        return Result(False, f"{steps} steps", steps, {"loss": history}, dict(self.counts), status=Status.BUDGET)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint, with the inner optimizer's."""
        return {"t": self.t, "squares": self.squares, "counts": dict(self.counts), "inner": self.inner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.t, self.squares, self.counts = state["t"], state["squares"], dict(state["counts"])
        self.inner.load_state_dict(state["inner"])


class Surrogate:
    """The surrogate of one step, as a closure; making it evaluates the gradient."""

    def __init__(self, sso: SSO, inputs: Any, rest: tuple[Any, ...]) -> None:
        self.model, self.inner, self.counts, self.inputs = sso.model, sso.inner, sso.counts, inputs
        self.random = random_state()
        with torch.no_grad():
            z = self.model(inputs)
        if not isinstance(z, Tensor) or z.dim() == 0:
            raise TypeError(f"SSO: the model must answer with one tensor, rows first, got {type(z).__name__}")
        self.z = z.detach()
        with torch.enable_grad():
            z = self.z.clone().requires_grad_()
            loss = sso.loss(z, *rest)
            if not isinstance(loss, Tensor) or loss.numel() != 1:
                raise TypeError(f"SSO: the loss must be one number as a tensor, got {loss!r:.80}")
            (self.g,) = torch.autograd.grad(loss, z)
        self.at_start, square = float(loss.detach()), len(z) * float(self.g.double().square().sum())
        if not math.isfinite(self.at_start) or not math.isfinite(square):
            raise NotFiniteError(f"SSO: the loss is {self.at_start} and its gradient's squared norm {square}; no weight was "
                                 "changed: leave this batch out, or choose other weights")  # fmt: skip
        sso.t, sso.squares = sso.t + 1, sso.squares + square
        self.counts["expensive"] += 1
        self.counts["forwards"] += 1
        self.eta = sso.eta * (RULES[sso.rule](sso.t, sso.squares) if sso.squares > 0 else 1.0)

    def __call__(self) -> Tensor:
        """Its value at the weights as they are now."""
        away = self.outputs() - self.z
        return self.at_start + (self.g * away).sum() + away.square().sum() / (2 * self.eta * len(away))

    def backward(self) -> Tensor:
        """The same in torch's style."""
        self.inner.zero_grad()
        with torch.enable_grad():
            value = self()
            value.backward()
        self.counts["backwards"] += 1
        return value.detach()

    def outputs(self) -> Tensor:
        """f, with the random numbers of the first evaluation, and without touching the statistics of norms."""
        now, copies = random_state(), {name: b.clone() for name, b in self.model.named_buffers()}
        set_random_state(self.random)
        try:
            found: Tensor = torch.func.functional_call(self.model, copies, (self.inputs,)) if copies else self.model(
                self.inputs)  # fmt: skip
        finally:
            set_random_state(now)
        self.counts["forwards"] += 1
        return found


class Targets(Problem):
    """Minimize a loss of a model's outputs that is expensive, over batches; x are the weights that can be trained, by name.

    Args:
        model: any module; it is copied, and stays as it is.
        loss: of outputs and whatever follows the inputs in a batch; a mean over rows.
        batches: tuples, inputs first; taken in their order, again and again.  One of them, for the whole data.

    Raises:
        ValueError: no batch, or a model in which nothing can be trained.
    """

    def __init__(self, model: nn.Module, loss: Callable[..., Tensor], batches: Iterable[tuple[Any, ...]]) -> None:
        self.model, self.target_loss, self.batches = copy.deepcopy(model), loss, list(batches)
        if not self.batches:
            raise ValueError("Targets needs at least one batch, got none")
        super().__init__({name: p.detach() for name, p in model.named_parameters() if p.requires_grad})


@dataclass(frozen=True)
class TargetSurrogate(InPlace[Targets]):
    r"""Surrogates in the space of targets, as :class:`SSO`, from a state and to a state.

    Args:
        eta: η, default 1.
        m: steps on each surrogate, default 10.
        inner: makes the optimizer of the parameters; default gradient descent with an Armijo line search.
        rule: "constant", "decay" or "adagrad".
        seed: of what the model draws (dropout), default 0.

    Counts ``njev`` gradients of the expensive loss, and ``ninner`` forwards of the model.

    Measures ``loss``, of the batch of the last step, where that step began (inf before it).

    Source: Lavington et al. 2023, arXiv:2302.02607; see :class:`SSO`.

    Example:
        >>> from steepest.solve import solve
        >>> X = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
        >>> problem = Targets(nn.Linear(2, 1, bias=False), nn.functional.mse_loss, [(X, torch.ones(2, 1))])
        >>> solve(problem, TargetSurrogate(eta=0.5, m=20), until={"loss": 1e-6}).x["weight"]
        tensor([[1.0000, 0.5000]])
    """

    eta: float = 1.0
    m: int = 10
    inner: Inner = armijo
    rule: str = "constant"
    seed: int = 0
    ranges: ClassVar[dict[str, str]] = {"eta": "(0, inf)", "m": "[1, inf)", "seed": "[0, inf)"}

    def __post_init__(self) -> None:
        super().__post_init__()
        check("TargetSurrogate", self.m, self.rule)

    def begin(self, problem: Targets) -> Running:
        """A copy of the model, and the optimizer of its parameters."""
        model = copy.deepcopy(problem.model)
        sso = SSO(model, problem.target_loss, self.eta, self.m, self.inner, self.rule)

        def step(t: int, random: torch.Generator) -> float:
            before, world = dict(sso.counts), random_state()
            torch.set_rng_state(random.get_state())
            try:
                return sso.step(*problem.batches[t % len(problem.batches)])
            finally:
                random.set_state(torch.get_rng_state())
                set_random_state(world)
                problem.counts.njev += sso.counts["expensive"] - before["expensive"]
                problem.counts.ninner += sso.counts["forwards"] - before["forwards"]

        return Running(
            [p for p in model.parameters() if p.requires_grad], {"sso": sso, "buffers": Buffers(model)}, step
        )
