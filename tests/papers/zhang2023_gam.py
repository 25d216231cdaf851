"""GAM (Zhang et al. 2023, arXiv:2303.03108): first-order flatness."""

from __future__ import annotations

from tests.oracle.equations import Path, Rates, dot, to_radius
from tests.oracle.problems import Problem, Vector
from tests.rows import MOVE, RADIUS, TERMS, Row, Setting

CONTRACT = {
    "GAM": Setting({"lr": 0.05, "rho": 0.1, "ascent": 0.05, "tilt": 0.1, "weight_decay": 0.1}, whole=RADIUS),
}


def gam(f: Problem, x: Vector, etas: Rates, rho: float = 0.2, rho_prime: float = 0.02, alpha: float = 0.6,
        beta: float = 0.5, gamma: float = 0.03, mu: float = 0.0, lam: float = 0.0, code: bool = False) -> Path:  # fmt: skip
    """arXiv:2303.03108, Appendix D; the authors' code has another m."""
    buf = 0 * x
    for t, eta in enumerate(etas, 1):
        g0 = f.grad(x, t)
        g1 = f.grad(x + to_radius(g0, g0, rho_prime), t)
        z = x + to_radius(g1 - g0, g1 - g0, rho)
        g2 = f.grad(z, t)
        g3 = f.grad(z + to_radius(g2, g2, rho_prime), t)
        n, m = alpha * g1 + (1 - alpha) * g3, (1.0 if code else beta) * g0 + (1 - beta) * g2
        if n.any():
            vertical = m - dot(m, n) / dot(n, n) * n
            n = n - gamma * vertical
        buf = mu * buf + n + lam * x
        x = x - eta * buf
        yield x


ORACLE = [
    Row("GAM", gam, {"rho": 0.4, "ascent": 0.1, "tilt": 0.3, **MOVE},
        {"rho": 0.4, "rho_prime": 0.1, "gamma": 0.3, **TERMS}),
    Row("GAM", gam, {"alpha": 0.3, "blend": 0.1, "tilt": 0.1, "momentum": 0.0},
        {"alpha": 0.3, "beta": 0.1, "gamma": 0.1}),
    Row("GAM", gam, {"alpha": 0.3, "blend": 0.1, "tilt": 0.1, "momentum": 0.0, "whole": True},
        {"alpha": 0.3, "beta": 0.1, "gamma": 0.1, "code": True}),
]  # fmt: skip
