"""BAR: what happens to a pair, by hand; when nothing happens; with whom it goes; and adapters in two processes."""

from __future__ import annotations

import copy
import datetime
import io
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

import steepest
from steepest.engine import shard
from steepest.nn import LoRALinear, adapters, add_lora, pairs
from tests.laws.common import tensor
from tests.processes import leave


def one(x: Any, y: Any, gx: Any, gy: Any, lr: float = 0.1, decay: float = 0.0, **options: Any) -> tuple[Tensor, Tensor]:
    """x and y after one step of BAR over plain gradients."""
    p, q = (nn.Parameter(tensor(v)) for v in (x, y))
    p.grad, q.grad = (None if g is None else tensor(g) for g in (gx, gy))
    geometry = steepest.geometry.Decay(weight_decay=decay) if decay else None
    steepest.Optimizer([p, q], lr=lr, point=steepest.point.BAR([(p, q)], **options), geometry=geometry).step()
    return p.detach(), q.detach()


def test_by_hand() -> None:
    """½(xy - 1)² at (2, 1): g = (1, 2), so x shrinks by αη = 0.05 and y grows, then both move by ηg."""
    x, y = one([2.0], [1.0], [1.0], [2.0])
    assert (float(x), float(y)) == pytest.approx((2 * 0.95 - 0.1, 1.05 - 0.2))


def test_obar_looks_at_the_weights() -> None:
    """The longer factor shrinks, whatever the gradients say."""
    x, y = one([2.0], [1.0], [3.0], [1.0], variant="o")
    assert (float(x), float(y)) == pytest.approx((1.9 - 0.3, 1.05 - 0.1))


def test_the_proportional_rate_is_sams() -> None:
    """At (2, 1), g = (1, 2): σ = (1 - 4) / (√5 · 5), and dB/dt = α(1 - 4)/√5 as theorem 2 has it for SAM."""
    x, y = one([2.0], [1.0], [1.0], [2.0], alpha=0.3, variant="proportional", lr=1e-7)
    sigma = -3 / (5 * 5**0.5)
    assert float(x) == pytest.approx(2 * (1 + 0.3e-7 * sigma) - 1e-7, abs=1e-15)
    assert float(y) == pytest.approx(1 * (1 - 0.3e-7 * sigma) - 2e-7, abs=1e-15)
    rate = (float(x * x - y * y) - 3) / 2 / 1e-7  # the gradients of a product leave B alone: ⟨x, g_x⟩ = ⟨y, g_y⟩
    assert rate == pytest.approx(-0.3 * 3 / 5**0.5, rel=1e-5)


@pytest.mark.parametrize(("start", "g"), [((0.0, 0.0), (1.0, 2.0)), ((2.0, 1.0), (0.0, 0.0)), ((2.0, 1.0), (3.0, 3.0))])
def test_a_proportional_rate_that_is_undefined_or_zero_is_none(start: Any, g: Any) -> None:
    """Factors of zero, no gradient, equally long gradients: the plain step."""
    x, y = one([start[0]], [start[1]], [g[0]], [g[1]], variant="proportional")
    assert (float(x), float(y)) == pytest.approx((start[0] - 0.1 * g[0], start[1] - 0.1 * g[1]))


def test_who_is_first_does_not_matter() -> None:
    x, y = one([2.0, 1.0], [1.0], [1.0, 0.0], [2.0])
    v, u = one([1.0], [2.0, 1.0], [2.0], [1.0, 0.0])
    assert torch.equal(x, u) and torch.equal(y, v)


def test_the_product_stays_but_for_the_square_of_the_rate() -> None:
    """Rescaling alone changes x yᵀ by α²η², and |B| by 2αη(‖x‖² + ‖y‖²)/2."""
    x, y = one([2.0, 1.0], [1.0], [1e-30, 0.0], [2e-30])
    assert torch.allclose(x[:, None] * y, (1 - 0.05**2) * tensor([[2.0], [1.0]]), rtol=1e-12)
    assert float(x @ x - y @ y) == pytest.approx((1 + 0.05**2) * 4 - 2 * 0.05 * 6)


@pytest.mark.parametrize(("gx", "gy"), [(None, [2.0]), ([1.0], None), ([0.0], [0.0]), ([float("nan")], [1.0]),
                                        ([1.0], [float("inf")])])  # fmt: skip
