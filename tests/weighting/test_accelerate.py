"""Samplers under Accelerate, whose loader looks a batch ahead; `.ci/trainers` has it, other environments need not."""

from __future__ import annotations

from typing import Any

import pytest
from torch.utils.data import DataLoader

from steepest.weighting import Shuffled

accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed: run .ci/trainers")


def test_resumes_to_the_sample_through_a_prepared_loader() -> None:
    accelerator = accelerate.Accelerator(cpu=True)

    def made(state: Any = None) -> tuple[Shuffled, Any]:
        order = Shuffled(23, seed=3)
        if state is not None:
            order.load_state_dict(state)
        return order, accelerator.prepare(DataLoader(range(23), batch_size=4, sampler=order))  # type: ignore[arg-type]

    order, loader = made()
    whole = [batch.tolist() for _ in range(2) for batch in order.counting(loader)]
    order, loader = made()
    seen: list[Any] = []
    for batch in order.counting(loader):
        seen.append(batch.tolist())
        if len(seen) == 2:
            break
    order, loader = made(order.state_dict())
    while len(seen) < len(whole):
        seen += [batch.tolist() for batch in order.counting(loader)]
    assert seen == whole
