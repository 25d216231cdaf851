"""The command line, given what it cannot take: exit code 2, one sentence with the value and the mend, nothing written.

``tests/test_cli.py`` has the everyday slips; here are workloads of one's own that are wrong in every way a function can
be, folders that cannot be used, and results of somebody else. All of it is found out before anything is run.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from steepest import cli

OWN = """
import math
import torch
from steepest.bench import Problem, minibatches

x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
y = x.sum(1, keepdim=True)


def problem(**other):
    parts = dict(
        model=torch.nn.Linear(4, 1), loss=lambda m, b: (m(b[0]) - b[1]).square().mean(),
        batch=minibatches((x, y), 16, 0), evaluate=lambda m: {"loss": 1.0}, budget=60,
    )
    return Problem(**parts | other)


def ridge(seed): return problem()
def no_seed(): return problem()
def nothing(seed): return None
def breaks(seed): raise RuntimeError("no\\ndata")
def leaves(seed): raise SystemExit(3)
def budget_word(seed): return problem(budget="60")
def budget_nan(seed): return problem(budget=math.nan)
def budget_endless(seed): return problem(budget=math.inf)
def budget_negative(seed): return problem(budget=-1)
def target_word(seed): return problem(target="low")
def target_nan(seed): return problem(target=math.nan)
def unnamed(seed): return problem(evaluate=lambda m: 1.0)
def nameless(seed): return problem(evaluate=lambda m: {"accuracy": 1.0})
def vector(seed): return problem(evaluate=lambda m: {"loss": torch.ones(3)})
def word(seed): return problem(evaluate=lambda m: {"loss": "low"})
def rows(seed): return problem(loss=lambda m, b: (m(b[0]) - b[1]).square())
def plain_number(seed): return problem(loss=lambda m, b: 1.0)
def detached(seed): return problem(loss=lambda m, b: m(b[0]).mean().detach())
def no_model(seed): return problem(model=None)
def no_weights(seed): return problem(model=torch.nn.Identity())
def a_list(seed): return problem(batch=[1, 2])
"""
FILES = {
    "own.py": OWN,
    "wrong_syntax.py": "def f(:\n",
    "raising.py": "raise ValueError('boom')\n",
    "leaving.py": "raise SystemExit(3)\n",
    "depending.py": "import no_such_module_anywhere\n",
    "a_file": "",
}
WORKLOADS = {
    "own:no_seed": "seed", "own:nothing": "Problem", "own:breaks": "no data", "own:leaves": "SystemExit",
    "own:budget_word": "budget", "own:budget_nan": "budget", "own:budget_endless": "budget",
    "own:budget_negative": "budget", "own:target_word": "target", "own:target_nan": "target", "own:unnamed": "'loss'",
    "own:nameless": "'loss'", "own:vector": "number", "own:word": "number", "own:rows": "scalar",
    "own:plain_number": "scalar", "own:detached": "gradient", "own:no_model": "None", "own:no_weights": "gradient",
    "own:a_list": "list", "own:rigde": "did you mean 'ridge'", "own:": "ridge", "own:ridge:x": "did you mean 'ridge'",
    "own.py:ridge": "without .py", "own/own:ridge": "with dots", ":ridge": "module", "::": "module",
    "wrong_syntax:f": "SyntaxError", "raising:f": "boom", "leaving:f": "SystemExit",
    "depending:f": "no_such_module_anywhere", "no_such_module:f": "run from its folder", "": "module:function",
}  # fmt: skip
LINES = {
    "bench --seeds": "--seeds", "bench --seeds 1e3": "whole number from 1", "bench --seeds nan": "whole number",
    "bench --budget inf": "from 3", "bench --budget 2": "from 3", "bench --tune -1": "from 0",
    "bench --tune 1.5": "whole number", "bench --jobs 99999": "1024", "bench -m": "-m", "bench --out": "--out",
    "bench --quikc": "--quick", "bench --resum": "--resume", "bench -m torch.": "did you mean", "bench -m SAM,,samm": "'SAM'",
    "list --jsn": "--json", "list x": "x", "list --area": "--area", "list --area flat": "did you mean 'flatness'",
    "list --evidence": "--evidence", "list --max-bytes nan": "number", "list --max-cost": "--max-cost",
    "claims --fst": "--fast", "claims --out": "--out", "claims adopt-any-beta": "did you mean",
    "claims --out a_file": "give a folder", "claims --out a_file/below": "give a folder", "--verison": "--version",
    "Bench": "'bench'", "claim": "'claims'",
}  # fmt: skip
SHORT = ("bench", "-m", "torch.SGD", "--seeds", "1", "--jobs", "1", "--budget", "12")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with workloads of one's own."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *line: str) -> str:
    """The one sentence that a command line is answered by; nothing else may have happened."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    with pytest.raises(SystemExit) as left:
        cli.main(line)
    said = capsys.readouterr()
    assert (left.value.code, said.out, said.err.count("\n")) == (2, "", 1), said.out + said.err
    assert said.err.startswith("steepest: ")
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    return said.err


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_wrong_workload(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, and what is wrong with it."""
    said = refused(capsys, *SHORT, "--out", "o", "-w", name)
    assert WORKLOADS[name] in said
    assert repr(name) in said or repr(name.partition(":")[2]) in said


@pytest.mark.parametrize("line", LINES)
def test_a_wrong_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The value seen, and the mend."""
    assert LINES[line] in refused(capsys, *line.split())


@pytest.mark.parametrize("resume", [(), ("--resume",)], ids=["anew", "resume"])
@pytest.mark.parametrize(
    "out",
    ["a_file", "a_file/below", "/dev/null/below", 300 * "x", "taken"],
    ids=["file", "below", "null", "long", "taken"],
)
def test_a_folder_that_cannot_be_written(out: str, resume: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Found out before the first run."""
    Path("taken/bench.sqlite").mkdir(parents=True)
    said = refused(capsys, *SHORT, "-w", "own:ridge", "--out", out, *resume)
    assert out[:50] in said
    assert "give" in said


def test_a_report_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    """A folder stands where the report goes: said before the first run, not after the last."""
    Path("out/report.html").mkdir(parents=True)
    assert "report.html" in refused(capsys, *SHORT, "-w", "own:ridge", "--out", "out")


@pytest.mark.parametrize("resume", [(), ("--resume",)], ids=["anew", "resume"])
def test_a_store_of_somebody_else(resume: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """Neither text nor another program's database is touched."""
    Path("text").mkdir()
    Path("text/bench.sqlite").write_text("these are my notes\n" * 100)
    Path("other").mkdir()
    with sqlite3.connect("other/bench.sqlite") as db:
        db.execute("CREATE TABLE runs (kilometres REAL)")
        db.execute("INSERT INTO runs VALUES (42.195)")
    db.close()
    for out in ("text", "other"):
        said = refused(capsys, *SHORT, "-w", "own:ridge", "--out", out, *resume)
        assert f"{out}/bench.sqlite" in said, said
        assert "give another --out" in said


def test_a_disk_that_is_full_in_the_middle(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, what is finished stays, and --resume goes on when there is room again."""
    resource = pytest.importorskip("resource", reason="POSIX only")
    line = (*SHORT, "-w", "own:ridge", "--out", "o", "--seeds", "9")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(SystemExit) as left:
            cli.main(line)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert (left.value.code, said.count("\n")) == (2, 1), said
    assert "--resume" in said
    with sqlite3.connect("o/bench.sqlite") as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        kept = db.execute("SELECT count(*) FROM runs").fetchone()[0]
    db.close()
    assert kept < 18  # none, where the machine is so slow that a checkpoint came first
    with pytest.raises(SystemExit) as left:
        cli.main([*line, "--resume"])
    assert left.value.code == 0
    assert not kept or f"{kept} of 18 runs are there already" in capsys.readouterr().out
