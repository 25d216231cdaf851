"""SGD with momentum, as torch has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

from steepest.core.evaluate import Evidence
from steepest.core.optimizer import Optimizer
from steepest.core.options import DirectedTorch
from steepest.core.step import Run
from steepest.direction import Coupled, Direction, Momentum
from steepest.optim.registry import method

_TORCH = {"foreach": None, "capturable": False, "differentiable": False, "fused": None}


@method("baseline", state_bytes=0.0, space={"lr": ("log", 1e-4, 10.0), "momentum": ("linear", 0.0, 0.99)})
class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as torch.optim.SGD.

    Checkpoints are torch's: each loads the other's.

    Args:
        params: parameters or groups.
        lr: default 1e-3 (torch).
        momentum: default 0.
        dampening: default 0.
        weight_decay: coupled (an L2 penalty), default 0.
        nesterov: default False; needs a momentum.
        options: see :class:`steepest.Optimizer`.

    Without a momentum there is no state.  It begins where a schedule (OneCycleLR, CyclicLR) puts one into the groups.

    Raises:
        ValueError: Nesterov without momentum or with dampening, as in torch.
    """

    torch_group = {**_TORCH, "momentum": 0, "dampening": 0, "nesterov": False}

    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
                 weight_decay: float = 0.0, nesterov: bool = False, **options: Unpack[DirectedTorch]) -> None:  # fmt: skip
        remembers = Momentum(momentum=momentum, dampening=dampening, nesterov=nesterov)
        direction = remembers if momentum else Direction()
        super().__init__(params, lr, direction=Coupled(direction, weight_decay=weight_decay), **options)
        if not momentum:
            unused = {"momentum": 0.0, "dampening": dampening}
            self.defaults |= unused
            for group in self.param_groups:
                group |= {name: value for name, value in unused.items() if name not in group}

    def _begins(self) -> bool:
        """Whether a schedule has given a momentum to what was made without."""
        return "m" not in self.sides[0].specs and self._remembers(self.param_groups)

    @staticmethod
    def _remembers(groups: Iterable[Any]) -> bool:
        return any(float(group.get("momentum", 0)) for group in groups if "direction" not in group)

    def _begin(self) -> None:
        """Remember gradients from now on."""
        weight_decay = self.direction.values["weight_decay"]
        self.direction = Coupled(Momentum(dampening=self.defaults["dampening"]), weight_decay=weight_decay)
        self._check_assembly()
        self._plain += ["momentum", "dampening"]
        self.clear_cache()
        for p, entry in self.state.items():
            if "step" in entry and "m" not in entry:
                step = entry.pop("step")
                self.sorter.init_state(p)
                entry["step"] = step
        self.clear_cache()

    def make_move(self, run: Run, evidence: Evidence) -> bool:
        """As ever, with momentum from where there is one."""
        if self._begins():
            self._begin()
        return super().make_move(run, evidence)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue, with momentum where a schedule has given one already.

        Raises:
            ValueError: the checkpoint has a momentum, and this optimizer was made without.
        """
        groups = state_dict.get("param_groups", ()) if isinstance(state_dict, dict) else ()
        if "m" not in self.sides[0].specs and self._remembers(groups):
            if not self._begins():
                raise ValueError("SGD was made with momentum=0, the checkpoint has a momentum: give it to the constructor, or "
                                 "make the schedule that does before loading")  # fmt: skip
            self._begin()
        super().load_state_dict(state_dict)
