"""The command line as a person meets it: what works, and one sentence for everything that does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import steepest
from steepest import claims, cli

OWN = """
import torch
from steepest.bench import Problem, minibatches

def ridge(seed):
    "ridge regression"
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    y = x.sum(1, keepdim=True)
    return Problem(
        torch.nn.Linear(4, 1), lambda m, b: (m(b[0]) - b[1]).square().mean(), minibatches((x, y), 16, seed),
        lambda m: {"loss": (m(x) - y).square().mean().item()}, budget=60,
    )

def number(seed):
    return 3

number_of_seeds = 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with one workload of one's own."""
    (tmp_path / "own_workload.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "own_workload", raising=False)
    return tmp_path


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


BENCH = ("bench", "-w", "own_workload:ridge", "-m", "torch.SGD", "--seeds", "2", "--jobs", "1")

WRONG = [
    ("bench -m ADOBT", "'ADOBT'", "did you mean 'ADOPT'"),
    ("bench -m torch.AdanW", "'torch.AdanW'", "did you mean 'torch.AdamW'"),
    ("bench -m adamw2", "'adamw2'", "did you mean"),
    ("bench -m ,", "','", "for example"),
    ("bench -w digit-mlp", "'digit-mlp'", "did you mean 'digits-mlp'"),
    ("bench -w qqqq", "'qqqq'", "module:function"),
    ("bench -w no_such_module:f", "no_such_module", "run from its folder"),
    ("bench -w own_workload:rigde", "'rigde'", "did you mean 'ridge'"),
    ("bench -w own_workload:number", "returned int", "steepest.bench.Problem"),
    ("bench -w own_workload:", "''", "ridge"),
    ("bench --seeds three", "'three'", "whole number from 1"),
    ("bench --seeds 0", "'0'", "from 1"),
    ("bench --seeds 2.5", "'2.5'", "whole number"),
    ("bench --budget -5", "'-5'", "from 3"),
    ("bench --budget nan", "'nan'", "from 3"),
    ("bench --tune much", "'much'", "--tune 20"),
    ("bench --jobs 0", "'0'", "--jobs 2"),
    ("bench --backend rya", "'rya'", "'loky', 'ray', 'dask'"),
    ("bench --out own_workload.py/below", "own_workload.py/below", "give a folder"),
    ("bench --out own_workload.py", "own_workload.py", "give a folder"),
    ("bench --sedes 3", "--sedes", "--seeds"),
    ("bench extra", "extra", ""),
    ("bensh", "bensh", "bench"),
    ("list --area adaptiv", "'adaptiv'", "did you mean 'adaptive'"),
    ("list --evidence hold", "'hold'", "did you mean 'held'"),
    ("list --max-bytes few", "'few'", "--max-bytes 4"),
    ("list --max-cost -1", "'-1'", "from 0"),
    ("claims adopt-any-beta", "'adopt-any-beta'", "did you mean 'adopt-any-beta2'"),
    ("claims adopt-any-beta2 --out own_workload.py", "own_workload.py", "give a folder"),
]


@pytest.mark.parametrize(("line", "seen", "mend"), WRONG, ids=[line for line, _, _ in WRONG])
def test_a_bad_request_gets_one_sentence_and_leaves_nothing(
    line: str, seen: str, mend: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(p.name for p in here.iterdir() if p.name != "__pycache__")
    assert call(*line.split()) == 2
    said = capsys.readouterr()
    assert said.err.startswith("steepest: ")
    assert said.err.count("\n") == 1
    assert seen in said.err
    assert mend in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert sorted(p.name for p in here.iterdir() if p.name != "__pycache__") == before


def test_a_bench_of_ones_own_from_start_to_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*BENCH, "--out", "o") == 0
    said = capsys.readouterr().out
    assert "4 of 4 runs done" in said
    for word in ("own_workload:ridge", "torch.SGD", "torch.AdamW", "Report: o/report.html"):
        assert word in said, word
    page = Path("o/report.html").read_text(encoding="utf-8")
    assert "ridge regression" in page
    assert f"<pre>steepest {' '.join([*BENCH, '--out', 'o'])}</pre>" in page
    first = Path("o/bench.sqlite").read_bytes()

    assert call(*BENCH, "--out", "o") == 2
    said_now = capsys.readouterr()
    assert "has 4 finished runs already" in said_now.err
    assert "--resume" in said_now.err
    assert said_now.out == ""
    assert Path("o/bench.sqlite").read_bytes() == first

    assert call(*BENCH, "--out", "o", "--resume") == 0
    said = capsys.readouterr().out
    assert "4 of 4 runs are there already" in said
    assert "runs done" not in said

    assert call(*BENCH[:-4], "--seeds", "3", "--jobs", "1", "--out", "o", "--resume") == 0
    assert "4 of 6 runs are there already" in capsys.readouterr().out


def test_a_tuned_bench(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*BENCH, "--tune", "3", "--out", "o") == 0
    assert "tuned, 3 random trials" in Path("o/report.html").read_text(encoding="utf-8")


def test_trials_by_tpe_and_what_is_missing_for_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from steepest.bench import tuning

    line = (*BENCH, "--tune", "6", "--sampler", "tpe", "--out", "o")
    with monkeypatch.context() as patched:
        patched.setattr(tuning, "optuna", None)
        assert call(*line) == 2
        said = capsys.readouterr()
        assert 'pip install "steepest[tune]"' in said.err
        assert said.err.count("\n") == 1
        assert not Path("o").exists()
    pytest.importorskip("optuna", reason="an extra of its own: steepest[tune]")
    assert call(*line) == 0
    page = Path("o/report.html").read_text(encoding="utf-8")
    assert "tuned, 6 trials proposed by Optuna" in page
    assert "What tuning gives" not in page  # such trials are not alike


def test_an_edited_workload_is_run_anew(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*BENCH, "--out", "o") == 0
    (here / "own_workload.py").write_text(OWN + "# edited\n")
    capsys.readouterr()
    assert call(*BENCH, "--out", "o", "--resume") == 0
    assert "4 of 4 runs done" in capsys.readouterr().out


def test_resume_says_which_runs_an_edit_makes_void(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*BENCH, "--out", "o") == 0
    (here / "own_workload.py").write_text(OWN + "# edited\n")
    capsys.readouterr()
    assert call(*BENCH, "--out", "o", "--resume") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "4 finished runs are void and made again: the code of own_workload:ridge has changed since (2 of torch.AdamW, 2 of "
        "torch.SGD)"
    ) in said
    assert call(*BENCH, "--out", "o", "--resume") == 0
    assert "void" not in capsys.readouterr().out


