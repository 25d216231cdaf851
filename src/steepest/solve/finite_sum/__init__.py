"""Solvers for means over many samples, which look at few of them in a step."""

from steepest.solve.finite_sum.model_based import ConvexComposite, ModelBased, Walk, model_based, model_step
from steepest.solve.finite_sum.svrg import SVRG

__all__ = ["SVRG", "ConvexComposite", "ModelBased", "Walk", "model_based", "model_step"]