def test_a_pair_with_nothing_to_compare_is_left_alone(gx: Any, gy: Any) -> None:
    """No gradient in a half (it is frozen), none anywhere (an expert nobody asked), or one that is not finite."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        x, y = one([2.0], [1.0], gx, gy)
    for value, start, g in ((x, 2.0, gx), (y, 1.0, gy)):
        moves = g is not None and abs(g[0]) < float("inf")
        assert float(value) == pytest.approx(start - 0.1 * g[0] if moves else start)


def test_other_pairs_go_on() -> None:
    """One pair of three is spoiled; a parameter in no pair takes a plain step."""
    ps = [nn.Parameter(tensor([v])) for v in (2.0, 1.0, 2.0, 1.0, 5.0)]
    for p, g in zip(ps, (1.0, 2.0, float("nan"), 2.0, 1.0), strict=True):
        p.grad = tensor([g])
    opt = steepest.Optimizer(ps, lr=0.1, point=steepest.point.BAR([(0, 1), (2, 3)]))
    with pytest.warns(UserWarning, match="elements were left"):
        opt.step()
    assert torch.cat([*ps]).tolist() == pytest.approx([1.8, 0.85, 2.0, 0.8, 4.9])


def test_no_alpha_is_the_base() -> None:
    a, b = (add_lora(nn.Sequential(nn.Linear(4, 3)).requires_grad_(False), rank=2) for _ in range(2))
    b.load_state_dict(a.state_dict())
    ours = steepest.BAR(a.parameters(), lr=0.1, alpha=0.0, pairs=pairs(a))
    base = steepest.AdamW(b.parameters(), lr=0.1, weight_decay=0.0)
    for _ in range(4):
        for model, opt in ((a, ours), (b, base)):
            opt.step(lambda: model(torch.ones(2, 4)).square().sum())
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def test_decay_comes_beside_it() -> None:
    """The paper multiplies (1 + σαη)(1 - ηλ), we add both: the difference is αη·ηλ."""
    x, _ = one([2.0], [1.0], [1.0], [2.0], decay=0.3)
    assert float(x) == pytest.approx(2 * (1 - 0.05 - 0.03) - 0.1)
    assert float(x) == pytest.approx(2 * (1 - 0.05) * (1 - 0.03) - 0.1, abs=2 * 0.05 * 0.03 * 1.001)


@pytest.mark.parametrize("step_size", [steepest.stepsize.SPS(), steepest.stepsize.DAdaptAdam()])
def test_the_rate_is_the_step_size_that_was_taken(step_size: steepest.stepsize.StepSize) -> None:
    """Whoever chooses η chooses how fast the pair is rescaled; D-Adaptation has η inside d already."""

    def run(alpha: float) -> tuple[Tensor, Tensor]:
        p, q = (nn.Parameter(tensor(v)) for v in ([2.0, 1.0], [0.5]))
        direction = steepest.direction.Adam() if step_size.weighs_gradient else None
        balance = steepest.point.BAR([(p, q)], alpha=alpha)
        opt = steepest.Optimizer([p, q], direction=direction, step_size=copy.deepcopy(step_size), point=balance)
        opt.step(lambda: ((p[:, None] * q) ** 2).sum() / 2)
        return p.detach(), q.detach()

    (x, y), (u, v), start = run(0.0), run(0.3), (tensor([2.0, 1.0]), tensor([0.5]))
    shrinks, grows = (u - x) / start[0], (v - y) / start[1]
    assert torch.allclose(shrinks, -grows[0].expand(2), rtol=1e-6)  # ‖g_x‖ < ‖g_y‖
    assert float(grows) > 0


def test_forward_passes_alone_are_enough() -> None:
    """The gradient may come from anywhere."""
    p, q = (nn.Parameter(tensor(v)) for v in ([2.0, 1.0], [0.5]))
    opt = steepest.Optimizer([p, q], lr=0.0, oracle=steepest.oracle.TwoPoint(), point=steepest.point.BAR([(p, q)]))
    opt.step(lambda: ((p[:, None] * q) ** 2).sum())
    assert {float(opt.state[p]["side"][0]), float(opt.state[q]["side"][0])} == {1.0, -1.0}


# ---- adapters --------------------------------------------------------------------------------------------------------

X = torch.randn(8, 6, generator=torch.Generator().manual_seed(1))


def small() -> nn.Sequential:
    """Two adapted layers."""
    torch.manual_seed(0)
    return add_lora(nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)), rank=2)


def train(model: nn.Module, opt: Any, steps: int, x: Tensor = X) -> None:
    """Towards ones."""
    for t in range(steps):
        opt.zero_grad()
        (model(x) - 1 - 0.1 * t).square().mean().backward()
        opt.step()


def make(model: nn.Module, **options: Any) -> steepest.BAR:
    """BAR on the model's adapters."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return steepest.BAR(trained, lr=0.02, alpha=1.0, pairs=pairs(model), schedule="linear", steps=9, **options)