def test_a_loss_that_raises_is_told_as_an_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words, with the place, and kept in the report; it cannot be found out before, for it breaks later."""
    late = OWN.replace("(m(b[0]) - b[1]).square().mean()", "my_loss(m, b)")
    late += "\nfrom itertools import count\ncalls = count()\ndef my_loss(m, b):\n    if next(calls) > 3: raise KeyError('x7')\n"
    (here / "own_workload.py").write_text(late + "    return (m(b[0]) - b[1]).square().mean()\n")
    assert call(*BENCH, "--out", "o") == 0
    said = capsys.readouterr().out
    assert "Every run ended in an error" in said
    assert "torch.SGD on own_workload:ridge ended in an error: KeyError: 'x7'" in said
    assert "in my_loss" in said
    page = Path("o/report.html").read_text(encoding="utf-8")
    assert "in my_loss" in page
    assert "ended in an error" in page


def test_a_first_look_has_all_contestants_and_no_winner(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from steepest.bench import plan

    monkeypatch.setattr(plan, "DEFAULT_METHODS", ("torch.AdamW", "torch.SGD", "Lion"))
    line = ("bench", "-w", "own_workload:ridge", "-w", "wine", "--budget", "30", "--seeds", "1", "--jobs", "1")
    assert call(*line, "--out", "o") == 0
    whole = capsys.readouterr().out
    assert call(*line, "--quick", "--out", "p") == 0
    quick = capsys.readouterr().out
    assert all("2 workloads × 3 methods × 1 seed" in said for said in (whole, quick))
    assert "names no winner" in quick


def test_a_missing_data_set_is_left_out_with_its_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from steepest.bench.workloads import images

    monkeypatch.setattr(images, "PLACES", ())
    monkeypatch.delenv("STEEPEST_DATA", raising=False)
    assert call(*BENCH, "-w", "fashion-mnist", "--out", "o") == 0
    assert "'fashion-mnist' is skipped" in capsys.readouterr().out
    assert call("bench", "-w", "fashion-mnist", "--out", "p") == 2
    assert "STEEPEST_DATA" in capsys.readouterr().err
    assert not Path("p").exists()


def test_list_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("list") == 0
    said = capsys.readouterr().out
    assert all(name in said for name in steepest.methods)
    assert call("list", "--area", "flatness", "--json") == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert {row["name"]: row["catalogue"] for row in rows}["GAM"] == claims.catalogue("GAM") == ["001-080"]
    assert {row["name"] for row in rows} == {m.name for m in steepest.methods.values() if m.area == "flatness"}
    sam = next(row for row in rows if row["name"] == "SAM")
    assert (sam["forwards"], sam["backwards"]) == (2, 2)
    assert "sam-flatter" in sam["claims"]
    assert sam["verdicts"]["sam-flatter"] == "held"
    assert "→ sam-flatter: held" in said


def test_list_says_what_lr_does(capsys: pytest.CaptureFixture[str]) -> None:
    """A method that finds its own step multiplies it by lr, and begins with 1; for the others lr is the step."""
    assert call("list", "--json") == 0
    lr = {row["name"]: row["lr"] for row in json.loads(capsys.readouterr().out)}
    own = {name for name, told in lr.items() if told["is"] == "multiplies what the method finds (leave it at 1)"}
    assert own >= {"Auto", "DoG", "LDoG", "UDoG", "DAdaptAdam", "DAdaptSGD", "SPS", "PoNoS", "SLS", "AdamSQR"}
    assert not own & {"AdamW", "SGD", "SAM", "Lion", "SMB", "AdaGradNorm", "ExtraSGD"}
    assert {lr[name]["default"] for name in own} == {1.0}
    assert all(told["is"] == "is the length of a step" for name, told in lr.items() if name not in own)
    for name in steepest.methods:
        doc = next(
            line for line in (steepest.methods[name].make.__doc__ or "").splitlines() if line.strip().startswith("lr:")
        )
        assert ("multipli" in doc) == (name in own), name
    assert call("list", "--area", "stepsize") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "×: it multiplies what the method finds (leave it at 1)" in said
    assert "×1" in said


@pytest.mark.parametrize("module", ["steepest", "steepest.cli"])
def test_the_package_can_be_run(module: str) -> None:
    ran = subprocess.run([sys.executable, "-m", module, "--version"], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (0, f"steepest {steepest.__version__}\n"), ran.stderr
    ran = subprocess.run([sys.executable, "-m", module, "bensh"], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1), ran.stderr
    assert "did you mean 'bench'" in ran.stderr.lower()


def test_the_shell_completes() -> None:
    """What a shell sends when the tab key is pressed, and what it gets; the script is for `steepest`, not for a file."""
    asks = os.environ | {"_STEEPEST_COMPLETE": "complete_bash", "COMP_WORDS": "steepest be", "COMP_CWORD": "1"}
    line = [sys.executable, "-m", "steepest"]
    ran = subprocess.run(line, env=asks, capture_output=True, text=True)
    assert ran.stdout.split() == ["bench"], ran.stderr
    named = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # whatever shell the tests run in
    shown = subprocess.run([*line, "--show-completion", "bash"], env=named, capture_output=True, text=True)
    assert "complete -o default -F _steepest_completion steepest" in shown.stdout, shown


def listed(capsys: pytest.CaptureFixture[str], *line: str) -> set[str]:
    """The names that ``steepest list`` gives."""
    assert call("list", "--json", *line) == 0
    return {row["name"] for row in json.loads(capsys.readouterr().out)}


def test_list_by_evidence_bytes_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    everything, on_record = set(steepest.methods), claims.recorded()["verdicts"]
    assert listed(capsys, "--max-bytes", "4") == {m.name for m in steepest.methods.values() if m.state_bytes <= 4}
    plain, twice = listed(capsys, "--max-cost", "3"), listed(capsys, "--max-cost", "6")
    assert "AdamW" in plain
    assert "SAM" in twice - plain
    assert "GAM" in everything - twice
    some, none = listed(capsys, "--evidence", "any"), listed(capsys, "--evidence", "none")
    assert (some | none, some & none) == (everything, set())
    for word in ("held", "not-held"):
        having = {name for name in everything for claim in claims.about(name)
                  if on_record.get(claim, {}).get("verdict") == word.replace("-", " ")}  # fmt: skip
        assert listed(capsys, "--evidence", word) == having
    assert listed(capsys, "--evidence", "held", "--max-bytes", "4", "--area", "flatness") >= {"SAM", "ASAM"}
    assert listed(capsys, "--max-bytes", "0", "--area", "flatness") == set()


def test_claims_are_run_told_and_reported(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, bool]] = []

    def run(names: list[str], fast: bool, out: Path) -> list[SimpleNamespace]:
        ran.extend((name, fast) for name in names)
        return [SimpleNamespace(claim=n, verdict="held", reason="gap 0.25 < 0.5", seconds=1.0) for n in names]

    def report(verdicts: list[SimpleNamespace], out: Path) -> Path:
        (out / "claims.html").write_text(str(len(verdicts)))
        return out / "claims.html"

    monkeypatch.setattr(claims, "CLAIMS", {name: SimpleNamespace(sentence="It works.") for name in ("a", "b")})
    monkeypatch.setattr(claims, "run", run)
    monkeypatch.setattr(claims, "report", report)
    assert call("claims", "--fast", "--out", "c") == 0
    assert ran == [("a", True), ("b", True)]
    said = capsys.readouterr().out
    assert "2 held, 0 not held, 0 not tested. Report: c/claims.html" in said
    assert "gap 0.25 < 0.5" in said
    assert Path("c/claims.html").read_text() == "2"
    ran.clear()
    assert call("claims", "b", "--out", "c") == 0
    assert ran == [("b", False)]
    ran.clear()
    monkeypatch.setattr(claims, "BROKEN", {"steepest.claims.games.nobody2026_bad": "SyntaxError: invalid syntax"})
    assert call("claims", "--out", "c") == 1
    assert ran == [("a", False), ("b", False)], "the others ran"
    assert (
        "steepest.claims.games.nobody2026_bad are left out; it cannot be read: SyntaxError" in capsys.readouterr().err
    )
    assert call("list", "--json") == 0
    assert "nobody2026_bad" in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--version") == 0
    assert capsys.readouterr().out == f"steepest {steepest.__version__}\n"
    assert call() == 0
    assert "bench" in capsys.readouterr().out
    assert call("bench", "--help") == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "stdlib-lm" in said
    assert "this runs that code" in said
    assert "name files that you trust" in said


def test_every_built_in_workload_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    from steepest.bench.workloads import BUILT_IN

    assert call("bench", "--help") == 0
    words = capsys.readouterr().out.replace("\n", " ")
    assert all(name in words for name in BUILT_IN)


def test_ctrl_c_is_answered_by_what_was_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from steepest.bench import pool, run

    ended: list[int] = []

    def execute(*args: Any, **more: Any) -> Any:
        ended.append(1)
        if len(ended) == 3:
            raise KeyboardInterrupt
        return run.execute(*args, **more)

    with monkeypatch.context() as patched:
        patched.setattr(pool, "execute", execute)
        assert call(*BENCH, "--out", "o") == 130
    said = capsys.readouterr()
    assert "stopped; finished runs are kept" in said.err
    assert said.err.count("\n") == 1
    assert call(*BENCH, "--out", "o", "--resume") == 0
    assert "2 of 4 runs are there already" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["typer", "rich", "jinja2"])
def test_without_the_extra_it_says_what_to_install(name: str) -> None:
    code = f"import sys; sys.modules[{name!r}] = None; import steepest.cli; steepest.cli.main(['bench', '--out', 'o'])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 2, ran.stderr
    assert 'pip install "steepest[bench]"' in ran.stderr
    assert name in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert not Path("o").exists()
