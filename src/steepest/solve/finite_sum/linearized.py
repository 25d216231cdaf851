"""The prox-linear step where it has no closed form: c with many numbers, or a regularizer beside it.

The problem is convex and small in its dual, which has one number for each of c's.  There it is a smooth function over a
simple set, so accelerated proximal gradients go: the point is known as soon as the dual is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

#: (v, τ) -> argmin_y r(y) + ‖y - v‖²/2τ
Prox = Callable[[Tensor, float], Tensor]
#: prox of τ h* at u, for h the sum over |c|, max(c, 0) and c²/2
DUAL: dict[str, Callable[[Tensor, float], Tensor]] = {
    "abs": lambda u, tau: u.clamp(-1, 1),
    "hinge": lambda u, tau: u.clamp(0, 1),
    "square": lambda u, tau: u / (1 + tau),
}
ROUNDS = 20_000


def linearized(
    level: Tensor, J: Tensor, x: Tensor, beta: float, outer: str, prox: Prox | None, tol: float = 1e-12
) -> Tensor:
    r"""Minimize :math:`h(\ell + J (y - x)) + r(y) + \frac\beta2 \lVert y - x\rVert^2` over y.

    .. math:: y(\lambda) = \operatorname{prox}_{r/\beta}(x - J^\top\lambda/\beta),\quad
              \lambda \leftarrow \operatorname{prox}_{\tau h^*}\bigl(\mu + \tau(\ell + J(y(\mu) - x))\bigr),\quad
              \tau = \beta/\lVert J\rVert^2

    with μ extrapolated from the last two λ (Nesterov; begun anew where it leads back).

    Args:
        level: ℓ, flat; with J, (numbers of ℓ, elements of x), both float64.
        J: derivative of c.
        x: flat, float64.
        beta: β.
        outer: h, "abs", "hinge" or "square".
        prox: of r, on a flat tensor; None for r = 0.
        tol: relative to the largest of 1 and ‖λ‖, on the length of a step.

    Raises:
        RuntimeError: 20,000 rounds were not enough.
    """

    def point(lam: Tensor) -> Tensor:
        y = x - J.T @ lam / beta
        return y if prox is None else prox(y, 1 / beta)

    steep = float(torch.linalg.matrix_norm(J, 2)) ** 2 if J.numel() else 0.0
    lam = torch.zeros_like(level)
    if steep == 0.0:
        return point(lam)
    tau, momentum, mu = beta / steep, 1.0, lam
    for _ in range(ROUNDS):
        new = DUAL[outer](mu + tau * (level + J @ (point(mu) - x)), tau)
        if float((new - mu).norm()) <= tol * max(1.0, float(new.norm())):
            return point(new)
        back = float((mu - new) @ (new - lam)) > 0
        following = 1.0 if back else (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        mu = new if back else new + (momentum - 1) / following * (new - lam)
        lam, momentum = new, following
    raise RuntimeError(f"the prox-linear step was not found in {ROUNDS} rounds: is prox that of a convex function, and beta "
                       f"({beta:g}) not tiny?")  # fmt: skip
