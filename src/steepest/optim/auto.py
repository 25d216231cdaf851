"""One method for whatever has a gradient, without a number to choose."""

from __future__ import annotations

from typing import Any, Unpack

from steepest import direction as D
from steepest import geometry, oracle, point, stepsize
from steepest.core.optimizer import Optimizer
from steepest.core.options import Common
from steepest.optim.registry import method


@method("stepsize", state_bytes=8.0, space={})
class Auto(Optimizer):
    r"""Cautious Adam that measures noise, curvature and decay while it runs and returns an average: nothing to choose.

    Every part is the library's own to take apart:

    - direction: Adam with β = (0.5, 0.95) under a mask of caution;
    - step size: **measured**, from how far gradients confirm each other, and from the slopes where steps end
      (:class:`steepest.stepsize.Slope`);
    - decay: **measured**, from whether gradients want the weights smaller or larger: between 0.075 and 0.4
      (:class:`steepest.stepsize.FadingSlope`);
    - geometry: steps and decay in units of each tensor's size (:class:`steepest.geometry.Relative`);
    - point: gradients are evaluated 0.6 of the way from the walking point to the average that is returned, whose weights
      grow as t² (:class:`steepest.point.ScheduleFree`): no schedule, and no end to be known;
    - oracle: a batch whose gradient is ten times as long as usual is left out (:class:`steepest.oracle.SkipSpikes`).

    The moments are kept in bfloat16 and the average in float32, which together take the eight bytes a parameter of AdamW's
    state.  It needs no closure and no more evaluations than AdamW.

    Evaluate, and save for use, inside ``with opt.averaged():``.  Schedulers are not needed; they work as on every method.

    Args:
        params: parameters or groups; ``weight_decay`` may be set per group (0 for biases and norms, say).
        lr: multiplies the step that was found, for schedulers; 1.
        options: see :class:`steepest.Optimizer`; ``codec="float32"`` keeps the moments exactly.

    Source: this library's own.  How it was chosen, and what was tried and left out, is on the page "Auto".

    Example:
        >>> import torch, steepest
        >>> x = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
        >>> opt = steepest.Auto([x])
        >>> for _ in range(120):
        ...     _ = opt.step(lambda: (x * x).sum())
        >>> with opt.averaged():
        ...     bool(x.abs().max() < 0.1)
        True
    """

    def __init__(self, params: Any, lr: float = 1.0, **options: Unpack[Common]) -> None:
        inner = D.Cautious(D.Adam(beta1=0.5, beta2=0.95), scale="mean")
        own: Common = {"codec": "bfloat16", "oracle": oracle.SkipSpikes(listen=1), **options}
        super().__init__(params, lr, direction=inner, step_size=stepsize.FadingSlope(),
                         geometry=geometry.Relative(weight_decay=0.2), point=point.ScheduleFree(gamma=2, power=0, pull=0.6),
                         **own)  # fmt: skip

    def explain(self) -> str:
        """One line: the numbers of :meth:`metrics` in words, what was chosen and what it was chosen from.

        >>> import torch
        >>> Auto([torch.nn.Parameter(torch.zeros(2))]).explain()
        "Auto has not compared two gradients yet: its first step is 0.0006 of the root of a tensor's size"
        """
        seen = {**self.param_groups[0], **self.metrics()}
        if not seen["heard"]:
            return (f"Auto has not compared two gradients yet: its first step is {seen['usual'] / 100:.2g} "
                    "of the root of a tensor's size")  # fmt: skip
        agree = seen["most"] if seen["heard"] >= stepsize.slope.LISTENS else seen["agree"]
        noise = "little noise" if seen["signal"] == 1 else "much noise" if seen["signal"] < 0.4 else "some noise"
        state = (f"{seen['turns']:.0f} turns of the slope since" if seen["up"] else
                 f"still on its way up, {seen['slips']:.0f} slopes against it")  # fmt: skip
        return (f"Auto moves by cautious Adam, {seen['found']:.2g} of the root of a tensor's size: gradients agree by "
                f"{agree:.2f} ({noise}), which makes {seen['usual'] * seen['signal']:.2g} usual, and {state}; "
                f"decay is {seen['weight_decay'] * seen['fade']:.2g}, where gradients want weights "
                f"{'smaller' if seen['fade'] > 1 else 'larger'} than {seen['weight_decay']:.2g} leaves them; "
                "it returns the average of its points, late ones more")  # fmt: skip
