"""Newton's method: whole for a handful of unknowns, by conjugate gradients for many."""

from steepest.solve.inner.newton import newton
from steepest.solve.newton.newton_cg import NewtonCG
from steepest.solve.newton.sania import SANIANewton

__all__ = ["NewtonCG", "SANIANewton", "newton"]
