"""Subspace optimization as a solver: from a state and to a state, resumed to the bit."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from steepest.solve.in_place import InPlace, InPlaceState, Running
from steepest.solve.problem import Problem
from steepest.solve.result import Status
from steepest.solve.subspace.friendly import Chain
from steepest.solve.subspace.search import Loss, SubspaceOptimizer, check


class Network(Problem):
    """Minimize the loss of a network on the whole data, where its first product with them is what costs; x by name.

    Args:
        model: ``nn.Sequential`` of ``nn.Linear`` and activations; it is copied, and stays as it is.
        X: all inputs, one a row.
        y: all targets.
        loss: of output and targets, a mean or a sum over rows, differentiable twice.

    Raises:
        ValueError: the network is not friendly to subspace optimization, with the reason; data that do not fit.
    """

    def __init__(self, model: nn.Module, X: Tensor, y: Tensor, loss: Loss) -> None:
        if len(y) != len(X):
            raise ValueError(f"X has {len(X)} rows and y {len(y)}: one target a row")
        Chain(model, X, loss)
        self.model, self.data, self.network_loss = copy.deepcopy(model), (X, y), loss
        super().__init__({name: p.detach() for name, p in model.named_parameters()})


@dataclass
class Products:
    """The optimizer's ``state_dict`` with its products, which a checkpoint of the optimizer makes anew."""

    opt: SubspaceOptimizer

    def state_dict(self) -> dict[str, Any]:
        """Optimizer and products."""
        return {"opt": self.opt.state_dict(), "products": self.opt.kept_products()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Both back."""
        self.opt.load_state_dict(state["opt"])
        self.opt.keep_products(state["products"])


@dataclass(frozen=True)
class SubspaceSearch(InPlace[Network]):
    r"""Line, plane and layer-wise search, as :class:`SubspaceOptimizer`, from a state and to a state.

    Args:
        base: the direction, "gd", "adam" or "l-bfgs".
        mode: "line", "plane" or "layerwise".
        memory: pairs that l-bfgs keeps, default 10.
        refresh: steps after which the product is made anew, against drift; default 100.

    Counts ``nfev`` forward products with X, ``njev`` gradients (one product each) and ``ninner`` trials of the rest.

    Measures ``loss`` where the last step began (inf before it), and ``moved``, the longest step in units of its direction;
    stalls when nothing along the direction lowers the loss.

    Source: Shea & Schmidt 2024, arXiv:2406.17954; see :class:`SubspaceOptimizer`.
    """

    base: str = "gd"
    mode: str = "plane"
    memory: int = 10
    refresh: int = 100
    ranges: ClassVar[dict[str, str]] = {"memory": "[1, inf)", "refresh": "[1, inf)"}

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.base, self.mode, self.memory, self.refresh)

    def begin(self, problem: Network) -> Running:
        """A copy of the network, and its optimizer."""
        model = copy.deepcopy(problem.model)
        opt = SubspaceOptimizer(
            model, *problem.data, problem.network_loss, self.base, self.mode, self.memory, self.refresh
        )

        def step(t: int, random: torch.Generator) -> float:
            products, trials = opt.products, opt.trials
            loss = opt.step()
            problem.counts.njev += 1
            problem.counts.nfev += opt.products - products - 1
            problem.counts.ninner += opt.trials - trials
            return loss

        return Running(list(model.parameters()), {"search": Products(opt)}, step)

    def measure(self, problem: Network, state: InPlaceState) -> dict[str, float]:
        """From the state alone."""
        groups = state.kept["search"]["opt"]["param_groups"]
        moved = max(abs(group[name]) for group in groups for name in ("alpha", "beta")) if state.t else math.inf
        return {"loss": state.loss, "moved": moved}

    def status(self, numbers: dict[str, float]) -> Status | None:
        """Stalled when the search found nothing lower."""
        return Status.STALLED if numbers["moved"] == 0 else None
