"""Numbers at the end of their type's range: what would be stored as infinity is left alone, and lengths do not overflow."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import steepest


@pytest.mark.parametrize("lift", ["eager", "auto"])
@pytest.mark.parametrize(("dtype", "last"), [(torch.float16, 65504.0), (torch.bfloat16, 3.3895313892515355e38),
                                             (torch.float32, 3.4028234663852886e38)])  # fmt: skip
def test_the_guard_looks_at_what_is_stored(dtype: torch.dtype, last: float, lift: str) -> None:
    """A move that only the storage type makes infinite stops its element, and it alone; it is counted."""
    x = nn.Parameter(torch.tensor([last, -last, 1.0, last], dtype=dtype))
    opt = steepest.SGD([x], lr=1.0, lift=lift)
    x.grad = torch.tensor([-last / 100, last / 100, -1.0, last / 2], dtype=dtype)
    with pytest.warns(UserWarning, match="2 elements were left as they are"):
        opt.step()
    assert torch.equal(x.detach(), torch.tensor([last, -last, 2.0, last / 2], dtype=dtype))
    assert opt.counters.skipped == 1


def test_a_move_that_is_rounded_to_the_largest_number_is_made() -> None:
    """65519 is stored as 65504, 65520 would be infinite."""
    x = nn.Parameter(torch.tensor([65472.0, 65472.0], dtype=torch.float16))
    opt = steepest.SGD([x], lr=1.0)
    x.grad = torch.tensor([-47.0, -48.0], dtype=torch.float16)
    with pytest.warns(UserWarning, match="1 elements"):
        opt.step()
    assert x.tolist() == [65504.0, 65472.0]
