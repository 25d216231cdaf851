"""Checkpoints that the state of 2026-11-29 wrote load today and lead where they led then.

``version_0_1.json`` was written by that version: for each method, and for some under each codec, what the optimizer had saved
after four steps of a small net, the weights then, and the weights three steps later.  Methods that have come since have no
line in it; nobody writes it again.  GAM says ``whole=True`` there, which was its only form.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import steepest

SAVED: dict[str, Any] = json.loads((Path(__file__).parent / "version_0_1.json").read_text("utf-8"))

#: what was corrected since, so that what is loaded goes on, and not to the same weights
CHANGED = {"Auto": "decay under its average acts where the gradient is evaluated, as in the paper of Schedule-Free"}


def read(value: Any) -> Any:
    """A value of a state dict, as JSON has it."""
    if isinstance(value, list):
        return [read(v) for v in value]
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {read(k): read(v) for k, v in value["dict"]}
    if "tuple" in value:
        return tuple(read(v) for v in value["tuple"])
    if "float" in value:
        return float(value["float"])
    raw = bytearray(base64.b64decode(value["bytes"]))
    dtype = getattr(torch, value["dtype"])
    return (
        torch.frombuffer(raw, dtype=dtype).reshape(value["shape"]) if raw else torch.empty(value["shape"], dtype=dtype)
    )


def data() -> tuple[Tensor, Tensor]:
    """Seven batches."""
    random = torch.Generator().manual_seed(1)
    return torch.randn(7, 12, 4, generator=random), torch.randn(7, 12, 3, generator=random)


@pytest.mark.filterwarnings("ignore:.*find:UserWarning")
@pytest.mark.parametrize("key", SAVED)
def test_an_old_checkpoint_goes_on(key: str) -> None:
    """The same weights as that version had, up to the rounding of another order of sums."""
    name, codec = key.split()
    saved, (x, y) = SAVED[key], data()
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    for p, w in zip(model.parameters(), saved["weights"], strict=True):
        p.data = read(w)
    opt = steepest.create(name, model.parameters(), codec=codec, **saved["small"])
    opt.load_state_dict(read(saved["state"]))
    for rows, wanted in zip(x[4:], y[4:], strict=True):
        opt.step(lambda rows=rows, wanted=wanted: (model(rows) - wanted).square().mean())  # type: ignore[misc]
    for p, w in zip(model.parameters(), saved["after"], strict=True):
        assert torch.isfinite(p).all()
        if name not in CHANGED:
            assert torch.allclose(p, read(w), rtol=2e-5, atol=2e-6)
