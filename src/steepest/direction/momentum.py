"""Momentum: a gradient remembers those before it."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

from torch import Tensor

from steepest.core.fields import flag, real
from steepest.core.part import Around, Direction, NewState, Scalars, State


class Momentum(Direction):
    r"""Heavy ball and Nesterov momentum as torch has them.

    .. math:: m \leftarrow \mu m + (1-\tau) g \;(m \leftarrow g \text{ at } t = 1),\quad d = m \text{ or } g + \mu m

    Args:
        momentum: μ, default 0.9.
        dampening: τ, default 0; not applied to the first gradient, nor without momentum.
        nesterov: answer g + μ m, default False.

    Raises:
        ValueError: Nesterov without momentum or with dampening, as in torch.

    Source: Polyak 1964; Nesterov 1983 in the form of Sutskever et al. 2013, as torch.optim.SGD writes them.
    """

    momentum: float = real("[0, 1)", default=0.9)
    dampening: float = real("[0, 1]", default=0.0)
    nesterov: bool = flag(default=False)
    state = {"m": State()}
    cite = ("polyak1964some", "sutskever2013importance")
    torch_names = {"m": "momentum_buffer"}

    def check(self, values: Mapping[str, float]) -> None:
        """Nesterov's form needs a momentum, and no dampening."""
        if self.nesterov and (values["momentum"] <= 0 or values["dampening"] != 0):
            raise ValueError("Momentum: nesterov needs momentum > 0 and dampening 0, got momentum "
                             f"{values['momentum']!r} and dampening {values['dampening']!r}")  # fmt: skip

    def scalars(self, t: int, h: Scalars) -> dict[str, float]:
        """The weight of the new gradient."""
        return {"fresh": 1.0 if t == 1 or h.momentum == 0 else 1 - h.dampening}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = s.m * h.momentum + g * h.fresh
        return (g + m * h.momentum if self.nesterov else m), {"m": m}


class Coupled(Around):
    r"""Weight decay through the gradient: :math:`g + \lambda x` instead of g (an L2 penalty λ‖x‖²/2).

    Args:
        inner: the direction that gets it.
        weight_decay: λ, default 0.
    """

    weight_decay: float = real("[0, inf)", default=0.0)
    reads_x = True

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        return self.apply_inner(g + x * h.weight_decay, x, s, h)


class Decaying(Around):
    r"""Weight decay beside a direction: :math:`d + \lambda x`, for step sizes that measure the whole move.

    Args:
        inner: the direction.
        weight_decay: λ, default 0.
    """

    weight_decay: float = real("[0, inf)", default=0.0)
    reads_x = True

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        d, new = self.apply_inner(g, x, s, h)
        return d + x * h.weight_decay, new


class HeavyBall(Around):
    r"""A fading sum of what another direction answers: :math:`b \leftarrow \mu b + d,\; d' = b`.

    Args:
        inner: the direction.
        momentum: μ, default 0.9.

    Source: Polyak 1964, around a direction as torch.optim.RMSprop and the authors of LARS have it.
    """

    momentum: float = real("[0, 1)", default=0.9)
    state = {"b": State()}
    cite = ("polyak1964some",)
    torch_names = {"b": "momentum_buffer"}

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        d, new = self.apply_inner(g, x, s, h)
        b = s.b * h.momentum + d
        return b, {"b": b, **new}


class SteppedMomentum(Direction):
    r"""A heavy ball of steps: every gradient keeps the step size that it had when it came.

    .. math:: m \leftarrow \mu m + \lambda\, (g + \beta x),\quad x^+ = x - m

    with the weight λ of this gradient, as the step size says.

    Args:
        momentum: μ, default 0.9.
        weight_decay: β, an L2 penalty, default 0.

    Source: You, Gitman & Ginsburg 2017, arXiv:1708.03888, Algorithm 1.
    """

    momentum: float = real("[0, 1)", default=0.9)
    weight_decay: float = real("[0, inf)", default=0.0)
    state = {"m": State()}
    needs = frozenset({"weights of gradients"})
    gives = frozenset({"moment of weighted gradients"})
    reads_x = True
    cite = ("you2017lars",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = s.m * h.momentum + (g + x * h.weight_decay) * h.w
        return m, {"m": m}


class WeightedMomentum(Direction):
    r"""An average of steps: every gradient keeps the step size that it had when it came.

    .. math:: m \leftarrow \beta m + (1 - \beta)\, \lambda\, (g + \mu x),\quad x^+ = x - m

    with the weight λ of this gradient, as the step size says.  It is :math:`x^+ = \beta x + (1 - \beta) z^+` for the point z
    that plain steps from the same start would reach (primal averaging).

    Args:
        momentum: β, default 0.9.
        weight_decay: μ, an L2 penalty, default 0.

    Source: Defazio & Mishchenko 2023, arXiv:2301.07733v1, Algorithm 3.
    """

    momentum: float = real("[0, 1)", default=0.9)
    weight_decay: float = real("[0, inf)", default=0.0)
    state = {"m": State()}
    needs = frozenset({"weights of gradients"})
    gives = frozenset({"moment of weighted gradients"})
    reads_x = True
    cite = ("defazio2023dadaptation",)

    def __call__(self, g: Tensor, x: Tensor, s: SimpleNamespace, h: Scalars) -> tuple[Tensor, NewState]:
        """The map."""
        m = s.m * h.momentum + (g + x * h.weight_decay) * (h.w * (1 - h.momentum))
        return m, {"m": m}
