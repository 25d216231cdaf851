"""What applications compute, against their equations in numpy; float32 and float64; nothing global; bad input."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from steepest.applications import generative, online, rl


def seeded(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---- generative: a ratio of means -----------------------------------------------------------------------------------


def test_meco_follows_its_equations() -> None:
    """u, the gradient by the paper's formula, and the value, over four steps with f = -(x - θ)²/2."""
    g, u, state = seeded(0), 0.0, dict[str, Tensor]()
    for step in range(4):
        x, noise = g.normal(2, 1, 6), g.normal(0, 3, 5)
        log_q = -(noise**2) / 18 - math.log(3 * math.sqrt(2 * math.pi))
        theta = torch.tensor(0.3 * step, dtype=torch.float64, requires_grad=True)
        weights = np.exp(-((noise - 0.3 * step) ** 2) / 2 - log_q)
        u = weights.mean() if step == 0 else 0.8 * u + 0.2 * weights.mean()
        loss, state = generative.meco(
            (-(torch.tensor(x) - theta).square() / 2, -(torch.tensor(noise) - theta).square() / 2), torch.tensor(log_q),
            state, rate=0.2,
        )  # fmt: skip
        slope = -np.mean(x - 0.3 * step) + np.mean(weights * (noise - 0.3 * step)) / u
        assert float(torch.autograd.grad(loss, theta)[0]) == pytest.approx(slope, rel=1e-12)
        assert float(state["log_u"]) == pytest.approx(math.log(u), rel=1e-12)
        assert float(loss.detach()) == pytest.approx(np.mean((x - 0.3 * step) ** 2) / 2 + math.log(u), rel=1e-12)


def test_meco_with_rate_one_is_the_loss_of_the_batch() -> None:
    """And its gradient is right by finite differences, whatever was before."""
    f = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    q = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    state = {"log_u": torch.tensor(5.0, dtype=torch.float64)}

    def loss(f: Tensor) -> Tensor:
        return generative.meco((f[:3], f[3:]), q, state, rate=1.0)[0]

    assert torch.autograd.gradcheck(loss, (f,))
    want = -f[:3].mean() + torch.logsumexp(f[3:] - q, 0) - math.log(4)
    assert torch.allclose(loss(f), want)


def test_meco_keeps_to_the_contract_of_losses() -> None:
    """Pure, resumed from a file to the bit, float32 as float64, no stream moved, no overflow, one graph."""

    def steps(
        count: int, state: dict[str, Tensor], dtype: torch.dtype, first: int = 0
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        found = []
        for k in range(first, first + count):
            draw = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(k)).to(dtype)
            loss, state = generative.meco((draw[:3], draw[3:6]), draw[6:], state)
            found.append(loss)
        return found, state

    stream = torch.get_rng_state()
    whole, end = steps(6, {}, torch.float32)
    first, middle = steps(3, {}, torch.float32)
    file = io.BytesIO()
    torch.save(middle, file)
    file.seek(0)
    second, again = steps(3, torch.load(file, weights_only=True), torch.float32, 3)
    assert all(map(torch.equal, whole, first + second))
    assert torch.equal(end["log_u"], again["log_u"])
    assert torch.equal(stream, torch.get_rng_state())
    assert all(
        torch.allclose(a.double(), b, rtol=1e-5) for a, b in zip(whole, steps(6, {}, torch.float64)[0], strict=True)
    )
    far = torch.tensor([500.0, 2000.0], requires_grad=True)
    loss, _ = generative.meco((far[:1], far[1:]), torch.zeros(1), {"log_u": torch.tensor(1999.0)})
    assert torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, far)[0]).all()
    compiled = torch.compile(generative.meco, backend="aot_eager", fullgraph=True)
    given = (torch.ones(3), torch.zeros(4)), torch.ones(4), {"log_u": torch.tensor(0.5)}
    assert torch.allclose(compiled(*given)[0], generative.meco(*given)[0])


