"""One method for whatever has a gradient, without a number to choose."""

from __future__ import annotations

from typing import Any

from steepest import direction as D
from steepest import point, stepsize
from steepest.core.optimizer import Optimizer
from steepest.geometry import Decay
from steepest.optim.registry import method


@method("stepsize", state_bytes=8.0, space={})
class Auto(Optimizer):
    r"""Cautious Adam that finds its step size while it runs and returns an average: nothing to choose.

    Four parts: Adam's direction with β = (0.8, 0.99) under a mask of caution; the step size from the signs of slopes
    (:class:`steepest.stepsize.Slope`); decoupled decay, λ = 0.2; the average of about the last ninth of the points
    (:class:`steepest.point.Average`).  The moments are kept in bfloat16 and the average in float32, which together take
    the eight bytes a parameter of AdamW's state.  It needs no closure and no more evaluations than AdamW.

    Evaluate, and save for use, inside ``with opt.averaged():``.  Step size and decay follow the slopes, so schedulers
    are not needed; they work as on every method.

    Args:
        params: parameters or groups; ``weight_decay`` may be set per group (0 for biases and norms, say).
        lr: multiplies the step that was found, for schedulers; 1.
        options: see :class:`steepest.Optimizer`; ``codec="float32"`` keeps the moments exactly.

    Source: this library's own.  How it was chosen, and what was tried and left out, is on the page "Auto".

    Example:
        >>> import torch, steepest
        >>> x = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
        >>> opt = steepest.Auto([x])
        >>> for _ in range(60):
        ...     _ = opt.step(lambda: (x * x).sum())
        >>> with opt.averaged():
        ...     bool(x.abs().max() < 0.1)
        True
    """

    def __init__(self, params: Any, lr: float = 1.0, **options: Any) -> None:
        inner = D.Cautious(D.Adam(beta1=0.8, beta2=0.99), scale="mean")
        super().__init__(params, lr, direction=inner, step_size=stepsize.Slope(), geometry=Decay(weight_decay=0.2),
                         point=point.Average(), **{"codec": "bfloat16"} | options)  # fmt: skip

    def explain(self) -> str:
        """One line: what was chosen, and what it was chosen from.

        >>> import torch
        >>> Auto([torch.nn.Parameter(torch.zeros(2))]).explain()
        'Auto has not heard a slope yet: its first step is 0.0001 long in every coordinate'
        """
        seen = self.param_groups[0]
        found, first = float(seen["found"]), float(seen["first"])
        if not seen["ups"] and not seen["heard"] and found in (0.0, first):
            return f"Auto has not heard a slope yet: its first step is {first:g} long in every coordinate"
        longer = 50 * (1 + seen["lean"])
        state = (f"kept by {seen['heard']:.0f} slopes since, of which {longer:.0f} % of late asked for a longer one"
                 if seen["downs"] >= 2 else "still growing, for no slope has turned twice")  # fmt: skip
        return (f"Auto moves by cautious Adam, {found:.2g} long in every coordinate, found from {first:g} and {state}; "
                "it returns the average of the last ninth of its points")  # fmt: skip
