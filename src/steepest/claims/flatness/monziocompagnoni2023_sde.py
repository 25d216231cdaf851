"""SAM's equation tells its means up to the learning rate, and says why SAM stays at a saddle.

Equation: gradient descent, SAM and its kin on a bowl with Gaussian noise in the gradients, and the stochastic
differential equation of each, on the same noise; ρ = √η. The error of the mean loss at a fixed time must halve when η
does. The control compares each method with the equation of SGD, which leaves out all that ρ does. Saddle: f = (x² - y²)/2
from a point nearer to 0 than ρ, without noise. SAM and its equation must stay, gradient descent must leave. The control
is ρ = 0, which is gradient descent.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

import steepest
from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.landscape import SharpnessSDE, simulate, weak_error

KIN = ("USAM", "DNSAM", "SAM")
ETAS = (0.1, 0.05, 0.025)
START, SIGMA = torch.tensor([3.0, 3.0]).double(), torch.tensor([[0.5, 0.2], [0.2, 0.4]]).double()
NEAR, ETA, RHOS = torch.tensor([0.02, 0.02]).double(), 0.01, (0.1, 0.5)


def bowl(x: Tensor) -> Tensor:
    """A loss that is twice as steep on one side."""
    return (x[..., 0] ** 2 + x[..., 1] ** 2 / 2) / 2


def saddle(x: Tensor) -> Tensor:
    """The simplest."""
    return (x[..., 0] ** 2 - x[..., 1] ** 2) / 2


def order(fast: bool, control: bool) -> Measured:
    """Errors of the mean loss at time 1 for three learning rates, and their ratios from one to the next."""
    paths, ratios, blurs, curves = (500 if fast else 1_000), [], [], {}
    for name in KIN:
        found = []
        for eta in ETAS:
            ours = SharpnessSDE(bowl, SIGMA, name, rho=eta**0.5)
            equation = SharpnessSDE(bowl, SIGMA, "SGD") if control else ours
            found.append(weak_error(equation, START, eta, 1.0, paths, substeps=4, algorithm=ours))
        values = [abs(e.value) for e in found]
        ratios += [a / b for a, b in pairwise(values)]
        blurs += [e.error / abs(e.value) for e in found]
        curves[name] = (list(ETAS), [values])
    panel = Lines("error of the mean loss at time 1", "η", "error", curves, log="xy")
    return Measured({"ratio_least": min(ratios), "ratio_most": max(ratios), "blur": max(blurs)}, [panel])


def descend(rho: float, steps: int) -> list[float]:
    """Distances from the saddle along a run of SAM; of gradient descent if ρ = 0."""
    x, found = torch.nn.Parameter(NEAR.clone()), []
    opt = steepest.SAM([x], lr=ETA, rho=rho, momentum=0.0)
    for _ in range(steps):
        opt.step(lambda: saddle(x))
        found.append(float(x.detach().norm()))
    return found


def stays(fast: bool, control: bool) -> Measured:
    """Distance from the saddle at the end in units of ρ, for SAM and for its equation."""
    runs, equations, steps = [], [], (1_200 if fast else 2_000)
    for rho in RHOS:
        used = 0.0 if control else rho
        runs.append(descend(used, steps))
        model = SharpnessSDE(saddle, torch.zeros(2, 2), "SAM", used)
        ends = simulate(model, NEAR, ETA, ETA * steps, 1, substeps=2 if fast else 8)  # 1 would be the algorithm itself
        equations.append(float(ends.equation.norm()) / rho)
    plain, at = descend(0.0, steps), list(range(1, steps + 1, 10))
    numbers = {"sam": max(run[-1] / rho for run, rho in zip(runs, RHOS, strict=True)), "equation": max(equations),
               "gd": plain[-1]}  # fmt: skip
    curves = {f"SAM, ρ = {rho:g}": (at, [run[::10]]) for rho, run in zip(RHOS, runs, strict=True)}
    panel = Lines(
        "distance from the saddle", "step", "distance", curves | {"gradient descent": (at, [plain[::10]])}, log="y"
    )
    return Measured(numbers, [panel])


CLAIMS = (
    Claim(
        name="sam-sde-order",
        sentence="The equations of USAM, DNSAM and SAM are approximations in the weak sense, with an error linear in the "
        "learning rate.",
        source=Source("monziocompagnoni2023sde", "abstract"),
        methods=("SharpnessSDE",),
        rows=("001-027",),
        bounds=(
            Bound("ratio_least", ">", 1.6, "error of the mean loss relative to that at half the learning rate, smallest of "
                  "three methods and two halvings"),
            Bound("ratio_most", "<", 2.5, "the same, largest"),
            Bound("blur", "<", 0.1, "standard error of an error relative to it, largest"),
        ),
        experiment=order,
        control="the equation of SGD for all three",
        seeds=1,
        minutes=0.5,
        untested="Noise that depends on x or changes the Hessian; losses that are no bowl; networks. The 1,000 paths share "
        "their noise with the equation, so one seed is enough to tell the error from chance.",
    ),
    Claim(
        name="sam-saddle",
        sentence="SAM is attracted to saddle points under some realistic conditions.",
        source=Source("monziocompagnoni2023sde", "abstract"),
        methods=("SAM",),
        rows=("001-027",),
        bounds=(
            Bound("sam", "<", 2.0, "distance of SAM from the saddle after 2,000 steps in units of ρ, larger of two radii"),
            Bound("equation", "<", 2.0, "the same of its equation"),
            Bound("gd", ">", 1e3, "distance of gradient descent"),
        ),
        experiment=stays,
        control="ρ = 0",
        seeds=1,
        minutes=0.8,
        untested="Saddles of networks; noise; starts further away than ρ, from which SAM leaves, too.",
    ),
)  # fmt: skip