# ---- online: the barrier ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e6])
def test_the_barrier_satisfies_its_optimality(dtype: torch.dtype, size: float) -> None:
    """Positive, sums to 1, and p_a = 1/(η(L_a + μ)) with one μ; in batches as alone."""
    losses = size * torch.randn(3, 10, dtype=dtype, generator=torch.Generator().manual_seed(2))
    p = online.log_barrier(losses, rate=0.05)
    eps = torch.finfo(dtype).eps
    assert (p > 0).all()
    assert torch.allclose(p.sum(-1), torch.ones(3, dtype=dtype), rtol=20 * eps)
    mu = 1 / (0.05 * p.double()) - losses.double()
    assert float((mu - mu[:, :1]).abs().max()) <= 1e4 * eps * (1 + 20 * float(losses.abs().max()))
    assert all(
        torch.allclose(online.log_barrier(one, rate=0.05), row, rtol=100 * eps)
        for one, row in zip(losses, p, strict=True)
    )


def test_the_barrier_beats_every_other_point() -> None:
    """Of ten thousand points of the simplex none has a smaller value."""
    losses = np.array([0.3, -4.0, 1.0, 0.0])
    p = online.log_barrier(torch.tensor(losses), rate=0.5).numpy()
    others = seeded(3).dirichlet([1, 1, 1, 1], 10_000) * 0.999 + 0.00025
    value = others @ losses - 2 * np.log(others).sum(1)
    assert p @ losses - 2 * np.log(p).sum() <= value.min()


# ---- reinforcement learning: pessimism --------------------------------------------------------------------------------


def test_lower_bounds_by_hand() -> None:
    found = rl.lower_bounds(
        torch.tensor([0.5, 0.9, math.nan], dtype=torch.float64), torch.tensor([16, 1, 0]), level=4.0
    )
    assert found.tolist() == [0.0, 0.9 - 2.0, -2.0]


def test_pessimistic_values_by_hand() -> None:
    """Three states in numpy, by iteration with loops; without pessimism the known optimum."""
    g, gamma = seeded(5), 0.8
    rewards, moves = g.random((3, 2)), g.integers(0, 9, (3, 2, 3))
    moves[2, 1] = 0  # never tried
    for level in (0.0, 0.05):
        v = np.zeros(3)
        for _ in range(400):
            q = np.zeros((3, 2))
            for s in range(3):
                for a in range(2):
                    n = moves[s, a].sum()
                    bonus = math.sqrt(level / max(n, 1)) / (1 - gamma)
                    q[s, a] = max(0, (rewards[s, a] if n else 0) - bonus + gamma * moves[s, a] @ v / max(n, 1))
            v = q.max(1)
        values, best = rl.pessimistic_values(torch.tensor(rewards), torch.tensor(moves), gamma, level)
        assert np.allclose(values.numpy(), v, rtol=1e-12)
        assert best.tolist() == q.argmax(1).tolist()


@pytest.mark.parametrize(("call", "words"), [
    (lambda: generative.meco((torch.ones(2), torch.ones(3)), torch.ones(2), {}), r"\(2,\), \(3,\) and \(2,\)"),
    (lambda: generative.meco((torch.ones(2), torch.ones(0)), torch.ones(0), {}), "m > 0"),
    (lambda: generative.meco((torch.ones(2), torch.ones(2)), torch.ones(2), {}, rate=0.0), "rate must lie in"),
    (lambda: online.log_barrier(torch.ones(3), rate=0.0), "rate must be positive, got 0.0"),
    (lambda: online.log_barrier(torch.tensor([math.inf, 0.0]), rate=1.0), "losses must be finite"),
    (lambda: online.log_barrier(torch.ones(0), rate=1.0), "at least one"),
    (lambda: rl.lower_bounds(torch.ones(3), torch.ones(2), 1.0), "must have one shape"),
    (lambda: rl.lower_bounds(torch.ones(2), torch.tensor([1, -1]), 1.0), "must not be negative"),
    (lambda: rl.pessimistic_values(torch.ones(2, 2), torch.ones(2, 2, 3), 0.9, 1.0), r"shape \(2, 2, 2\)"),
    (lambda: rl.pessimistic_values(torch.ones(2, 2), torch.ones(2, 2, 2), 1.0, 1.0), r"discount lie in \[0, 1\)"),
])  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)
