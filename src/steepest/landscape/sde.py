"""SAM and its kin as stochastic differential equations, run beside the algorithms on the same noise.

A stochastic differential equation says what a method does on average when its steps are short: which loss it descends
and which noise it adds.  Here the equation of a method is written down for any loss, followed by small steps, and
compared with the method itself; both are moved by one noise, so their difference shows with few paths.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

Function = Callable[[Tensor], Tensor]
METHODS = ("SGD", "USAM", "DNSAM", "SAM")


class SharpnessSDE:
    r"""A method of the SAM family, and its equation.

    .. math::
        \text{algorithm:}\quad & x \leftarrow x - \eta\, \nabla f_\gamma(x + \rho\, u_\gamma),\quad
            \nabla f_\gamma = \nabla f + Z,\quad Z \sim N(0, \Sigma) \\
        \text{equation:}\quad & dX = -\bigl(\nabla f + \rho\, \nabla^2 f\; \mathbb{E}\, u_\gamma\bigr)\, dt
            + \sqrt{\eta}\, \bigl(\Sigma^{1/2} + \rho\, \nabla^2 f\; \mathbb{E}\, u_\gamma \xi^\top\bigr)\, dW,\quad
            Z = \Sigma^{1/2} \xi

    ========= ============================= ==============================================
    method    u, the way of the ascent      the loss that the drift descends
    ========= ============================= ==============================================
    ``SGD``   0                             f
    ``USAM``  ∇f_γ                          f + ρ/2 E‖∇f_γ‖²
    ``DNSAM`` ∇f_γ / ‖∇f‖, 0 where ∇f = 0   f + ρ ‖∇f‖
    ``SAM``   ∇f_γ / ‖∇f_γ‖                 f + ρ E‖∇f_γ‖
    ========= ============================= ==============================================

    With ρ of the order of √η or smaller the equation gives means at a fixed time up to an error of the order of η.  As
    named methods: USAM is ``steepest.FGR(strength=ρ, ascent=ρ)``, SAM is ``steepest.SAM(rho=ρ)``; DNSAM divides by the
    length of a gradient without noise, which no training loop has.

    >>> model = SharpnessSDE(lambda x: (x[0] ** 2 - x[1] ** 2) / 2, torch.zeros(2, 2), "SAM", rho=0.5)
    >>> drift, _ = model.coefficients(torch.tensor([[0.03, 0.04]]))
    >>> drift  # towards the saddle, for ρ is larger than the distance to it
    tensor([[-0.3300, -0.3600]], dtype=torch.float64)

    Args:
        f: the loss of one point, a vector, as a number; torch.func must be able to differentiate it twice.
        covariance: Σ of the gradient's noise, which does not depend on x.
        method: one of the four.
        rho: ρ, in units of x; of x over the gradient for USAM.

    Raises:
        ValueError: an unknown method, a negative ρ, or a Σ that is no covariance.

    Source: Monzio Compagnoni et al. 2023, arXiv:2301.08203, by the equations in public research code for it.

    Note: the paper was read in its first pages only, so its theorems have no numbers here.  Expectations are exact here
    and drawn there: E u for SAM is an integral of Gaussian functions, and E u ξᵀ its derivative.  Where noise does not
    depend on x the paper's Σ + ρ (Σ̃ + Σ̃ᵀ), with Σ̃ = Cov(∇f_γ, ∇²f u), is the square of the matrix above up to ρ²; this
    one is never indefinite.  What that code calls SAM is DNSAM, and its "true" SAM is SAM; its noise grows with the step
    of the integrator, which is right only when that step is η.
    """

    def __init__(self, f: Function, covariance: Tensor, method: str = "SAM", rho: float = 0.05) -> None:
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
        if not 0 <= rho < math.inf:
            raise ValueError(f"rho must lie in [0, inf), got {rho!r}")
        S = torch.as_tensor(covariance).detach().double()
        if S.dim() != 2 or S.shape[0] != S.shape[1] or not torch.equal(S, S.T):
            raise ValueError(f"covariance must be a symmetric matrix, got {tuple(S.shape)}: make it (S + S.T) / 2")
        values, self.axes = torch.linalg.eigh(S)
        if not bool((values >= -1e-12 * values.abs().max()).all()):  # NaN, too
            raise ValueError(f"covariance must have no negative eigenvalues, got {values.tolist()}")
        self.method, self.rho, self.variances = method, 0.0 if method == "SGD" else float(rho), values.clamp(min=0.0)
        self.root: Tensor = self.axes * self.variances.sqrt() @ self.axes.T
        self.f, self.gradient, self.hessian = vmap(f), vmap(grad(f)), vmap(jacrev(grad(f)))

    def __repr__(self) -> str:
        return f"SharpnessSDE({self.method}, rho={self.rho:g}, {len(self.variances)} coordinates)"

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Drift (n, d) and diffusion without its √η (n, d, d), at n points (n, d)."""
        x = x.double()
        g = self.gradient(x)
        if self.rho == 0:
            return -g, self.root.expand(len(x), -1, -1)
        u, slope = self._ascent(g)
        H = self.rho * self.hessian(x)
        return -(g + (H @ u[..., None])[..., 0]), self.root + H @ slope

    def step(self, x: Tensor, xi: Tensor, eta: float) -> Tensor:
        """One step of the algorithm from n points, where Z = Σ^(1/2) ξ; the noise is the same in both evaluations."""
        x, z = x.double(), xi.double() @ self.root
        g = self.gradient(x)
        u = g + z
        if self.method != "USAM":
            u = u * _inverse((g if self.method == "DNSAM" else u).norm(dim=1, keepdim=True))
        there: Tensor = self.gradient(x + self.rho * u)
        return x - eta * (there + z)

    def _ascent(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """E u and E u ξᵀ."""
        if self.method == "USAM":
            return g, self.root.expand(len(g), -1, -1)
        if self.method == "DNSAM" or not bool(self.variances.any()):
            scale = _inverse(g.norm(dim=1, keepdim=True))
            return g * scale, self.root * scale[..., None]
        mean, slope = _unit_mean(g @ self.axes, self.variances)
        return mean @ self.axes.T, self.axes @ slope @ self.axes.T @ self.root


def _inverse(length: Tensor) -> Tensor:
    """1 / length, and 0 for nothing."""
    return torch.where(length > 0, 1 / length.clamp(min=torch.finfo(length.dtype).tiny), 0.0)


def _unit_mean(g: Tensor, variances: Tensor, nodes: int = 48) -> tuple[Tensor, Tensor]:
    """E v/‖v‖ for v ~ N(g, diag σ²), and its derivative by g.

    1/‖v‖ is 2/√π times the integral of exp(-s²‖v‖²) over s > 0; the mean of v exp(-s²‖v‖²) has a closed form; s = a tan φ.
    By Stein's lemma the derivative times Σ^(1/2) is E u ξᵀ.
    """
    t, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(nodes))
    phi, w = (t + 1) * (math.pi / 4), w * (math.pi / 4) * (2 / math.sqrt(math.pi))
    sin2, cos2 = phi.sin().square(), phi.cos().square()
    size = (g * g).sum(1) + 2 * variances.sum()
    a2 = 1 / torch.where(size > 0, size, 1.0)[:, None, None]  # (n, nodes, d)
    D = cos2[:, None] + 2 * a2 * sin2[:, None] * variances
    h = g[:, None] / D
    log = -(a2 * sin2[:, None] * g[:, None] * h).sum(2) + (cos2[:, None] / D).log().sum(2) / 2
    c = w * a2[..., 0].sqrt() * log.exp()
    slope = -2 * torch.einsum("nj,nja,njb->nab", c * a2[..., 0] * sin2, h, h)
    slope.diagonal(dim1=1, dim2=2).add_((c[..., None] / D).sum(1))
    return (c[..., None] * h).sum(1), slope


