"""The rows of the contract: a small setting for each named method, and the exceptions, each with its reason.

A method without a row is an error: whoever adds one says here how to run it on a model of sixty weights.  An exception
is run like everything else and must fail, so that one which is no longer needed is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import steepest


@dataclass(frozen=True)
class Row:
    """How a method is run in small, and what is particular about it.

    Args:
        small: arguments of the constructor.
        steps: enough of them to descend.
        whole: why parameters are not independent of each other, if they are not.
        shaped: why a tensor's shape matters beyond its elements, if it does.
        counts: how many moves one step counts.
    """

    small: Mapping[str, Any]
    steps: int = 20
    whole: str = ""
    shaped: str = ""
    counts: int = 1


def _row(steps: int = 20, whole: str = "", shaped: str = "", counts: int = 1, **small: Any) -> Row:
    return Row(small, steps, whole, shaped, counts)


_SUM = "one step size from sums over all tensors"
_LOSS = "one step size from the loss and sums over all tensors"
_PLAIN = "the plain step is right or wrong for all tensors together"
_RADIUS = "the radius is a norm over all tensors"

ROWS: dict[str, Row] = {
    "ADoG": _row(reps_rel=1e-2, whole=_SUM),
    "ADOPT": _row(lr=0.03, weight_decay=0.1),
    "AMSGrad": _row(lr=0.03, weight_decay=0.1),
    "ASAM": _row(lr=0.05, rho=0.1, weight_decay=0.1, whole=_RADIUS),
    "AdaBelief": _row(lr=0.03, weight_decay=0.1),
    "AdaGrad": _row(lr=0.2, weight_decay=0.1, lr_decay=0.01, initial_accumulator_value=0.1),
    "AdaGradNorm": _row(lr=0.3, weight_decay=0.1, whole=_SUM),
    "AdaGradSQR": _row(eps=1e-3, whole=_LOSS),
    "Adam": _row(lr=0.03, weight_decay=0.1),
    "AdamSQR": _row(decay=0.9, eps=1e-3, whole=_LOSS),
    "AdamW": _row(lr=0.03, weight_decay=0.1),
    "Auto": _row(whole=_SUM, codec="float32"),  # its own, bfloat16, is run by the laws of storage
    "BoxBacktracking": _row(c0=100.0, whole=_LOSS),
    "BAR": _row(lr=0.03, alpha=0.3, weight_decay=0.1, whole="the halves of a pair are compared"),
    "CAdamW": _row(lr=0.03, weight_decay=0.1),
    "CLion": _row(lr=0.01, weight_decay=0.1),
    "CompressedSGD": _row(lr=0.1, keep=0.3),
    "DAdaptAdam": _row(lr=0.3, d0=1e-3, weight_decay=0.1, whole=_SUM),
    "DAdaptAdaGrad": _row(d0=1e-2, weight_decay=0.1, whole=_SUM),
    "DAdaptDual": _row(d0=1e-2, weight_decay=0.1, whole=_SUM),
    "DAdaptSGD": _row(d0=1e-2, weight_decay=0.1, whole=_SUM),
    "DoG": _row(reps_rel=1e-2, weight_decay=0.1, whole=_SUM),
    "EllipsoidBacktracking": _row(c0=100.0, whole=_LOSS),
    "ExtraAdam": _row(lr=0.03, counts=2),
    "ExtraSGD": _row(lr=0.1, counts=2),
    "FRUGAL": _row(lr=0.02, rank=2, every=3, weight_decay=0.1, shaped="matrices get new coordinates"),
    "FGR": _row(lr=0.03, strength=0.1, ascent=0.1, weight_decay=0.1),
    "FSAM": _row(lr=0.05, rho=0.1, sparsity=0.6, every=3, weight_decay=0.1, whole=_RADIUS),
    "GAM": _row(lr=0.05, rho=0.1, ascent=0.05, tilt=0.1, weight_decay=0.1, whole=_RADIUS),
    "GaLore": _row(lr=0.05, rank=2, every=3, weight_decay=0.1, shaped="matrices get new coordinates"),
    "InfoSAM": _row(lr=0.05, rho=0.1, alpha=0.6, floor=1e-4, weight_decay=0.1, whole=_RADIUS),
    "LDoG": _row(reps_rel=1e-2, weight_decay=0.1),
    "Lion": _row(lr=0.01, weight_decay=0.1),
    "LookaheadAdamW": _row(lr=0.03, k=3, whole="the clock of synchronisation is the group's"),
    "MARS": _row(lr=0.03, weight_decay=0.1),
    "MeZO": _row(lr=0.01, weight_decay=0.1, steps=100, whole="one slope along a direction through all tensors"),
    "NAdam": _row(lr=0.03, weight_decay=0.1),
    "OptimisticAdam": _row(lr=0.02),
    "OptimisticSGD": _row(lr=0.05),
    "PoNoS": _row(whole=_LOSS),
    "PoNoSPrec": _row(eta_max=1.0, c_p=0.5, c=0.5, delta=0.7, eps=0.01, whole=_LOSS),
    "ProjectedSGD": _row(lr=0.1, lower=-0.5, upper=0.5),
    "ProxSGD": _row(lr=0.1, l1=0.01),
    "SAM": _row(lr=0.05, rho=0.1, weight_decay=0.1, whole=_RADIUS),
    "SGD": _row(lr=0.05, momentum=0.9, dampening=0.1, weight_decay=0.1),
    "SLS": _row(eta_max=2.0, batches_per_epoch=5, whole=_LOSS),
    "SMB": _row(lr=5.0, weight_decay=0.01, whole=_PLAIN),
    "SMBi": _row(lr=5.0, weight_decay=0.01, whole=_PLAIN),
    "SPS": _row(eta_max=1.0, growth=1.5, whole=_LOSS),
    "SignSGD": _row(lr=0.01),
    "SimplexSGD": _row(lr=0.1, shaped="rows are on the simplex"),
    "TDoG": _row(lr=1e4, reps_rel=1e-2, bound=5.0, weight_decay=0.1, whole=_SUM),
    "UDoG": _row(reps_rel=1e-2, whole=_SUM, counts=2),
    "VaSSO": _row(lr=0.05, rho=0.1, theta=0.4, weight_decay=0.1, whole=_RADIUS),
}


@dataclass(frozen=True)
class Case:
    """One method as the laws see it; call it with parameters to make the optimizer."""

    name: str
    make: Callable[..., steepest.Optimizer]
    row: Row = field(default_factory=lambda: Row({}))
    closure: bool = False
    forwards: int = 1
    backwards: int = 1
    searches: bool = False
    uses_loss: bool = False
    state_bytes: float | None = None

    def __call__(self, params: Any, **options: Any) -> steepest.Optimizer:
        return self.make(params, **{**self.row.small, **options})


#: trials, as many as it takes
_SEARCHES = ("BoxBacktracking", "EllipsoidBacktracking", "PoNoS", "PoNoSPrec", "SLS")
_POLYAK = ("AdaGradSQR", "AdamSQR", "SPS")


def _case(name: str) -> Case:
    known = steepest.methods[name]
    return Case(name, known.make, ROWS.get(name, Row({})), known.closure, known.forwards, known.backwards,
                name in _SEARCHES, name in (*_SEARCHES, *_POLYAK, "MeZO"), known.state_bytes)  # fmt: skip


CASES: dict[str, Case] = {name: _case(name) for name in sorted(steepest.methods)}


class BAR(steepest.BAR):
    """With the first and the fourth parameter as its pair, the two matrices of most worlds, or with none."""

    def __init__(self, params: Any, **options: Any) -> None:
        params = list(params)
        flat = [p for group in params for p in group["params"]] if isinstance(params[0], dict) else params
        super().__init__(params, pairs=((0, 3),) if len(flat) > 3 else (), **options)


class Choosing(steepest.Optimizer):
    """Lion for matrices, Adam at half the learning rate for the others."""

    def __init__(self, params: Any, lr: float = 0.02, weight_decay: float = 0.1, **options: Any) -> None:
        lion, adam = steepest.direction.Lion(), steepest.direction.Adam()
        chosen = steepest.direction.Choose(by="matrix", then=lion, otherwise=adam, lr_ratio=0.5)
        decay = steepest.geometry.Decay(weight_decay=weight_decay)
        super().__init__(params, lr, direction=chosen, geometry=decay, **options)


class Noisy(steepest.Optimizer):
    """Momentum of gradients with fading noise."""

    def __init__(self, params: Any, lr: float = 0.05, variance: float = 0.01, **options: Any) -> None:
        noise = steepest.direction.AnnealedNoise(steepest.direction.Momentum(), variance=variance)
        super().__init__(params, lr, direction=noise, **options)


CASES["AnnealedNoise"] = Case(
    "AnnealedNoise", Noisy, Row({}, whole="noise is drawn by the parameter's place among all")
)
CASES["Choose"] = Case("Choose", Choosing, Row({}, shaped="matrices have another direction"))
CASES["Auto"] = replace(CASES["Auto"], state_bytes=12.0)  # 8 with its own codec
CASES["BAR"] = replace(CASES["BAR"], make=BAR)

#: law -> method -> why the law does not hold for it
_BLIND = "no gradient says which parameters the loss depends on: all are perturbed, as in the paper"
_ALONG = "its weights are moved once more, along with the average"
_PIECES = "each process compresses its own shard, which keeps as much but not the same"
EXCEPTIONS: dict[str, dict[str, str]] = {
    "without_a_gradient_nothing_moves": {"MeZO": _BLIND},
    "steps_are_counted_per_parameter": {"MeZO": _BLIND, "SMBi": "a step that makes a gradient wait is no move"},
    "every_question_is_counted-plain": {
        "SMB": "a second gradient is asked where the plain step fails, and only there",
        "SMBi": "a second gradient is asked after a plain step that failed, and only there",
    },
    "lr_zero_is_no_move": {
        "ProjectedSGD": "the projection is done whatever lr is",
        "SimplexSGD": "the projection is done whatever lr is",
    },
    "a_group_goes_as_it_would_alone": {"FRUGAL": "random columns are drawn by the parameter's place among all"},
    "a_compiler_is_not_needed": {"SimplexSGD": "rows are sorted, so it is never printed"},
    "lifts_agree": {"SimplexSGD": "rows are sorted, so no lift but the eager one can run it"},
    "auto_is_quiet_and_quick": {"SimplexSGD": "rows are sorted, so there is no printed loop"},
    "guard_lets_nothing_in-gradient-nan-1": {"SignSGD": "the sign of NaN is 0, so there is nothing to guard"},
    "guard_lets_nothing_in-gradient-inf-1": {
        "ProjectedSGD": "infinity is projected to the side of the box, so there is nothing to guard",
        "SignSGD": "the sign of infinity is 1, so there is nothing to guard",
        "SimplexSGD": "minus infinity is projected to 0, so there is nothing to guard",
    },
    "weights_may_be_cast-float64": {"MeZO": "directions for float64 weights are drawn in float64, which are others"},
    "a_scaler_changes_nothing": {"MeZO": "it has no gradients to scale, and step says so when it is given a scaler"},
    "rounding_differs_between_steps_and_tensors": {"FSAM": "its mask is 0 or 1, which every codec keeps exactly"},
    "short_weights_are_rounded_once-bfloat16": {"Auto": _ALONG},
    "short_weights_are_rounded_once-float16": {"Auto": _ALONG},
    "two_processes-fsdp": {"CompressedSGD": _PIECES},
    "two_processes-resumed": {"CompressedSGD": _PIECES},
    "two_processes-spoiled": {"CompressedSGD": _PIECES},
    "propagate_means_what_torch_does": {"SignSGD": "the sign of NaN is 0"},
}

#: law -> method (or "*") -> relative tolerance, and why results are not equal to the bit
_SUMMED = "the loss is summed in another order, and the step is a multiple of the loss"
_PROBED = "rounding of the loss is divided by the radius 1e-3"
_IN_PLACE = "moved in place three times, as in the paper; oracle=TwoPoint(exact=True) is exact"
_AVERAGED = "its first question is asked at an average of the points, as in the paper"
_ROOT = "torch's root (MKL) is off by one unit in the last place for every fifth number, the printed one is exact"
_ROOTS = (
    "ADOPT",
    "AMSGrad",
    "AdaBelief",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Auto",
    "BAR",
    "CAdamW",
    "Choose",
    "DAdaptAdaGrad",
    "DAdaptAdam",
    "ExtraAdam",
    "FRUGAL",
    "GaLore",
    "LookaheadAdamW",
    "NAdam",
    "OptimisticAdam",
    "PoNoSPrec",
)
LOOSE: dict[str, dict[str, tuple[float, str]]] = {
    "micro_batches_add_up": {"*": (1e-5, "the sum over rows is taken in another order"), "MeZO": (1e-3, _PROBED)},
    "lr_zero_is_no_move": {"MeZO": (1e-6, _IN_PLACE)},
    "raise_means_nothing_changed": {"MeZO": (1e-6, _IN_PLACE)},
    "skip_means_it_never_was": {"MeZO": (1e-4, _IN_PLACE + ", which is divided by the radius 1e-3 later")},
    "a_closure_that_raises_changes_nothing": {"MeZO": (1e-6, _IN_PLACE)},
    "the_loss_comes_back": {
        "MeZO": (1e-4, "the mean of the losses on both sides, at distance 1e-3"),
        "UDoG": (1e-2, _AVERAGED),
    },
    "dropout_is_replayed_and_norms_count_once": {
        "MeZO": (1e-2, "its first question is asked at x + radius z"),
        "UDoG": (1e-3, _AVERAGED),
    },
    "lifts_agree": {
        **dict.fromkeys(_ROOTS, (2e-6, _ROOT)),
        "MARS": (2e-6, "eagerly the norm is a float32 sum"),
        **dict.fromkeys(
            ("ADoG", "AdaGradNorm", "DAdaptDual", "DAdaptSGD", "LDoG", "TDoG", "UDoG"),
            (1e-6, "float64 sums over pieces of another length"),
        ),
        "DoG": (1e-6, "float64 sums over pieces of another length"),
    },
    "two_processes": {"MeZO": (2e-3, _PROBED)},
    "tensors_may_be_changed_by_hand-relay": {
        "*": (1e-5, "matrices laid out otherwise are multiplied in another order"),
        "MeZO": (2e-3, _PROBED),
    },
    "strides_change_nothing": {
        "BoxBacktracking": (1e-5, _SUMMED),
        "EllipsoidBacktracking": (1e-5, _SUMMED),
        "MeZO": (1e-3, _PROBED),
        **dict.fromkeys((*_POLYAK, "PoNoS", "PoNoSPrec"), (1e-5, _SUMMED)),
    },
}
