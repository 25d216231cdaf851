"""Rows of the oracle for games, noise and a choice of directions: other places and worse answers, with their equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import steepest
from steepest import direction, geometry, oracle, point
from steepest.core.draws import drawn, normal, seed_of
from tests.oracle.papers import Moments, Path, Rates
from tests.oracle.problems import Problem, Vector, join


def two_steps(f: Problem, x: Vector, etas: Rates, a: float) -> Path:
    """arXiv:2210.13831, EG with γ₁ = a γ₂."""
    for t, eta in enumerate(etas, 1):
        x = x - eta * f.grad(x - a * eta * f.grad(x, t), t)
        yield x


def implicit(f: Problem, x: Vector, etas: Rates, K: int, beta: float = 1.0) -> Path:
    """x⁺ = x - γF(y), with y from K rounds of a damped fixed point."""
    for t, eta in enumerate(etas, 1):
        y = x
        for _ in range(K):
            y = (1 - beta) * y + beta * (x - eta * f.grad(y, t))
        x = x - eta * f.grad(y, t)
        yield x


def reflected(f: Problem, x: Vector, etas: Rates) -> Path:
    """arXiv:1908.08465, RG without constraints."""
    before = x
    for t, eta in enumerate(etas, 1):
        x, before = x - eta * f.grad(2 * x - before, t), x
        yield x


def affine_noise(f: Problem, x: Vector, etas: Rates, s0: float, s1: float) -> Path:
    """arXiv:2302.08783: variance s₀² + s₁²‖g‖² in all; random numbers are taken from where the library has them."""
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        z = [
            join([normal(seed_of(7, t, 0, k), i, torch.from_numpy(p)).numpy() for i, p in enumerate(f.start)])
            for k in (0, 1)
        ]
        x = x - eta * (g + (s0 * z[0] + s1 * np.sqrt(g @ g) * z[1]) / np.sqrt(g.size))
        yield x


def noisy(params: Any, **options: Any) -> steepest.Optimizer:
    """Plain descent on a noisy oracle."""
    return steepest.Optimizer(params, oracle=oracle.AffineNoise(additive=0.3, relative=0.6, seed=7), **options)


def annealed_noise(f: Problem, x: Vector, etas: Rates, eta: float, gamma: float, beta: float) -> Path:
    """arXiv:1511.06807, equation 1, before momentum; random numbers are taken from where the library has them."""
    m = 0 * x
    for t, rate in enumerate(etas):
        starts = enumerate(f.start)
        z = join([drawn(7, "noise", t + 1, i, torch.from_numpy(p)).numpy() for i, p in starts])
        m = beta * m + f.grad(x, t + 1) + np.sqrt(eta / (1 + t) ** gamma) * z
        x = x - rate * m
        yield x


def fading_noise(params: Any, **options: Any) -> steepest.Optimizer:
    """Momentum of gradients with fading noise."""
    noise = direction.AnnealedNoise(direction.Momentum(momentum=0.8), variance=0.3, decay=0.7, seed=7)
    return steepest.Optimizer(params, direction=noise, **options)


def lion_and_adam(f: Problem, x: Vector, etas: Rates, r: float, lam: float) -> Path:
    """Lion on matrices and Adam on the rest at r times the learning rate, each with decoupled decay: both, then a choice."""
    matrix = join([np.full(p.shape, p.ndim >= 2) for p in f.start])
    rate, adam, m = matrix + (1 - matrix) * r, Moments(0.9, 0.999, 1e-8), 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        d = matrix * np.sign(0.9 * m + 0.1 * g) + (1 - matrix) * adam(g)
        m = 0.99 * m + 0.01 * g
        x = x - eta * rate * (d + lam * x)
        yield x


def two_directions(params: Any, lr_ratio: float = 1.0, **options: Any) -> steepest.Optimizer:
    """Lion on matrices and Adam on the rest."""
    chosen = direction.Choose(by="matrix", then=direction.Lion(), otherwise=direction.Adam(), lr_ratio=lr_ratio)
    return steepest.Optimizer(params, direction=chosen, geometry=geometry.Decay(weight_decay=0.3), **options)


def proximal_point(params: Any, rounds: int = 10, damping: float = 1.0, **options: Any) -> steepest.Optimizer:
    """The proximal point method."""
    return steepest.Optimizer(params, point=point.ProximalPoint(rounds=rounds, damping=damping), **options)


def reflected_gradient(params: Any, **options: Any) -> steepest.Optimizer:
    """The reflected gradient method."""
    return steepest.Optimizer(params, point=point.Reflected(), **options)


ROWS: list[dict[str, Any]] = [
    {"make": "ExtraSGD", "paper": two_steps, "hyper": {"ahead": 2.5}, "terms": {"a": 2.5}, "game": True},
    {"make": "ExtraSGD", "paper": two_steps, "hyper": {"ahead": 0.4}, "terms": {"a": 0.4}, "lr": 0.3},
    {"make": proximal_point, "paper": implicit, "hyper": {"rounds": 3, "damping": 0.7}, "terms": {"K": 3, "beta": 0.7},
     "game": True},
    {"make": proximal_point, "paper": implicit, "hyper": {"rounds": 2}, "terms": {"K": 2}, "lr": 0.3},
    {"make": reflected_gradient, "paper": reflected, "game": True},
    {"make": reflected_gradient, "paper": reflected, "lr": 0.3},
    {"make": noisy, "paper": affine_noise, "terms": {"s0": 0.3, "s1": 0.6}},
    {"make": fading_noise, "paper": annealed_noise, "terms": {"eta": 0.3, "gamma": 0.7, "beta": 0.8}},
    {"make": two_directions, "paper": lion_and_adam, "hyper": {"lr_ratio": 0.4}, "terms": {"r": 0.4, "lam": 0.3}},
]  # fmt: skip