@dataclass(frozen=True)
class Paths:
    """Where the algorithm and its equation are at the end, path by path on the same noise.

    Args:
        algorithm: (paths, d).
        equation: (paths, d).
    """

    algorithm: Tensor
    equation: Tensor


def simulate(model: SharpnessSDE, x0: Tensor, eta: float, time: float, paths: int = 1000, substeps: int = 8, seed: int = 0,
             algorithm: SharpnessSDE | None = None) -> Paths:  # fmt: skip
    """Follow the algorithm for time / η steps, and its equation by Euler and Maruyama for as long.

    The noise of a step of the algorithm is the sum of the equation's over the same time.

    >>> bowl = SharpnessSDE(lambda x: (x * x).sum() / 2, torch.eye(2), "USAM", rho=0.1)
    >>> ends = simulate(bowl, torch.ones(2), eta=0.01, time=1.0, paths=2)
    >>> bool((ends.algorithm - ends.equation).abs().max() < 0.02)
    True

    Args:
        model: whose equation.
        x0: where all paths begin.
        eta: η, the learning rate.
        time: how long; a multiple of η.
        paths: how many.
        substeps: steps of the integrator in one η.
        seed: of the noise.
        algorithm: whose algorithm, if it is not the model's own.

    Raises:
        ValueError: a time that is no multiple of η, or nothing to do.
    """
    steps = round(time / eta) if eta > 0 and math.isfinite(time) else 0
    if steps < 1 or not math.isclose(steps * eta, time, rel_tol=1e-9):
        raise ValueError(f"time must be a multiple of eta, at least one, got {time!r} with eta = {eta!r}")
    if paths < 1 or substeps < 1:
        raise ValueError(f"paths and substeps must be at least 1, got {paths!r} and {substeps!r}")
    generator = torch.Generator().manual_seed(seed)
    own, dt = algorithm or model, eta / substeps
    x = X = x0.detach().double().expand(paths, -1)
    for _ in range(steps):
        total = torch.zeros_like(x)
        for _ in range(substeps):
            xi = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            drift, diffusion = model.coefficients(X)
            X = X + dt * drift - math.sqrt(eta * dt) * (diffusion @ xi[..., None])[..., 0]
            total += xi
        x = own.step(x, total / math.sqrt(substeps), eta)
    return Paths(x, X)


