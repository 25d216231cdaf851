"""A small GPT-2 and a factorization machine: the two workloads with tables of which a batch touches few rows."""

from __future__ import annotations

import math

import pytest
import torch

from steepest.bench.workloads import BUILT_IN, DEFAULT, factors, gpt


def test_the_small_gpt_sees_no_later_character() -> None:
    torch.manual_seed(0)
    model, x = gpt.GPT(30), torch.randint(30, (1, gpt.TIME))
    changed = x.clone()
    changed[0, 20:] = (x[0, 20:] + 1) % 30
    torch.testing.assert_close(model(x)[0, :20], model(changed)[0, :20])
    assert not torch.allclose(model(x)[0, 20:], model(changed)[0, 20:])


def test_the_small_gpt_begins_as_gpt_2_does() -> None:
    """Standard deviations by role, one table for both ends, and a loss of a guess among all characters."""
    torch.manual_seed(0)
    _, held, kinds = gpt.characters()
    model = gpt.GPT(kinds)
    weights = dict(model.named_parameters())
    assert not any("head" in name for name in weights)
    assert weights["blocks.0.up.weight"].std().item() == pytest.approx(0.02, rel=0.05)
    assert weights["blocks.1.down.weight"].std().item() == pytest.approx(0.01, rel=0.05)
    loss = torch.nn.functional.cross_entropy(model(held[0][:8]).flatten(0, 1), held[1][:8].flatten())
    assert loss.item() == pytest.approx(math.log(kinds), rel=0.02)
    loss.backward()
    grad = weights["table.weight"].grad
    assert grad is not None
    absent = set(range(kinds)) - set(held[0][:8].flatten().tolist())
    assert (grad[sorted(absent)].abs().sum(1) > 0).all()  # the end that writes reaches every row


def test_the_factorization_machine_is_the_sum_over_pairs() -> None:
    """Rendle 2010, equation 1, term by term."""
    torch.manual_seed(0)
    model, x = factors.FactorizationMachine(40).double(), torch.randint(40, (6, factors.COLUMNS))
    torch.nn.init.normal_(model.weights.weight)
    w, v = model.weights.weight[:, 0], model.vectors.weight
    expected = [
        model.bias + sum(w[i] for i in row) + sum(v[i] @ v[j] for a, i in enumerate(row) for j in row[:a])
        for row in x.tolist()
    ]
    torch.testing.assert_close(model(x), torch.stack(expected))


def test_most_rows_of_the_factorization_machine_rest() -> None:
    """A batch touches few of the categories; some are in many rows and most in hardly any."""
    torch.manual_seed(0)
    (x, y), (held, _), categories = factors.calls()
    problem = BUILT_IN["stdlib-calls"].build(0)
    problem.loss(problem.model, problem.batch(0)).backward()
    grad = next(p.grad for name, p in problem.model.named_parameters() if name == "vectors.weight")
    assert grad is not None
    assert (grad == 0).all(1).float().mean() > 0.95
    counts = x.flatten().bincount(minlength=categories)
    assert counts.max() > 1000 * counts.median()
    assert 0.05 < y.mean() < 0.5
    assert held.max() < categories
    words = factors._names("m", "self.f(x.y)\ndef g(): pass\nh (k)\n")
    assert [(c, called) for c, called in words] == [
        (("m", "self", "", "", "self"), False),
        (("m", "f", ".", "self", "self"), True),
        (("m", "x", "(", "f", "self"), False),
        (("m", "y", ".", "x", "self"), False),
        (("m", "h", "pass", "g", "h"), True),
        (("m", "k", "(", "h", "h"), False),
    ]


def test_they_are_not_among_those_of_the_default_run() -> None:
    assert not {"docstrings-gpt", "stdlib-calls"} & set(DEFAULT)
