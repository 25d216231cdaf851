"""The workloads: deterministic, resumable, learnable, and frank about what is missing."""

from __future__ import annotations

import gzip
import math
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from steepest.bench.errors import UsageError
from steepest.bench.problem import Problem, Workload, minibatches
from steepest.bench.workloads import (
    BUILT_IN,
    DEFAULT,
    QUICK,
    docstrings,
    finetune,
    frozen_targets,
    images,
    patches,
    tabular,
)
from steepest.bench.workloads.own import find


def built(workload: Workload, seed: int) -> Problem:
    torch.manual_seed(seed)
    return workload.build(seed)


def test_minibatches_are_a_function_of_the_step() -> None:
    rows = torch.arange(10)
    batch = minibatches((rows, rows * 2), 3, seed=4)
    forward = [batch(k) for k in range(9)]
    again = minibatches((rows, rows * 2), 3, seed=4)
    for k in (8, 0, 5, 2):  # in any order
        assert torch.equal(again(k)[0], forward[k][0])
        assert torch.equal(again(k)[1], 2 * forward[k][0])
    for epoch in range(3):
        seen = torch.cat([x for x, _ in forward[3 * epoch : 3 * epoch + 3]])
        assert len(set(seen.tolist())) == 9  # every row once, one left out
    assert not torch.equal(torch.cat([b[0] for b in forward[:3]]), torch.cat([b[0] for b in forward[3:6]]))
    assert not torch.equal(minibatches((rows,), 3, seed=5)(0)[0], forward[0][0])


#: learning rates of AdamW; what is pretrained would be lost at the rate for networks from scratch
RATES = {"minilm-finetune": 3e-4}


@pytest.mark.parametrize("workload", BUILT_IN.values(), ids=BUILT_IN)
def test_a_built_in_workload_keeps_the_contract(workload: Workload) -> None:
    if reason := workload.reason_to_skip():
        pytest.skip(reason)
    one, same, other = built(workload, 1), built(workload, 1), built(workload, 2)
    for a, b in zip(one.model.parameters(), same.model.parameters(), strict=True):
        assert torch.equal(a, b)
    losses = [p.loss(p.model, p.batch(k)).item() for p, k in ((one, 3), (same, 3), (other, 3))]
    assert losses[0] == losses[1] != losses[2]
    with torch.no_grad():
        start = one.evaluate(one.model.eval())["loss"]
        assert one.evaluate(one.model)["loss"] == start
    assert math.isfinite(start)
    assert workload.target is not None, "run python -m steepest.bench.targets"
    assert 0 < workload.target < 0.95 * start
    opt = torch.optim.AdamW(one.model.train().parameters(), lr=RATES.get(workload.name, 1e-2))
    for k in range(20):
        opt.zero_grad()
        one.loss(one.model, one.batch(k)).backward()
        opt.step()
    with torch.no_grad():
        assert one.evaluate(one.model.eval())["loss"] < start


def rows(data: tuple[torch.Tensor, ...]) -> set[Any]:
    return {tuple(row.flatten().tolist()) for row in data[0]}


