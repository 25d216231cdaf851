"""`steepest refine`: a run's file in, a schedule out; one sentence and exit code 2 for everything that is not a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import steepest
from steepest import cli
from steepest.schedule import Norms, Refined, refine


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


def record(path: str, make: type[torch.optim.Optimizer] = steepest.AdamW, steps: int = 30) -> Norms:
    x = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    opt = make([x], lr=0.05)  # type: ignore[call-arg]
    norms = Norms(opt, path)
    for _ in range(steps):
        x.grad = x.detach().clone()
        opt.step()
    return norms


def test_from_a_run_to_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    norms = record("run.jsonl")
    assert call("refine", "run.jsonl", "--out", "schedule.json") == 0
    said = capsys.readouterr().out
    assert "30 steps of AdamW" in said
    assert "as for adam, τ = 0.1" in said
    assert "█" in said
    assert [p.name for p in sorted(Path().iterdir())] == ["run.jsonl", "schedule.json"]
    opt = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    assert Refined.load(opt, "schedule.json").factors == refine(norms.record.l1, "adam")
    assert len(Refined.load(opt, "schedule.json", steps=100).factors) == 100


def test_for_programs_and_with_choices(capsys: pytest.CaptureFixture[str]) -> None:
    norms = record("run.jsonl", steepest.SGD)
    assert call("refine", "run.jsonl", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["kind"], made["optimizer"], made["steps"]) == ("sgd", "SGD", 30)
    assert made["factors"] == refine(norms.record.l2, "sgd")
    assert call("refine", "run.jsonl", "--json", "--kind", "adam", "--tau", "0.3", "--steps", "7") == 0
    made = json.loads(capsys.readouterr().out)
    assert len(made["factors"]) == 7
    assert made["factors"][0] == refine(norms.record.l1, "adam", 0.3)[0]
    assert [p.name for p in Path().iterdir()] == ["run.jsonl"]


def test_a_short_run_and_one_with_gaps(capsys: pytest.CaptureFixture[str]) -> None:
    head = '{"steepest": "norms", "version": 1, "optimizer": "Lion"}\n'
    rows = [{"t": t, "l2": t if t != 2 else None, "l1": 1.0 if t != 2 else None} for t in (1, 2, 3)]
    Path("run.jsonl").write_text(head + "".join(json.dumps(r) + "\n" for r in rows))
    assert call("refine", "run.jsonl") == 0
    assert "3 steps of Lion" in capsys.readouterr().out


HEAD = '{"steepest": "norms", "version": 1, "optimizer": "SGD"}\n'
FILES = {
    "empty": "", "text": "hello\n", "binary": "\0\1\2\n", "head": HEAD, "one": HEAD + '{"t": 1, "l2": 1.0, "l1": 1.0}\n',
    "torn": HEAD + '{"t": 1, "l2": 1.0, "l1": 1.0}\nxx\n{"t": 2, "l2": 1.0, "l1": 1.0}\n',
    "zero": HEAD + "".join(f'{{"t": {t}, "l2": 0.0, "l1": 0.0}}\n' for t in (1, 2, 3)),
    "fine": HEAD + "".join(f'{{"t": {t}, "l2": 1.0, "l1": 1.0}}\n' for t in (1, 2, 3)),
}  # fmt: skip
WRONG = [
    ("refine", "argument", ""),
    ("refine nowhere", "'nowhere'", "give the file of a run"),
    ("refine .", "'.'", "give the file of a run"),
    ("refine empty", "'empty'", "steepest.schedule.Norms"),
    ("refine text", "'text'", "steepest.schedule.Norms"),
    ("refine binary", "'binary'", "steepest.schedule.Norms"),
    ("refine head", "at least two", "got 0"),
    ("refine one", "at least two", "got 1"),
    ("refine torn", "line 3", "'xx'"),
    ("refine zero", "is 0 around step 1 of 3", "leave out"),
    ("refine fine --kind sdg", "'sdg'", "did you mean 'sgd'"),
    ("refine fine --tau 0", "'0'", "--tau 0.1"),
    ("refine fine --tau 2", "'2'", "to 1"),
    ("refine fine --steps 1", "'1'", "from 2"),
    ("refine fine --steps many", "'many'", "whole number"),
    ("refine fine --out text/below", "text/below", "give another file"),
    ("refine fine --out .", "'.'", "give another file"),
    ("refine fine --jsn", "--jsn", "--json"),
    ("refin fine", "'refin'", "refine"),
]


@pytest.mark.parametrize(("line", "seen", "mend"), WRONG, ids=[line for line, _, _ in WRONG])
def test_a_bad_request_gets_one_sentence_and_leaves_nothing(
    line: str, seen: str, mend: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in FILES.items():
        (here / name).write_text(text)
    assert call(*line.split()) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("steepest: ")
    assert seen.lower() in said.err.lower()
    assert mend in said.err
    assert {p.name: p.read_text() for p in here.iterdir()} == FILES
