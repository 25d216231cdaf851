"""Solvers for means over many samples, which look at few of them in a step."""

from steepest.solve.finite_sum.ai_sarah import AISARAH
from steepest.solve.finite_sum.model_based import ConvexComposite, ModelBased, Walk, model_based, model_step
from steepest.solve.finite_sum.page import PAGE
from steepest.solve.finite_sum.saga import SAGA
from steepest.solve.finite_sum.sarah import SARAH
from steepest.solve.finite_sum.shuffled import ShuffledSGD
from steepest.solve.finite_sum.svrg import SVRG

__all__ = [
    "AISARAH",
    "PAGE",
    "SAGA",
    "SARAH",
    "SVRG",
    "ConvexComposite",
    "ModelBased",
    "ShuffledSGD",
    "Walk",
    "model_based",
    "model_step",
]