PARTS: dict[str, Callable[[], tuple[set[Any], set[Any]]]] = {
    "docstrings": lambda: (set(docstrings.parts()[0]), set(docstrings.parts()[1])),
    "digits": lambda: (rows(images.digits()[0]), rows(images.digits()[1])),
    "wine": lambda: (rows(tabular.table("wine", True)[0]), rows(tabular.table("wine", True)[1])),
    "flower": lambda: (rows(patches.squares()[0]), rows(patches.squares()[1])),
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_what_is_held_out_is_not_learnt_from(parts: Callable[[], tuple[set[Any], set[Any]]]) -> None:
    train, held = parts()
    assert min(len(train), len(held)) > 40
    assert not train & held


def test_classes_of_docstrings_are_unequal() -> None:
    sizes = docstrings.topics()[0][1].bincount()
    assert sizes.max() > 20 * sizes[sizes > 0].min()


@pytest.mark.parametrize("name", ["digits-vae", "flower-denoise"])
def test_noise_belongs_to_the_batch(name: str) -> None:
    one, same, other = (built(BUILT_IN[name], seed).batch for seed in (1, 1, 2))
    for k in (7, 0, 3):  # in any order
        assert torch.equal(one(k)[-1], same(k)[-1])
        assert not torch.equal(one(k)[-1], one(k + 1)[-1])
        assert not torch.equal(one(k)[-1], other(k)[-1])
    assert one(0)[-1].std().item() == pytest.approx(1, abs=0.15)  # 512 numbers or more


def test_the_evidence_bound_is_that_of_the_paper() -> None:
    """Against torch.distributions: ln p(x|z) without its constant, and the divergence from a normal prior."""
    from torch.distributions import Normal, kl_divergence

    torch.manual_seed(0)
    model, x, noise = patches.Variational(), torch.rand(5, 64), torch.randn(5, patches.LATENT)
    mean, log_variance = model.encode(x).chunk(2, -1)
    posterior = Normal(mean, (log_variance / 2).exp())
    seen = Normal(model.decode(mean + posterior.stddev * noise), patches.PIXEL)
    constant = 64 * math.log(patches.PIXEL * math.sqrt(2 * math.pi))
    prior = Normal(torch.zeros(patches.LATENT), torch.ones(patches.LATENT))
    expected = kl_divergence(posterior, prior).sum(-1) - seen.log_prob(x).sum(-1) - constant
    torch.testing.assert_close(model(x, noise), expected)


def test_targets_record_where_they_come_from() -> None:
    for name, frozen in frozen_targets().items():
        best = min(frozen["medians"].values())
        assert frozen["target"] == pytest.approx(best * frozen["slack"], rel=2e-3), name
        assert frozen["seeds"] >= 10, name
        assert frozen["trials"] >= 30, name


def test_the_default_lists_exist() -> None:
    assert set(QUICK) <= set(DEFAULT) <= set(BUILT_IN)


def test_idx_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = bytes(range(24))
    raw = struct.pack(">HBB3i", 0, 8, 3, 2, 3, 4) + values
    (tmp_path / "plain").write_bytes(raw)
    (tmp_path / "packed.gz").write_bytes(gzip.compress(raw))
    expected = torch.arange(24, dtype=torch.uint8).view(2, 3, 4)
    assert torch.equal(images._idx(tmp_path / "plain"), expected)
    assert torch.equal(images._idx(tmp_path / "packed.gz"), expected)


def test_missing_data_is_a_reason_with_a_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEEPEST_DATA", str(tmp_path))
    monkeypatch.setattr(images, "PLACES", ())
    assert "STEEPEST_DATA" in (BUILT_IN["fashion-mnist"].reason_to_skip() or "")
    for name in images.IDX:
        (tmp_path / f"{name}.gz").write_bytes(b"")
    assert BUILT_IN["fashion-mnist"].reason_to_skip() is None


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finetune, "find_spec", lambda name: None if name == "tokenizers" else name)
    reason = BUILT_IN["minilm-finetune"].reason_to_skip()
    assert reason is not None
    assert reason.endswith("pip install tokenizers")


def test_a_users_function_becomes_a_workload(tiny: str) -> None:
    workload = find(tiny)
    assert (workload.name, workload.summary, workload.budget, workload.target) == (tiny, "tiny regression", 120, 4.0)
    before = workload.fingerprint
    Path("tiny_workload.py").write_text(Path("tiny_workload.py").read_text() + "\n# edited\n")
    assert find(tiny).fingerprint != before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def f(seed): return 3", "returned int; it must return a steepest.bench.Problem"),
        ("def f(seed): raise KeyError('x')", "failed when called with seed 0: KeyError: 'x'"),
        ("1/0", "cannot be imported: ZeroDivisionError"),
        ("import not_a_module_at_all", "cannot be imported: ModuleNotFoundError"),
        ("def g(seed): pass", "unknown function 'f': .*defines g$"),
        ("x = 1", "defines no functions"),
        ("def f(seed): return P(M, lambda m, b: 1.0, B, E)", "scalar tensor"),
        ("def f(seed): return P(M, L, lambda k: 1 / k, E)", "failed on its first batch: ZeroDivisionError"),
        ("def f(seed): return P(M, L, B, lambda m: {'acc': 1.0})", r"gave \['acc'\]"),
        ("def f(seed): return P(M, L, B, lambda m: 1.0)", r"gave 1.0; give numbers by name"),
        ("def f(seed): return P(M, L, B, E, budget=0)", "budget is 0"),
    ],
)
def test_what_is_wrong_with_a_users_function_is_said(
    body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = tmp_path.name
    given = (
        "import torch\nfrom steepest.bench import Problem as P\nM = torch.nn.Linear(1, 1)\n"
        "L = lambda m, b: m(b).sum()\nB = lambda k: torch.ones(1, 1)\nE = lambda m: {'loss': 1.0}\n"
    )
    (tmp_path / f"{name}.py").write_text(given + body + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError) as caught:
        find(f"{name}:f")
    assert re.search(message, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)
