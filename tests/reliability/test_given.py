"""What people give that is not quite ours: keys of other libraries, numbers of numpy, frozen weights of any type."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import steepest

THEIRS = ("lr_scale", "lr_mult", "layer_decay", "decay_mult", "no_decay", "weight_decay_mult", "lr_factor", "name", "layer_id",
          "bias_decay_mult", "is_bias", "group_name", "fix_step", "wd_mult", "lr0", "initial_momentum")  # fmt: skip


def one() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(2))


@pytest.mark.parametrize("name", sorted(steepest.methods))
def test_keys_of_other_libraries_are_kept(name: str) -> None:
    """As torch.optim keeps them: timm, mmcv, fvcore and YOLO put their own into groups."""
    more: dict[str, Any] = {"pairs": ()} if name == "BAR" else {}
    for key in THEIRS:
        opt = steepest.methods[name].make([{"params": [one()], key: 0.5}], **more)
        assert opt.param_groups[0][key] == 0.5
        assert opt.state_dict()["param_groups"][0][key] == 0.5


@pytest.mark.parametrize("typo", ["weight_deca", "wieght_decay", "weigth_decy", "WeightDecay", "beta", "epss", "LR"])
def test_a_slip_of_the_finger_is_not(typo: str) -> None:
    """One letter in six, capitals and underscores."""
    with pytest.raises(TypeError, match="did you mean"):
        steepest.AdamW([{"params": [one()], typo: 0.5}])


def test_nothing_far_is_suggested() -> None:
    """A keyword of another library gets the list of ours, and no guess."""
    for name in ("use_triton", "decoupled", "warmup_steps", "no_prox"):
        with pytest.raises(TypeError, match=f"has no parameter '{name}' ") as caught:
            steepest.methods["AdamW"].make([one()], **{name: True})  # type: ignore[arg-type]
        assert "did you mean" not in str(caught.value)


class Config(Sequence[Any]):
    """A sequence that is neither list nor tuple, like the ListConfig of Hydra."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, at: Any) -> Any:
        return self.values[at]


@pytest.mark.parametrize(
    "betas", [[0.8, 0.95], Config(0.8, 0.95), np.array([0.8, 0.95]), torch.tensor([0.8, 0.95], dtype=torch.float64)]
)
def test_betas_are_any_sequence_of_two(betas: Any) -> None:
    """In the constructor and in a group, kept as a tuple of plain numbers."""
    for opt in (steepest.AdamW([one()], betas=betas), steepest.AdamW([{"params": [one()], "betas": betas}])):
        kept = opt.param_groups[0]["betas"]
        assert kept == (0.8, 0.95) and type(kept) is tuple and {type(b) for b in kept} == {float}
    opt = steepest.AdamW([one()])
    opt.add_param_group({"params": [one()], "betas": betas})
    assert opt.param_groups[1]["betas"] == (0.8, 0.95)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.array])
def test_numbers_of_numpy_are_plain_afterwards(kind: Any) -> None:
    """Everywhere a number goes: the checkpoint has Python's own, which weights_only lets through."""
    whole = steepest.AdamW([one()], lr=kind(0.5), betas=(kind(0.5), 0.5), eps=kind(0.25), weight_decay=kind(0.125))
    grouped = steepest.AdamW([{"params": [one()], "lr": kind(0.5), "betas": (kind(0.5), kind(0.5)), "eps": kind(0.25),
                               "weight_decay": kind(0.125)}])  # fmt: skip
    parts = steepest.Optimizer([one()], kind(0.5), direction=steepest.direction.Lion(beta1=kind(0.5)))
    for opt in (whole, grouped, parts):
        for value in opt.param_groups[0].values():
            assert not isinstance(value, (np.generic, np.ndarray))
        file = io.BytesIO()
        torch.save(opt.state_dict(), file)
        file.seek(0)
        assert torch.load(file, weights_only=True)["param_groups"][0]["lr"] == 0.5
    assert whole.param_groups[0]["betas"] == grouped.param_groups[0]["betas"] == (0.5, 0.5)
    assert steepest.GaLore([one()], rank=np.int64(2)).chart.rank == 2  # type: ignore[attr-defined, arg-type]


def test_a_wrong_array_is_still_refused() -> None:
    """Two numbers are not a number, and NaN is not in the interval."""
    for wrong in (np.ones(2), np.float64("nan"), np.bool_(True), np.str_("1")):
        with pytest.raises((TypeError, ValueError), match="lr must"):
            steepest.AdamW([one()], lr=wrong)  # type: ignore[arg-type]
    for pair in (np.ones(3), np.ones((2, 1)), {0.9, 0.99}, "ab", b"ab"):
        with pytest.raises(TypeError, match="betas must be a pair"):
            steepest.AdamW([one()], betas=pair)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn])
@pytest.mark.parametrize(
    "name", ["AdamW", "SGD", "Auto", "SAM", "SLS", "MeZO", "UDoG", "ExtraAdam", "SMBi", "GaLore", "DoG"]
)
def test_frozen_weights_of_any_type_are_let_be(name: str, dtype: torch.dtype) -> None:
    """A quantized model's parameters() has integer codes; the others move as if it were not there."""
    ends, codes = [], torch.nn.Parameter(torch.ones(3).to(dtype), requires_grad=False)
    for extra in ([], [codes]):
        x = torch.nn.Parameter(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        opt = steepest.methods[name].make([x, *extra])
        for _ in range(3):
            opt.step(lambda x=x: (x * x).sum())  # type: ignore[misc]
        opt.load_state_dict(opt.state_dict())
        ends.append(x.detach())
    assert torch.equal(*ends)
    assert torch.equal(codes.to(torch.complex64), torch.ones(3, dtype=torch.complex64))


def test_weights_of_such_a_type_cannot_be_trained() -> None:
    """Said when they are given, with the way out, and when they are unfrozen later; nothing is changed."""
    z = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"complex64; optimize it through torch\.view_as_real"):
        steepest.AdamW([z])
    tiny = torch.nn.Parameter(torch.ones(2).to(torch.float8_e5m2))
    opt = steepest.AdamW([one()])
    with pytest.raises(TypeError, match=r"float8_e5m2; freeze it: requires_grad_\(False\)"):
        opt.add_param_group({"params": [tiny]})
    assert len(opt.param_groups) == 1
    z.requires_grad_(False)
    opt = steepest.AdamW([z])
    z.requires_grad_(True)
    z.grad = torch.ones_like(z)
    with pytest.raises(TypeError, match="view_as_real"):
        opt.step()
    assert not opt.state and torch.equal(z.detach(), torch.ones(2, dtype=torch.complex64))