@pytest.mark.parametrize("how", ["deepcopy", "pickle", "checkpoint", "cleared"])
def test_goes_on_as_if_nothing_had_happened(how: str) -> None:
    model = small()
    opt = make(model)
    train(model, opt, 3)
    if how == "checkpoint":
        twin = small()
        twin.load_state_dict(model.state_dict())
        other = make(twin)
        file = io.BytesIO()
        torch.save(opt.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
    elif how == "cleared":  # both begin anew
        twin, other = copy.deepcopy((model, opt))
        opt.state.clear()
        other.state.clear()
    else:
        twin, other = copy.deepcopy((model, opt)) if how == "deepcopy" else pickle.loads(pickle.dumps((model, opt)))
    train(model, opt, 4)
    train(twin, other, 4)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("codec", ["bfloat16", "int8"])
def test_every_codec_keeps_the_side_exact(codec: str) -> None:
    model = small()
    opt = make(model, codec=codec)
    train(model, opt, 2)
    assert {float(v) for a, b in pairs(model) for p in (a, b) for v in opt.state[p]["side"].unique()} == {1.0, -1.0}


def test_a_scaler_changes_nothing() -> None:
    model, twin = small(), small()
    opt, other, scaler = make(model), make(twin), torch.amp.GradScaler("cpu", init_scale=2.0**10)
    train(model, opt, 4)
    for t in range(4):
        other.zero_grad()
        scaler.scale((twin(X) - 1 - 0.1 * t).square().mean()).backward()
        scaler.step(other)
        scaler.update()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize(("wrong", "what"), [
    ([(0, 1, 2)], "got (0, 1, 2)"), ([(0, 0)], "got (0, 0)"), ([(0, 9)], "4 parameters"), ([(0, 1), (1, 2)], "two pairs"),
    ([(torch.zeros(3), 1)], "a tensor of (3,), 1"), ([(0.0, 1)], "got (0.0, 1)"),
])  # fmt: skip
def test_what_is_no_pair_is_named(wrong: Any, what: str) -> None:
    with pytest.raises(ValueError) as caught:
        steepest.BAR([p for p in small().parameters() if p.requires_grad], pairs=wrong)
    assert what in str(caught.value)


def test_without_pairs_it_says_where_they_come_from() -> None:
    model = small()
    opt = steepest.BAR(model.parameters())
    with pytest.raises(RuntimeError, match=r"steepest\.nn\.pairs"):
        train(model, opt, 1)
    with pytest.raises(ValueError, match="needs steps"):
        steepest.BAR(model.parameters(), pairs=pairs(model), schedule="cosine")


# ---- two processes ---------------------------------------------------------------------------------------------------


def job(rank: int, folder: str) -> None:
    """DDP, and FSDP2 of every layer, on one half of the rows; leaves the adapters."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2,
                            timeout=datetime.timedelta(seconds=60))  # fmt: skip
    replica, shards = small(), small()
    train(wrapped := DistributedDataParallel(replica), make(wrapped), 5, X[4 * rank : 4 * rank + 4])
    mesh = init_device_mesh("cpu", (2,))
    for layer in shards:
        if isinstance(layer, LoRALinear):
            fully_shard(layer, mesh=mesh)
    fully_shard(shards, mesh=mesh)
    train(shards, make(shards), 5, X[4 * rank : 4 * rank + 4])
    found = [adapters(replica), {n: shard.whole(t) for n, t in adapters(shards).items()}]
    if rank == 0:
        torch.save(found, Path(folder) / "found.pt")
    leave()


@pytest.mark.xdist_group("processes")
@pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo")
def test_two_processes_are_one(tmp_path: Path) -> None:
    """Norms are those of whole factors, whoever holds them."""
    model = small()
    train(model, make(model), 5)
    spawn(job, (str(tmp_path),), nprocs=2)
    for found in torch.load(tmp_path / "found.pt"):
        for name, t in adapters(model).items():
            assert torch.allclose(found[name], t, rtol=2e-5, atol=1e-6), name
