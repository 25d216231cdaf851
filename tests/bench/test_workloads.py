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
    glyphs,
    graph,
    images,
    long,
    patches,
    physics,
    sequence,
    tabular,
    transfer,
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
RATES = {"minilm-finetune": 3e-4, "glyphs-resnet": 3e-3}
#: and steps; the running means of batch normalisation lag behind quick weights
LEARN = {"glyphs-resnet": 60}


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
    for k in range(LEARN.get(workload.name, 20)):
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
    "glyphs": lambda: (rows(glyphs.glyphs()[0]), rows(glyphs.glyphs()[1])),
    "glyphs-finetune": lambda: (
        rows((glyphs.middle(transfer.halves()[0][0]),)) | rows((glyphs.middle(transfer.halves()[1][0]),)),
        rows(transfer.halves()[2]),
    ),
    "names": lambda: (rows((graph.parts()[0],)), rows(graph.parts()[1])),
    "numbers": lambda: (rows(sequence.numbers()[0]), rows(sequence.numbers()[1])),
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


def test_cuts_belong_to_the_batch() -> None:
    one, same, other = (built(BUILT_IN["glyphs-resnet"], seed).batch for seed in (1, 1, 2))
    images, shown = one(5)
    assert images.shape == (64, 1, glyphs.SIDE, glyphs.SIDE)
    assert torch.equal(images, same(5)[0])
    assert not torch.equal(images, other(5)[0])
    epoch = len(glyphs.glyphs()[0][0]) // 64
    again = [one(k) for k in range(epoch, 2 * epoch)]  # every image once more, cut elsewhere and in another grey
    assert not rows((images,)) & set().union(*map(rows, again))
    assert len(shown.unique()) > 20


def test_a_paled_cut_is_a_part_of_its_image() -> None:
    image = torch.rand(1, 1, glyphs.OUTER, glyphs.OUTER, generator=torch.Generator().manual_seed(0))
    (cut,) = glyphs.augmented(lambda k: (image, torch.zeros(1)), 3)(0)[0]
    every = image[0, 0].unfold(0, glyphs.SIDE, 1).unfold(1, glyphs.SIDE, 1).reshape(-1, glyphs.SIDE**2)
    ratios = cut.flatten() / every
    (grey,) = ratios[ratios.std(1) < 1e-5].mean(1)
    assert glyphs.PALEST <= grey <= 1


def test_derivatives_of_the_field_are_those_of_autograd() -> None:
    torch.manual_seed(0)
    model = physics.Field().double()
    points = torch.rand(20, 2, dtype=torch.float64, requires_grad=True)

    def slope(value: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(value.sum(), points, create_graph=True)[0]

    out = model(points)
    first = slope(out[:, 0])
    torch.testing.assert_close(out[:, 1:3], first)
    torch.testing.assert_close(out[:, 3], slope(first[:, 0])[:, 0])


def test_the_exact_solution_solves_the_equation() -> None:
    points = torch.rand(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def slope(value: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(value.sum(), points, create_graph=True)[0]

    u = physics.burgers(points)
    u_x, u_t = slope(u).T
    left, right = u_t + u * u_x, physics.NU * slope(u_x)[:, 0]
    torch.testing.assert_close(left, right)
    assert right.abs().max() > 1  # not because all of it is nothing
    inside, edge, value = physics.collocation(seed=1)(0)
    torch.testing.assert_close(physics.burgers(edge), value, atol=1e-6, rtol=0)
    assert ((edge[:, 1] == 0) | (edge[:, 0] % 1 == 0)).all()
    assert inside.min() > 0


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (305, "three hundred five"),
        (1000, "one thousand"),
        (70_315, "seventy thousand three hundred fifteen"),
        (777_777, "seven hundred seventy seven thousand seven hundred seventy seven"),
    ],
)
def test_numbers_are_read_aloud(number: int, words: str) -> None:
    assert " ".join(sequence.spoken(number)) == words
    assert len(words.split()) < sequence.LONGEST


def test_words_that_fill_up_cost_nothing() -> None:
    torch.manual_seed(0)
    model, (digits, before, after) = sequence.Reader(), (t[:8] for t in sequence.numbers()[1])
    logs = model(digits, before).log_softmax(-1)
    kept = after != sequence.NOTHING
    expected = -logs.gather(-1, after.unsqueeze(-1)).squeeze(-1)[kept].mean()
    torch.testing.assert_close(sequence.word_loss(model, (digits, before, after)), expected)
    assert 0 < kept.sum() < kept.numel()


def test_links_of_a_batch_carry_no_messages() -> None:
    """With or without the links in the graph, their own logits are the same."""
    torch.manual_seed(0)
    train, (held, linked) = graph.parts()
    assert linked.mean() == 0.5
    known = graph.table(train)
    assert known.sum() == len(train)
    assert known[held[:, 0], held[:, 1]].sum() == 0
    model, pairs = graph.Messages(known), train[:64]
    first = model(pairs)
    model.known = graph.table(train[64:])
    torch.testing.assert_close(model(pairs), first)
    assert not torch.equal(model(train[64:128]), graph.Messages(known)(train[64:128]))


def test_the_long_run_meets_no_text_twice() -> None:
    train, _ = long.stretches()
    assert len(train[0]) >= long.STEPS * long.ROWS
    assert BUILT_IN["stdlib-long"].budget == 3 * long.STEPS


def test_rotated_vectors_know_their_distance_only() -> None:
    one, other = torch.randn(2, 16, generator=torch.Generator().manual_seed(0)).unsqueeze(1).expand(2, 48, 16)
    scores = long.rotated(one) @ long.rotated(other).T
    for apart in (0, 1, -5):
        line = scores.diagonal(apart)
        torch.testing.assert_close(line, line[0].expand_as(line), atol=1e-4, rtol=0)
    assert scores[0].std() > 0.1


def test_the_long_run_sees_no_later_word() -> None:
    torch.manual_seed(0)
    model, x = long.Decoder(), torch.randint(long.WORDS, (1, long.TIME))
    changed = x.clone()
    changed[0, 20:] = (x[0, 20:] + 1) % long.WORDS
    torch.testing.assert_close(model(x)[0, :20], model(changed)[0, :20])
    assert not torch.allclose(model(x)[0, 20:], model(changed)[0, 20:])


@pytest.mark.skipif(glyphs.no_faces() is not None, reason=str(glyphs.no_faces()))
def test_what_is_fine_tuned_knows_something() -> None:
    """Its features tell the new characters apart better than those of random weights: a new head alone, fitted to both."""
    few, held = transfer.halves()[1:]
    state = torch.random.get_rng_state()
    start = transfer.pretrained()
    assert torch.equal(torch.random.get_rng_state(), state)
    transfer.pretrained.cache_clear()
    again = transfer.pretrained()
    assert all(torch.equal(again[name], value) for name, value in start.items())
    assert not any(name.startswith("head.") for name in start)
    right = []
    for known in (start, {}):
        torch.manual_seed(0)
        model = transfer.vision()
        model.load_state_dict(known, strict=False)
        head, model.head = model.head, torch.nn.Identity()  # type: ignore[assignment]
        with torch.no_grad():
            x, x_held = model(glyphs.middle(few[0])), model(held[0])
        opt = torch.optim.AdamW(head.parameters(), lr=0.03)
        for _ in range(200):
            opt.zero_grad()
            torch.nn.functional.cross_entropy(head(x), few[1]).backward()
            opt.step()
        right.append((head(x_held).argmax(-1) == held[1]).float().mean().item())
    assert right[0] > 1.2 * right[1]


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
