"""Saddle points, games and variational inequalities, and solvers for them."""

from steepest.solve.saddle.competitive import CompetitiveGradient
from steepest.solve.saddle.extragradient import Extragradient
from steepest.solve.saddle.halpern import Halpern
from steepest.solve.saddle.problem import Game, Saddle, VariationalInequality
from steepest.solve.saddle.proximal_point import ProximalPoint
from steepest.solve.saddle.separated import AdaOptDAPlus, OGPlus, OptDAPlus
from steepest.solve.saddle.single_call import SingleCall

__all__ = [
    "AdaOptDAPlus",
    "CompetitiveGradient",
    "Extragradient",
    "Game",
    "Halpern",
    "OGPlus",
    "OptDAPlus",
    "ProximalPoint",
    "Saddle",
    "SingleCall",
    "VariationalInequality",
]
