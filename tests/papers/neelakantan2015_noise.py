"""Annealed gradient noise (Neelakantan et al. 2015, arXiv:1511.06807): noise whose variance fades."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import steepest
from steepest import direction as D
from steepest.core.draws import drawn
from tests.oracle.equations import Path, Rates
from tests.oracle.problems import Problem, Vector, join
from tests.rows import Row, Setting


class Noisy(steepest.Optimizer):
    """Momentum of gradients with fading noise."""

    def __init__(self, params: Any, lr: float = 0.05, variance: float = 0.01, **options: Any) -> None:
        noise = D.AnnealedNoise(D.Momentum(), variance=variance)
        super().__init__(params, lr, direction=noise, **options)


CONTRACT = {"AnnealedNoise": Setting(make=Noisy, whole="noise is drawn by the parameter's place among all")}


def annealed_noise(f: Problem, x: Vector, etas: Rates, eta: float, gamma: float, beta: float) -> Path:
    """Equation 1, before momentum; random numbers are taken from where the library has them."""
    m = 0 * x
    for t, rate in enumerate(etas):
        starts = enumerate(f.start)
        z = join([drawn(7, "noise", t + 1, i, torch.from_numpy(p)).numpy() for i, p in starts])
        m = beta * m + f.grad(x, t + 1) + np.sqrt(eta / (1 + t) ** gamma) * z
        x = x - rate * m
        yield x


def fading_noise(params: Any, **options: Any) -> steepest.Optimizer:
    """Momentum of gradients with fading noise."""
    noise = D.AnnealedNoise(D.Momentum(momentum=0.8), variance=0.3, decay=0.7, seed=7)
    return steepest.Optimizer(params, direction=noise, **options)


ORACLE = [Row(fading_noise, annealed_noise, terms={"eta": 0.3, "gamma": 0.7, "beta": 0.8})]
