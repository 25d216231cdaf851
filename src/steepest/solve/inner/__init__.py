"""The pieces that solvers are made of, each once: line searches, L-BFGS, CG, Newton, projections, linear oracles.

Plain functions of tensors and numbers; they know no problem and count nothing.
"""

from steepest.solve.inner.cg import conjugate_gradient
from steepest.solve.inner.lbfgs import dots, two_loop, useful
from steepest.solve.inner.line_search import armijo, first_step, strong_wolfe
from steepest.solve.inner.linear_oracles import (
    lmo_box,
    lmo_l1,
    lmo_l2,
    lmo_nuclear,
    lmo_simplex,
    lmo_spectrahedron,
    lmo_stiefel,
)
from steepest.solve.inner.newton import newton
from steepest.solve.inner.projections import (
    box,
    l1_ball,
    l2_ball,
    nuclear_ball,
    psd,
    simplex,
    soft_threshold,
    spectrahedron,
    stiefel,
    transport,
)

__all__ = [
    "armijo",
    "box",
    "conjugate_gradient",
    "dots",
    "first_step",
    "l1_ball",
    "l2_ball",
    "lmo_box",
    "lmo_l1",
    "lmo_l2",
    "lmo_nuclear",
    "lmo_simplex",
    "lmo_spectrahedron",
    "lmo_stiefel",
    "newton",
    "nuclear_ball",
    "psd",
    "simplex",
    "soft_threshold",
    "spectrahedron",
    "stiefel",
    "strong_wolfe",
    "transport",
    "two_loop",
    "useful",
]
