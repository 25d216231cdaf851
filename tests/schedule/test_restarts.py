"""Warm restarts: torch's schedule is the paper's, and snapshots are what stood at the ends of cycles."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts

import steepest
from steepest.schedule import Snapshots


@pytest.mark.parametrize("growth", [1, 2, 3])
@pytest.mark.parametrize("floor", [0.0, 0.02])
def test_torchs_schedule_is_the_papers(growth: int, floor: float) -> None:
    """η = η_min + ½(η_max − η_min)(1 + cos(π T_cur/T_i)), T_cur from 0, T_i times T_mult at each restart."""
    opt = steepest.SGD([nn.Parameter(torch.ones(1))], lr=0.3)
    schedule = CosineAnnealingWarmRestarts(opt, T_0=4, T_mult=growth, eta_min=floor)
    cur, length = 0, 4
    for _ in range(60):
        assert opt.param_groups[0]["lr"] == pytest.approx(
            floor + 0.5 * (0.3 - floor) * (1 + math.cos(math.pi * cur / length))
        )
        opt.step()
        schedule.step()
        cur += 1
        if cur == length:
            cur, length = 0, length * growth


def training() -> tuple[nn.Module, Any, Any, Snapshots]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    opt = steepest.SGD(model.parameters(), lr=0.3)
    schedule = CosineAnnealingWarmRestarts(opt, T_0=2, T_mult=2)
    return model, opt, schedule, Snapshots(model, schedule, keep=2)


def test_the_last_cycles_are_kept_and_resumed() -> None:
    model, opt, schedule, snapshots = training()
    x, ends, known = torch.randn(8, 3), [], []
    for t in range(1, 15):
        opt.step(lambda: model(x).logsumexp(1).mean())
        schedule.step()
        if snapshots.step():
            ends.append(t)
            known.append({k: v.clone() for k, v in model.state_dict().items()})
    assert ends == [2, 6, 14]
    assert len(snapshots.weights) == 2
    for kept, value in zip(snapshots.weights, known[1:], strict=True):
        assert kept.keys() == value.keys()
        assert all(torch.equal(kept[k], value[k]) for k in value)
    model.eval()
    here = {k: v.clone() for k, v in model.state_dict().items()}
    mean = snapshots.predict(x)
    parts = []
    for weights in snapshots.weights:
        model.load_state_dict(weights)
        parts.append(model(x).softmax(1).detach())
    assert torch.allclose(mean, (parts[0] + parts[1]) / 2)
    model.load_state_dict(here)
    file = io.BytesIO()
    torch.save(snapshots.state_dict(), file)
    file.seek(0)
    other = training()[3]
    other.model.eval()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.predict(x), mean)


def test_what_is_wrong_is_said() -> None:
    model, opt, _, snapshots = training()
    with pytest.raises(RuntimeError, match="no cycle has ended"):
        snapshots.predict(torch.ones(1, 3))
    with pytest.raises(TypeError, match="CosineAnnealingWarmRestarts, got CosineAnnealingLR"):
        Snapshots(model, CosineAnnealingLR(opt, 3))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keep"):
        Snapshots(model, training()[2], keep=0)
