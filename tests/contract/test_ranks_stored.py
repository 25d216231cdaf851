"""What shards save they load, in as many parts or in others; and they round as one process does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import steepest
from tests.contract import ranks_stored
from tests.contract.law import same

pytestmark = pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch was built without gloo")

#: half a step of three bits of mantissa, of the largest magnitude
HALF_A_STEP = 1 / 32
#: two steps of training after that, or after the largest entries of each part were sent instead of those of the whole
TRAINED = 0.02


def _found(stored: dict[str, Any], task: str) -> list[Tensor]:
    found = stored[task]
    assert not isinstance(found, str), found
    weights: list[Tensor] = found
    return weights


@pytest.mark.parametrize("task", ranks_stored.OWN)
def test_an_optimizer_loads_what_it_saved(stored: dict[str, Any], task: str) -> None:
    """All methods, all codecs: another optimizer has the same state to the bit and can train on."""
    assert all(bool(torch.isfinite(w).all()) for w in _found(stored, task))


@pytest.mark.parametrize("name", ranks_stored.SAVED)
def test_two_processes_load_what_two_saved(stored: dict[str, Any], name: str) -> None:
    """By torch.distributed.checkpoint, trained on to the same bits."""
    assert _found(stored, f"2to2-{name}")


@pytest.mark.parametrize("name", ranks_stored.GATHERED)
def test_a_gathered_or_flattened_checkpoint_is_the_same(stored: dict[str, Any], name: str) -> None:
    """torch's options for state dicts: flattened, gathered on all, gathered on one and handed out."""
    assert _found(stored, f"gathered-{name}")


@pytest.mark.parametrize("way", ["2to1", "1to2"])
@pytest.mark.parametrize("name", ranks_stored.SAVED)
def test_other_parts_hold_the_same_state(stored: dict[str, Any], name: str, way: str) -> None:
    """Full precision and bfloat16 to the bit; bytes, whose blocks are others, to half a step of rounding."""
    found = _found(stored, f"{way}-{name}")
    weights, half = 4, (len(found) - 8) // 2
    before, after = found[:half], found[half : 2 * half]
    kept, moved = found[-2 * weights : -weights], found[-weights:]
    assert half >= (2 if name.startswith("ConEF") else weights)  # two of them are matrices
    assert any(bool(x.any()) for x in before)
    for a, b in zip(after, before, strict=True):
        off = float((a - b).abs().max() / b.abs().max().clamp(min=1e-30))
        assert off <= (HALF_A_STEP if name.endswith("int8") else 0.0)
    for a, b in zip(moved, kept, strict=True):
        exact = name in ("AdamW", "AdamW-bfloat16")
        loose = 0.1 if name.startswith("ConEF") else TRAINED  # other parts send other blocks
        assert float((a - b).abs().max() / b.abs().max()) <= (ranks_stored.ROUNDING if exact else loose)


@pytest.mark.parametrize("task", ranks_stored.ROUNDED)
def test_shards_round_as_one_process(stored: dict[str, Any], task: str) -> None:
    """The same gradients leave the same bits, where a method adds nothing up; else rounding of sums may tip a bit."""
    found = _found(stored, task)
    alone = ranks_stored.ROUNDED[task](None)
    if task.endswith("eager-Auto"):
        same(found, alone, loose=1e-2)
    else:
        same(found, alone)


@pytest.mark.parametrize("name", ranks_stored.HELD)
def test_a_nan_in_one_part_holds_the_whole_back(stored: dict[str, Any], name: str) -> None:
    """Parts of whole-tensor methods are left out together: one process would wait for the other's part for good."""
    assert all(bool(torch.isfinite(w).all()) for w in _found(stored, f"held-{name}"))


def test_bytes_of_shards_are_not_read_as_bytes_of_the_whole() -> None:
    """torch.distributed.checkpoint copies decoded numbers into a plain parameter's bytes: that is said, not trained on."""
    p = torch.nn.Parameter(torch.randn(5, 6))
    opt = steepest.AdamW([p], codec="int8")
    p.grad = torch.ones_like(p)
    opt.step()
    saved = opt.state_dict()
    saved["state"][0]["m.scale"] = torch.full_like(saved["state"][0]["m.scale"], -1.0)
    before = {k: v.clone() for k, v in opt.state[p].items() if isinstance(v, Tensor)}
    with pytest.raises(ValueError, match=r"full_state_dict=True"):
        opt.load_state_dict(saved)
    assert all(torch.equal(opt.state[p][k], v) for k, v in before.items())


def test_a_gathered_checkpoint_of_shards_loads_into_a_plain_parameter() -> None:
    """Decoded numbers, whole, beside the mark that they are decoded."""
    p = torch.nn.Parameter(torch.randn(5, 60))
    opt = steepest.AdamW([p], codec="int8")
    p.grad = torch.randn(5, 60)
    opt.step()
    plain = steepest.AdamW([p], codec="float32")
    plain.load_state_dict(opt.state_dict())
    saved = plain.state_dict()
    for name in ("m.scale", "v.scale"):
        saved["state"][0][name] = torch.full((2,), -1.0)
    other = steepest.AdamW([p], codec="int8")
    other.load_state_dict(saved)
    for name in ("m", "m.scale", "v", "v.scale"):
        assert torch.equal(other.state[p][name], opt.state[p][name])
