"""Functions of which only values are known, and solvers with ``ask`` and ``tell``."""

from steepest.solve.black_box.problem import BlackBox
from steepest.solve.black_box.rank import AskTell, RankDescent

__all__ = ["AskTell", "BlackBox", "RankDescent"]
