"""Diagnostics: what limits this training run.  Each tool evaluates a loss over parameters and counts what that cost."""

from steepest.landscape.batch import BatchEdge
from steepest.landscape.density import Density, spectral_density
from steepest.landscape.lanczos import Eigenvalues, bottom_eigenvalues, edges, top_eigenvalues
from steepest.landscape.loss import Loss
from steepest.landscape.moreau import Stationarity, moreau_stationarity
from steepest.landscape.noise import Noise, noise_scale
from steepest.landscape.operator import Operator
from steepest.landscape.sde import Paths, SharpnessSDE, WeakError, simulate, weak_error
from steepest.landscape.sharpness import Along, Balance, Sharpness, balancedness, directional_sharpness, sam_sharpness
from steepest.landscape.trace import Estimate, hutchinson_trace, hutchpp_trace

__all__ = [
    "Along",
    "Balance",
    "BatchEdge",
    "Density",
    "Eigenvalues",
    "Estimate",
    "Loss",
    "Noise",
    "Operator",
    "Paths",
    "Sharpness",
    "SharpnessSDE",
    "Stationarity",
    "WeakError",
    "balancedness",
    "bottom_eigenvalues",
    "directional_sharpness",
    "edges",
    "hutchinson_trace",
    "hutchpp_trace",
    "moreau_stationarity",
    "noise_scale",
    "sam_sharpness",
    "simulate",
    "spectral_density",
    "top_eigenvalues",
    "weak_error",
]
