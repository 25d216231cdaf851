"""What is seen of a step from outside: the learning rates it begins with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from steepest.core.rate import MULTIPLIES, Course

Step = TypeVar("Step", bound=Callable[..., Any])


def observed(step: Step) -> Step:
    """A step whose learning rates are looked at where they multiply what the method finds."""

    @functools.wraps(step)
    def stepping(self: Any, closure: Any = None, **named: Any) -> Any:
        if self.step_size.reads_lr == MULTIPLIES:
            if self._course is None:
                self._course = Course(resumed=any(group["t"] for group in self.param_groups))
            self._course.look(self)
        return step(self, closure, **named)

    return stepping  # type: ignore[return-value]