@dataclass(frozen=True)
class WeakError:
    """How far a mean under the equation is from the mean under the algorithm.

    Args:
        value: E φ(algorithm) - E φ(equation), with its sign.
        error: its standard error over the paths.
        paths: how many there were.
    """

    value: float
    error: float
    paths: int


def weak_error(model: SharpnessSDE, x0: Tensor, eta: float, time: float, paths: int = 1000, substeps: int = 8,
               seed: int = 0, algorithm: SharpnessSDE | None = None, test: Function | None = None) -> WeakError:  # fmt: skip
    """The error of the equation in the mean of φ at a time.

    Args:
        model: whose equation.
        x0: where all paths begin.
        eta: η, the learning rate.
        time: when; a multiple of η.
        paths: how many, at least two.
        substeps: steps of the integrator in one η; its own error is of the order of η over these.
        seed: of the noise.
        algorithm: whose algorithm, if it is not the model's own.
        test: φ, of points (n, d), as numbers (n,); default: the model's f.

    Raises:
        ValueError: as :func:`simulate`, or a single path.
    """
    if paths < 2:
        raise ValueError(f"a standard error needs at least two paths, got {paths!r}")
    ends = simulate(model, x0, eta, time, paths, substeps, seed, algorithm)
    phi = test or model.f
    apart = phi(ends.algorithm) - phi(ends.equation)
    return WeakError(float(apart.mean()), float(apart.std() / math.sqrt(paths)), paths)
