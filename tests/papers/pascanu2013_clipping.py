"""Clipping by norm (Pascanu et al. 2013, arXiv:1211.5063, Algorithm 1)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

import steepest
from steepest import oracle
from tests.oracle.equations import Moments, Path, Rates, dot
from tests.oracle.problems import Linear, Problem, Vector
from tests.rows import Hand, Row


def clipped_sgd(params: Any, threshold: float = 1.0, **options: Any) -> steepest.Optimizer:
    """SGD with momentum over clipped gradients."""
    return steepest.SGD(params, oracle=oracle.ClipNorm(threshold), **options)


def clipped_adam(params: Any, threshold: float = 1.0, **options: Any) -> steepest.Optimizer:
    """Adam over clipped gradients."""
    return steepest.Adam(params, oracle=oracle.ClipNorm(threshold), **options)


def clipping(f: Problem, x: Vector, etas: Rates, threshold: float = 1.0, mu: float = 0.0, eps: float = 0.0) -> Path:
    """Algorithm 1, then momentum; or Adam, where ε is given."""
    adam, buf = Moments(0.9, 0.999, eps), 0 * x
    for t, eta in enumerate(etas, 1):
        g = f.grad(x, t)
        size = math.sqrt(dot(g, g))
        if size > threshold:
            g = g * threshold / size
        buf = mu * buf + g
        x = x - eta * (adam(g) if eps else buf)
        yield x


ORACLE = [
    Row(clipped_sgd, clipping, {"threshold": 0.15, "momentum": 0.8}, {"threshold": 0.15, "mu": 0.8}),
    Row(clipped_adam, clipping, {"threshold": 0.1, "eps": 0.1}, {"threshold": 0.1, "eps": 0.1}),
]
HANDS = [
    # 5 is cut to 1, ½ is not
    Hand("clipped SGD", clipped_sgd, {}, clipping, {}, Linear([0, 0], [3, -4], [0.3, 0.4]), [0.1, 0.2],
         [(-0.06, 0.08), (-0.12, 0.0)]),
]  # fmt: skip


def test_tensors_are_clipped_by_one_factor_as_torch_does() -> None:
    """And what torch's function leaves in p.grad is left there; its 1e-6 aside."""
    ps = [
        nn.Parameter(torch.tensor([3.0], dtype=torch.float64)),
        nn.Parameter(torch.tensor([4.0, 12.0], dtype=torch.float64)),
    ]
    qs = [nn.Parameter(p.detach().clone()) for p in ps]
    opt = steepest.SGD(ps, lr=0.1, oracle=oracle.ClipNorm(2.0))
    opt.step(lambda: sum((p * p).sum() / 2 for p in ps))
    sum((q * q).sum() / 2 for q in qs).backward()  # type: ignore[union-attr]
    assert float(nn.utils.clip_grad_norm_(qs, 2.0)) == pytest.approx(13.0)
    for p, q in zip(ps, qs, strict=True):
        assert p.grad is not None and q.grad is not None
        assert torch.allclose(p.grad, q.grad, rtol=1e-6) and torch.allclose(p, q - 0.1 * q.grad, rtol=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_clipped_but_left_out(bad: float) -> None:
    x = nn.Parameter(torch.tensor([1.0, 2.0]))
    opt = steepest.SGD([x], lr=0.1, oracle=oracle.ClipNorm(1.0), nonfinite="skip")
    with pytest.warns(UserWarning, match="step skipped"):
        opt.step(lambda: (x * bad).sum())
    assert x.tolist() == [1.0, 2.0] and opt.counters.skipped == 1


def test_it_clips_what_another_oracle_brings() -> None:
    x = nn.Parameter(torch.ones(4, dtype=torch.float64))
    inner = oracle.AffineNoise(additive=100.0)
    opt = steepest.SGD([x], lr=1.0, oracle=oracle.ClipNorm(1.0, inner=inner))
    opt.step(lambda: (x * x).sum())
    assert torch.linalg.vector_norm(x.detach() - 1).item() == pytest.approx(1.0)


def test_gradients_that_are_made_again_are_clipped_too() -> None:
    """Zeroth-order methods keep a seed in the place of a gradient."""
    x = nn.Parameter(torch.full((5,), 3.0, dtype=torch.float64))
    opt = steepest.Optimizer([x], lr=1.0, oracle=oracle.ClipNorm(0.5, inner=oracle.TwoPoint()))
    opt.step(lambda: (x * x).sum())
    assert torch.linalg.vector_norm(x.detach() - 3).item() == pytest.approx(0.5)
