"""Methods that find their own step multiply it by ``lr``: at 1e-3, which suits Adam, they are a thousand times too slow.

Nothing fails then, so there is a warning.  There must be none for a schedule that is right: a warm-up begins near 0 and a decay
ends there.  A schedule of torch's keeps what it multiplies in the group (``initial_lr``), or where it goes (``max_lr``,
``swa_lr``).  Of a rate that is written by hand only its course is known: it has come from 1, or is on its way there.
"""

from __future__ import annotations

import warnings

from steepest.core.driver import Owner

#: what ``lr`` is to a step size: a factor of the step that it finds, or the step itself
MULTIPLIES, IS_THE_STEP = "multiplies", "is the step"
FAR = 20.0  # below 1; OneCycleLR begins at 1/25 of its top, which is known there
PATIENCE, LONGEST = (
    100,
    100_000,
)  # a linear warm-up longer than this many steps is distinguished from a small rate after 100


class Course:
    """What the learning rate of one optimizer has done so far.

    Warned once, if the largest rate of all groups is below 1/20 of the one that the step size is made for, and

    - a schedule says that it goes no higher (``max_lr``, ``swa_lr``), or
    - no schedule of torch's multiplies a rate that is near 1, and
    - it has not been near 1, or fell from there by more than 20 in one step, and
    - it stands still, falls, or rises so slowly that it would take more than 100,000 steps to get there.
    """

    def __init__(self, resumed: bool) -> None:
        self.near, self.last, self.steps, self.warned = resumed, 0.0, 0, False

    def look(self, opt: Owner) -> None:
        """At the rates of the step that begins."""
        usual, groups = opt.step_size.lr, opt.param_groups
        lr = max(float(group["lr"]) for group in groups)
        goes = [max(float(g[n]) for g in groups if n in g) for n in ("max_lr", "swa_lr") if any(n in g for g in groups)]
        if self.warned or lr == 0.0:
            return
        if goes and min(goes) * FAR < usual:
            self.warn(opt, min(goes))
        elif goes or max(lr, *(float(group.get("initial_lr", 0.0)) for group in groups)) * FAR >= usual:
            self.near = True
        elif not self.near or lr * FAR < self.last:
            self.steps = 0 if self.near else self.steps
            rises = self.steps == 0 or lr > self.last
            self.near, self.steps = False, self.steps + 1
            if not rises or (self.steps >= PATIENCE and lr * LONGEST < self.steps * usual):
                self.warn(opt, lr)
        self.last = lr

    def warn(self, opt: Owner, lr: float) -> None:
        """Warn by name, with what to do."""
        self.warned = True
        method = opt.step_size if type(opt).__name__ == "Optimizer" else opt
        warnings.warn(f"{type(method).__name__} finds its step size itself and multiplies it by lr, which is {lr:.3g} and not "
                      f"near {opt.step_size.lr:g}: its steps are so many times too short. Leave lr out, let a schedule be "
                      f"a factor between 0 and {opt.step_size.lr:g} (as LambdaLR has it), and give OneCycleLR and the like "
                      f"max_lr={opt.step_size.lr:g} (warned once)", stacklevel=9)  # fmt: skip
