"""Solvers: problems with a structure, and loops of their own that use it."""

from steepest.solve.modelbased import Walk, model_based, model_step

__all__ = ["Walk", "model_based", "model_step"]
