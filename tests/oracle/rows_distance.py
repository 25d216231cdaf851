"""Rows of the oracle: step sizes from distances and sums of gradients, and averages."""

from __future__ import annotations

from typing import Any

import steepest
from steepest import direction as D
from steepest import geometry, oracle, point, stepsize
from tests.oracle import papers_distance as papers
from tests.oracle.problems import Linear
from tests.rows import Row

FACTOR = 1.6  # on the table's problem one step of two dozen is left out


def averaged_dog(params: Any, **options: Any) -> steepest.Optimizer:
    """What the paper of DoG evaluates."""
    return steepest.DoG(params, point=point.Average(), **options)


def averaged_tdog(params: Any, **options: Any) -> steepest.Optimizer:
    """Taming and averaging, with no guard."""
    return steepest.TDoG(params, point=point.Average(), oracle=oracle.Oracle(), **options)


def averaged_sam(params: Any, **options: Any) -> steepest.Optimizer:
    """The plain mean of SAM's points."""
    return steepest.Optimizer(params, point=point.Average(point.SAM(rho=0.3), gamma=0), **options)


def averaged_optimism(params: Any, **options: Any) -> steepest.Optimizer:
    """An average around a point that is a map."""
    return steepest.Optimizer(params, point=point.Average(point.Optimistic(), gamma=3), **options)


def layerwise_d_adapt(params: Any, **options: Any) -> steepest.Optimizer:
    """An estimate of the distance for each tensor."""
    return steepest.Optimizer(params, direction=D.Direction(), step_size=stepsize.DAdaptSGD(d0=0.1, per="tensor"),
                              **options)  # fmt: skip


def long_auto(params: Any, **options: Any) -> steepest.Optimizer:
    """From a usual step that is much too long, and whatever length a gradient has."""
    opt = steepest.Auto(params, oracle=oracle.Oracle(), **options)
    opt.param_groups[0]["usual"] = 6.0
    return opt


def relative(params: Any, **options: Any) -> steepest.Optimizer:
    """Gradient descent in units of each tensor's size."""
    return steepest.Optimizer(params, geometry=geometry.Relative(weight_decay=0.3), **options)


def skipping(params: Any, factor: float, **options: Any) -> steepest.Optimizer:
    """Gradient descent that leaves out what is longer than usual, by little."""
    spikes = oracle.SkipSpikes(factor=factor, window=5, listen=1)
    return steepest.Optimizer(params, oracle=spikes, **options)


ROWS: list[Row] = [
    Row(skipping, papers.skipping, {"factor": FACTOR}, {"factor": FACTOR, "window": 5}),
    Row(relative, papers.relative, {}, {"lam": 0.3}),
    Row("Auto", papers.auto, {"codec": "float32"}, lr=1.0),
    Row("Auto", papers.auto, {"codec": "float32"}, {"averages": True}, lr=0.7, returned=True),
    Row(long_auto, papers.auto, {"codec": "float32"}, {"usual": 6.0}, lr=1.0),
    Row("LDoG", papers.layerwise_dog, {"reps_rel": 1e-2, "weight_decay": 0.1}, {"reps": 1e-2, "lam": 0.1}, lr=1.0),
    Row("AdaGradNorm", papers.adagrad_norm, {"b0": 0.2, "weight_decay": 0.1}, {"b0": 0.2, "lam": 0.1}, lr=0.5),
    Row("AdaGradNorm", papers.adagrad_norm, {"per": "tensor"}, {"alone": True}, lr=0.5),
    Row(averaged_dog, papers.averaged_dog, {"reps_rel": 1e-2}, {"reps": 1e-2, "gamma": 8}, lr=1.0, returned=True),
    Row(averaged_sam, papers.averaged_sam, {}, {"rho": 0.3}, returned=True),
    Row(averaged_optimism, papers.averaged_optimism, returned=True),
    Row("TDoG", papers.tamed_dog, {"reps_rel": 0.1, "delta": 0.05, "steps": 24, "weight_decay": 0.1},
        {"reps": 0.1, "T": 24, "delta": 0.05, "lam": 0.1}, lr=500.0),
    Row("TDoG", papers.tamed_dog, {"reps_rel": 1.0, "steps": 30, "bound": 3.0},
        {"reps": 1.0, "T": 30, "delta": 0.01, "L": 3.0}, lr=300.0),
    Row(averaged_tdog, papers.averaged_tamed_dog, {"reps_rel": 1.0}, {"reps": 1.0, "gamma": 8}, lr=300.0, returned=True),
    Row("UDoG", papers.u_dog, {"reps_rel": 1e-2}, {"reps": 1e-2}, lr=1.0),
    Row("UDoG", papers.u_dog, {"reps_rel": 0.1}, {"reps": 0.1}, lr=0.5, returned=True),
    Row("ADoG", papers.a_dog, {"reps_rel": 1e-2}, {"reps": 1e-2}, lr=1.0),
    Row("DAdaptDual", papers.d_adapt_dual, {"d0": 1e-2, "weight_decay": 0.1}, {"d0": 1e-2, "lam": 0.1}, lr=1.0),
    Row("DAdaptDual", papers.d_adapt_dual, {"d0": 0.1, "bound": "norms", "G0": 0.5}, {"d0": 0.1, "inner": False, "G": 0.5},
        lr=0.7),
    Row("DAdaptDual", papers.d_adapt_dual, {"d0": 0.1, "bound": "norms"}, {"d0": 0.1, "inner": False}, lr=1.0),
    Row("DAdaptAdaGrad", papers.d_adapt_adagrad, {"d0": 1e-2, "weight_decay": 0.1}, {"d0": 1e-2, "lam": 0.1}, lr=1.0),
    Row("DAdaptAdaGrad", papers.d_adapt_adagrad, {"d0": 0.1, "bound": "norms"}, {"d0": 0.1, "inner": False}, lr=1.0),
    Row("DAdaptAdaGrad", papers.d_adapt_adagrad, {"d0": 0.1, "bound": "norms", "initial_accumulator_value": 0.2},
        {"d0": 0.1, "inner": False, "v0": 0.2}, lr=0.7),
    Row("DAdaptAdaGrad", papers.d_adapt_adagrad, {"d0": 1e-2, "per": "tensor"}, {"d0": 1e-2, "alone": True}, lr=1.0),
    Row(layerwise_d_adapt, papers.grouped_d_adapt_sgd, {}, {"d0": 0.1}, lr=1.0),
]  # fmt: skip

EDGES: list[Row] = [
    Row("AdaGradNorm", papers.adagrad_norm, {"b0": 0.0}, {"b0": 0.0}, lr=0.5, on=Linear([1.0], [0.0], [2.0])),  # 0/0
    Row("LDoG", papers.layerwise_dog, {"reps_rel": 0.5, "G0": 0.0}, {"reps": 0.5, "eps": 1e-300}, lr=1.0),
]
