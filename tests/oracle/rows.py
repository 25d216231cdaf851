"""The table of the oracle: method, options, and the paper's equations with the same numbers.

A row runs on a small net of four tensors (or a game) under a learning rate that changes at every step, for more than
twenty steps, with weight decay wherever the method has it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import steepest
from steepest import direction as D
from steepest import geometry, oracle, point, stepsize
from tests.collect import listed
from tests.oracle import papers, papers_more, rows_bar, rows_games, rows_search, rows_solve
from tests.oracle.problems import Linear, Quadratic, Trap
from tests.rows import Row


def mars_lion(params: Any, **options: Any) -> steepest.Optimizer:
    """MARS around Lion."""
    return steepest.Optimizer(params, direction=D.Mars(D.Lion(beta1=0.95, beta2=0.99), gamma=0.1), **options)


def mean_cautious_adamw(params: Any, **options: Any) -> steepest.Optimizer:
    """Cautious AdamW with the later scale."""
    inner = D.Cautious(D.Adam(beta1=0.8, beta2=0.9, eps=1e-6), scale="mean")
    return steepest.Optimizer(params, direction=inner, geometry=geometry.Decay(weight_decay=0.1), **options)


def optimistic(params: Any, **options: Any) -> steepest.Optimizer:
    """Optimistic Adam as an assembly."""
    return steepest.Optimizer(params, direction=D.Adam(beta1=0.5, beta2=0.9), point=point.Optimistic(), **options)


def exact_two_point(params: Any, **options: Any) -> steepest.Optimizer:
    """Two-point estimates from a copy of the weights."""
    return steepest.Optimizer(params, oracle=oracle.TwoPoint(radius=0.25, exact=True), **options)


def extra_two_point(params: Any, **options: Any) -> steepest.Optimizer:
    """Extragradient on losses alone."""
    return steepest.Optimizer(params, point=point.ExtraGradient(), oracle=oracle.TwoPoint(radius=0.25), **options)


def sam_on_losses(params: Any, **options: Any) -> steepest.Optimizer:
    """SAM without a backward pass."""
    return steepest.Optimizer(params, point=point.SAM(rho=0.3), oracle=oracle.TwoPoint(radius=0.25), **options)


def schedule_free(params: Any, power: int = 2, gamma: int = 0, **options: Any) -> steepest.Optimizer:
    """Schedule-free SGD with decoupled decay."""
    at = point.ScheduleFree(pull=0.7, power=power, gamma=gamma)
    return steepest.Optimizer(params, point=at, geometry=geometry.Decay(weight_decay=0.3), **options)


def schedule_free_adamw(params: Any, power: int = 2, **options: Any) -> steepest.Optimizer:
    """Schedule-free AdamW."""
    return schedule_free(params, power, direction=D.Adam(beta1=0.0, beta2=0.9, eps=0.01), **options)


def searched(params: Any, by: stepsize.StepSize, **options: Any) -> steepest.Optimizer:
    """A step size along a momentum, which may point uphill."""
    return steepest.Optimizer(params, direction=D.Momentum(momentum=0.9), step_size=by, **options)


LOW = {"rank": 2, "every": 7, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1}
LOW_TERMS = {"rank": 2, "every": 7, "b1": 0.8, "b2": 0.9, "eps": 1e-4, "lam": 0.1}
B = {"b1": 0.8, "b2": 0.9}
UPHILL = Linear([0.0], [1.0], [-0.1], [-0.1], [1.0], constant=8.0)  # m = 1, 0.8, 0.62: against the second and third
SQUARE = Linear(np.zeros((3, 3)), [[1, 2, -3], [0.5, 4, 1], [-2, 0.3, 1]], [[2, -1, 0.2], [1, 1, 3], [0.4, -2, 1]])
SHAPES = Quadratic(range(1, 11), [0.7], [[0.1, 0.9], [-0.2, 0.3]], [[[0.4], [0.2]], [[3.0], [1.0]]], np.array(0.1))
#: rows of an embedding: most gradients are zero, most of the others turn round, and one of them does not
SPARSE = Linear(np.ones(40), *[np.where(np.arange(40) % 3 == k % 3, np.where(np.arange(40) < 3, 1.0, (-1.0) ** (k // 3)),
                                        0.0) for k in range(12)])  # fmt: skip
WIDE = Linear(np.zeros(4000), np.ones(4000), np.r_[1.0, np.full(3999, -0.01)])  # one of 4000 coordinates agrees

ROWS: list[Row] = [
    Row("SGD", papers.sgd, {"weight_decay": 0.1}, {"lam": 0.1}),
    Row("SGD", papers.sgd, {"momentum": 0.8, "weight_decay": 0.1}, {"mu": 0.8, "lam": 0.1}),
    Row("SGD", papers.sgd, {"momentum": 0.8, "dampening": 0.3}, {"mu": 0.8, "damp": 0.3}),
    Row("SGD", papers.sgd, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
        {"mu": 0.8, "nesterov": True, "lam": 0.1}),
    Row("SignSGD", papers.sign_sgd, lr=0.01),
    Row("ProxSGD", papers.prox_sgd, {"l1": 0.3}, {"lam": 0.3}),
    Row("ProjectedSGD", papers.box_sgd, {"lower": -0.6, "upper": 0.9}, {"low": -0.6, "high": 0.9}),
    Row("SimplexSGD", papers.simplex_sgd, lr=1.0),
    Row("Adam", papers.adam, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("AdamW", papers.adam, {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
        {**B, "eps": 1e-3, "decoupled": 0.1}, lr=0.03),
    Row("AMSGrad", papers.amsgrad, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("AMSGrad", papers.amsgrad, {"betas": (0.8, 0.9), "bias_correction": False, "eps": 1e-5},
        {**B, "corrects": False, "eps": 1e-5}, lr=0.03),
    Row("NAdam", papers.nadam, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row("NAdam", papers.nadam, {"betas": (0.9, 0.99), "eps": 1e-3, "momentum_decay": 3.0},
        {"b1": 0.9, "b2": 0.99, "eps": 1e-3, "psi": 3.0}, lr=0.03),  # the momentum rises within the run
    Row("AdaBelief", papers.adabelief, {"betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1},
        {**B, "eps": 1e-4, "lam": 0.1}, lr=0.01),
    Row("CAdamW", papers.cautious_adamw, {"betas": (0.8, 0.9), "weight_decay": 0.1}, {**B, "lam": 0.1}, lr=0.03),
    Row(mean_cautious_adamw, papers.cautious_adamw, {}, {**B, "lam": 0.1, "scale": "mean"}, lr=0.03),
    Row("CLion", papers.cautious_lion, {"weight_decay": 0.1}, {"lam": 0.1}, lr=0.01),
    Row("MARS", papers.mars, {"gamma": 0.2, "weight_decay": 0.1}, {"gamma": 0.2, "lam": 0.1}, lr=0.03),
    Row("MARS", papers.mars, {"clip": False}, {"clip": False}, lr=0.03),
    Row(mars_lion, papers.mars, {}, {"gamma": 0.1, "sign": True}, lr=0.01),
    Row("SAM", papers.sam, {"rho": 0.3, "momentum": 0.8, "weight_decay": 0.1}, {"rho": 0.3, "mu": 0.8, "lam": 0.1}),
    Row("LookaheadAdamW", papers.lookahead_adamw, {"betas": (0.8, 0.9), "alpha": 0.3, "k": 4, "weight_decay": 0.1},
        {**B, "alpha": 0.3, "k": 4, "lam": 0.1}, lr=0.03),
    Row("ExtraSGD", papers.extragradient, game=True),
    Row("ExtraSGD", papers.extragradient, lr=0.3),
    Row("ExtraAdam", papers.extra_adam, {"betas": (0.5, 0.9)}, {"b1": 0.5, "b2": 0.9}, lr=0.03, game=True),
    Row("ExtraAdam", papers.extra_adam, lr=0.03),
    Row("OptimisticSGD", papers.optimistic, game=True),
    Row("OptimisticAdam", papers.optimistic_adam, {"betas": (0.5, 0.9)}, {"b1": 0.5, "b2": 0.9}, lr=0.03, game=True),
    Row(optimistic, papers.optimistic_adam, {}, {"b1": 0.5, "b2": 0.9}, lr=0.03),
    Row("MeZO", papers_more.mezo, {"radius": 0.25, "weight_decay": 0.1}, {"radius": 0.25, "lam": 0.1}, sees=True),
    Row("MeZO", papers_more.mezo, {"radius": 0.25, "directions": 3, "seed": 5}, {"radius": 0.25, "n": 3}, sees=True),
    Row("GaLore", papers_more.low_rank, {**LOW, "scale": 0.5}, {**LOW_TERMS, "kind": "svd", "scale": 0.5}, sees=True),
    Row("GaLore", papers_more.low_rank, {**LOW, "projection": "random"},
        {**LOW_TERMS, "kind": "random", "scale": 0.25}, sees=True),
    Row("FRUGAL", papers_more.low_rank, {**LOW, "rest": 0.3}, {**LOW_TERMS, "kind": "columns", "rest": 0.3},
        lr=0.03, sees=True),
    Row("FRUGAL", papers_more.low_rank, {**LOW, "projection": "svd"}, {**LOW_TERMS, "kind": "svd", "rest": 1.0},
        lr=0.03, sees=True),
    Row("CompressedSGD", papers_more.error_feedback, {"keep": 0.25}, {"keep": 0.25}),
    Row("SPS", papers_more.sps, {"c": 0.6, "f_star": 0.01, "eta_max": 2.0}, {"c": 0.6, "f_star": 0.01, "most": 2.0},
        lr=1.0),
    Row("SPS", papers_more.sps, {"growth": 1.2}, {"tau": 1.2}, lr=0.5),
    Row("SLS", papers_more.sls, {"eta_max": 20.0, "batches_per_epoch": 4}, {"most": 20.0, "batches": 4}, lr=None),
    Row("SLS", papers_more.sls, {"eta_max": 30.0, "reset": "keep", "shrink": 0.7},
        {"most": 30.0, "reset": "keep", "beta": 0.7}, lr=None),
    Row("SLS", papers_more.sls, {"eta_max": 30.0, "reset": "max", "c": 0.6, "lr": 0.5},
        {"most": 30.0, "reset": "max", "c": 0.6}, lr=0.5),
    Row("PoNoS", papers_more.ponos, {"eta_max": 6.0}, {"most": 6.0}, lr=None),
    Row("PoNoS", papers_more.ponos, {"c_p": 0.3, "xi": 0.7, "delta": 0.8, "f_star": 0.05, "eta_max": 6.0},
        {"c_p": 0.3, "xi": 0.7, "delta": 0.8, "f_star": 0.05, "most": 6.0}, lr=1.0),
    Row("PoNoS", papers_more.ponos, {"eta_max": 3.0, "forget": 0.3}, {"most": 3.0, "phi": 0.3}, lr=None),
    Row("PoNoS", papers_more.ponos, {"eta_max": 3.0, "forget": math.inf}, {"most": 3.0, "phi": math.inf}, lr=None),
    Row("PoNoS", papers_more.ponos, {"eta_max": 6.0, "stored": "max"}, {"most": 6.0, "ratchet": True}, lr=None),
    Row("DoG", papers_more.dog, {"reps_rel": 1e-2, "weight_decay": 0.1}, {"reps": 1e-2, "lam": 0.1}, lr=1.0),
    Row("DAdaptSGD", papers_more.d_adapt_sgd, {"d0": 1e-2, "weight_decay": 0.1}, {"d0": 1e-2, "lam": 0.1}, lr=1.0),
    Row("DAdaptSGD", papers_more.d_adapt_sgd, {"d0": 1e-2, "momentum": 0.8, "growth_rate": 1.3, "weight_decay": 0.1},
        {"d0": 1e-2, "beta": 0.8, "most": 1.3, "lam": 0.1}, lr=1.0),
    Row("DAdaptAdam", papers_more.d_adapt_adam, {"betas": (0.8, 0.9), "d0": 1e-2, "growth_rate": 1.1},
        {**B, "d0": 1e-2, "most": 1.1}, lr=1.0),
    Row("DAdaptAdam", papers_more.d_adapt_adam, {"betas": (0.8, 0.9), "d0": 1e-2, "weight_decay": 0.1},
        {**B, "d0": 1e-2, "lam": 0.1}, lr=1.0),
    Row(schedule_free, papers_more.schedule_free, {}, {"beta": 0.7, "lam": 0.3}, returned=True),
    Row(schedule_free, papers_more.schedule_free, {"power": 0}, {"beta": 0.7, "lam": 0.3, "power": 0}, returned=True),
    Row(schedule_free, papers_more.schedule_free, {"gamma": 2}, {"beta": 0.7, "lam": 0.3, "age": 2}, returned=True),
    Row(schedule_free, papers_more.schedule_free, {"power": 0, "gamma": 3},
        {"beta": 0.7, "lam": 0.3, "power": 0, "age": 3}, returned=True),
    Row(schedule_free_adamw, papers_more.schedule_free, {}, {"beta": 0.7, "b2": 0.9, "eps": 0.01, "lam": 0.3},
        returned=True),
]  # fmt: skip
ROWS += rows_search.rows(Row)

#: Corners of the same equations: bounds that bind, shapes that are special, directions that point uphill.
EDGES: list[Row] = [
    Row("SimplexSGD", papers.simplex_sgd, on=SHAPES),
    Row(mean_cautious_adamw, papers.cautious_adamw, {}, {**B, "lam": 0.1, "scale": "mean"}, on=WIDE),
    Row(mean_cautious_adamw, papers.cautious_adamw, {}, {**B, "lam": 0.1, "scale": "mean"}, on=SPARSE),
    Row("CAdamW", papers.cautious_adamw, {"betas": (0.8, 0.9)}, B, on=SPARSE),
    Row("CLion", papers.cautious_lion, on=SPARSE),
    Row("MARS", papers.mars, {"eps": 0.1}, {"eps": 0.1}, on=Quadratic([1, 2, 3], [0.5, 3.0], [0.1])),  # one is clipped
    Row("GaLore", papers_more.low_rank, {**LOW, "rank": 3}, {**LOW_TERMS, "rank": 3, "kind": "svd", "scale": 0.25},
        sees=True),  # of 5 x 3 and 4 x 5 the first is not projected
    Row("GaLore", papers_more.low_rank, {**LOW, "rank": 1}, {**LOW_TERMS, "rank": 1, "kind": "svd", "scale": 0.25},
        sees=True, on=SQUARE),  # on the left
    Row("FRUGAL", papers_more.low_rank, {**LOW, "rank": 1, "projection": "random", "rest": 0.0},
        {**LOW_TERMS, "rank": 1, "kind": "random", "rest": 0.0}, sees=True, on=SQUARE),
    Row(exact_two_point, papers_more.mezo, {}, {"radius": 0.25}, sees=True),
    Row(sam_on_losses, papers_more.sam_on_losses, {}, {"radius": 0.25, "rho": 0.3}, sees=True),
    Row(extra_two_point, papers_more.extra_mezo, {}, {"radius": 0.25}, sees=True),
    Row("SPS", papers_more.sps, {"f_star": 0.4}, {"f_star": 0.4}, lr=1.0),  # some losses are below f*
    Row("SPS", papers_more.sps, {"f_star": 0.4, "growth": 1.5}, {"f_star": 0.4, "tau": 1.5}, lr=1.0),
    Row("SPS", papers_more.sps, {"f_star": 0.4}, {"f_star": 0.4}, lr=1.0, on=Linear([0.0], [1.0], constant=0.4)),
    Row(searched, papers_more.sps, {"by": stepsize.SPS()}, {"mu": 0.9}, lr=None, on=UPHILL),
    Row("SLS", papers_more.sls, {"batches_per_epoch": 1}, {"batches": 1}, lr=None),  # grows into its bound
    Row(searched, papers_more.sls, {"by": stepsize.SLS()}, {"mu": 0.9}, lr=None, on=UPHILL),
    Row("SLS", papers_more.sls, {}, {}, lr=None, on=Trap([1.0], [2.0], constant=50.0)),
    Row("PoNoS", papers_more.ponos, {"delta": 0.9}, {"delta": 0.9}, lr=None, on=Trap([1.0], [2.0], constant=50.0)),
    Row("PoNoS", papers_more.ponos, {"f_star": 0.4}, {"f_star": 0.4}, lr=None),
    Row("PoNoS", papers_more.ponos, {"f_star": 0.4}, {"f_star": 0.4}, lr=None, on=Linear([0.0], [1.0], constant=0.4)),
    Row("PoNoS", papers_more.ponos, {"c_p": 1.0}, {"c_p": 1.0}, lr=None, on=Quadratic([1, 1], [1.0, -2.0])),  # l̄ ≥ 0
    Row(searched, papers_more.ponos, {"by": stepsize.PoNoS()}, {"mu": 0.9}, lr=None, on=UPHILL),
    Row("DoG", papers_more.dog, {"reps_rel": 0.5, "G0": 0.0}, {"reps": 0.5, "eps": 0.0}, lr=1.0,
        on=Linear([1.0, 2.0], [0.0, 0.0], [3.0, 4.0])),  # 0/0 at first
    Row("DAdaptSGD", papers_more.d_adapt_sgd, {"d0": 0.1}, {"d0": 0.1}, lr=1.0),
    Row("DAdaptSGD", papers_more.d_adapt_sgd, {"d0": 0.1}, {"d0": 0.1}, lr=1.0, on=Linear([1.0], [0.0], [2.0])),
]  # fmt: skip

ROWS += [Row(**row) for rows in (rows_solve, rows_bar, rows_games) for row in rows.ROWS]
EDGES += [Row(**row) for rows in (rows_solve, rows_bar) for row in rows.EDGES]
from tests.oracle import rows_distance, rows_flatness  # noqa: E402 -- these need Row

ROWS += rows_distance.ROWS
EDGES += rows_distance.EDGES
ROWS += rows_flatness.ROWS
EDGES += rows_flatness.EDGES
ROWS += listed("ORACLE")
EDGES += listed("EDGES")
