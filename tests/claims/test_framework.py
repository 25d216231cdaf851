"""The machinery of claims: verdicts come from numbers, a check that cannot fail is said to be one, errors are not eaten."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch

from steepest import claims
from steepest.claims import __main__ as command
from steepest.claims.lab import record as records
from steepest.claims.lab.base import Bound, Claim, Dots, Lines, Measured, Source, Verdict, decide, judge, short, stable
from steepest.claims.lab.baselines import reach
from steepest.claims.lab.index import Index, collect
from steepest.claims.lab.pictures import draw
from steepest.claims.lab.record import keep, processor, recorded
from steepest.claims.lab.report import headline

BOUND = Bound("x", "<", 1.0, "the number x, worst seed")


def made(measured: float, control: float, **more: object) -> Claim:
    """A claim that x < 1, with these two results."""

    def experiment(fast: bool, of_control: bool) -> Measured:
        x = control if of_control else measured
        lines = Lines("x & y", "steps", "x", {"ours": ([1.0, 2.0], [[x, x], [x, 2 * x]])}, {"bound": 1.0})
        return Measured({"x": x}, [lines, Dots("x", "x", {"ours": [x, x], "theirs": [1.0, 2.0]})])

    claim = Claim("a", "X is small.", Source("foret2021sam", "nowhere"), ("SAM",), (BOUND,), experiment, "no effect", 1, 0.1,
                  "all else")  # fmt: skip
    return replace(claim, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("measured", "control", "verdict", "reason"),
    [
        (0.5, 2.0, "held", "control failed as it must (no effect): the number x, worst seed is 2, not < 1"),
        (1.5, 2.0, "not held", "the number x, worst seed is 1.5, not < 1"),
        (0.5, 0.6, "not tested", "the check cannot fail: the control passes it too (no effect)"),
        (1.5, 0.6, "not tested", "the check cannot fail"),
        (float("nan"), 2.0, "not tested", "the experiment measured no finite x"),
        (0.5, float("inf"), "not tested", "the control measured no finite x"),
    ],
)
def test_the_verdict_comes_from_the_numbers(measured: float, control: float, verdict: str, reason: str) -> None:
    seen = judge(made(measured, control), fast=False)
    assert seen.verdict == verdict
    assert reason in seen.reason


@pytest.mark.parametrize("measured", [0.5, 1.5])
@pytest.mark.parametrize("control", [0.6, 2.0])
def test_a_fast_run_prints_numbers_and_no_verdict(measured: float, control: float) -> None:
    seen = judge(made(measured, control), fast=True)
    assert (seen.verdict, seen.numbers, seen.control) == ("too small to judge", {"x": measured}, {"x": control})
    assert seen.reason == f"the number x, worst seed: {short(measured)}, control {short(control)} (in full < 1)"


def test_a_fast_run_that_broke_says_so() -> None:
    assert judge(made(float("nan"), 2.0), fast=True).verdict == "not tested"


@pytest.mark.parametrize(
    ("digits", "value", "kept"),
    [(3, 0.123456, 0.123), (2, 0.123456, 0.12), (3, 0.99996, 0.99996), (3, 1.00004, 1.0), (3, 1234567.0, 1230000.0),
     (3, 1.0, 1.0), (2, 0.996, 0.996), (17, 0.1 + 0.2, 0.1 + 0.2)],
)  # fmt: skip
def test_as_many_digits_as_are_stable_and_as_the_verdict_needs(digits: int, value: float, kept: float) -> None:
    claim = made(value, 2.0, digits=digits)
    assert stable(claim, {"x": value}) == {"x": kept}
    assert judge(claim, fast=False).numbers == {"x": kept}
    assert judge(claim, fast=False).verdict == ("held" if value < 1 else "not held")


def test_a_trivial_rival_must_fail() -> None:
    """It cannot make a claim hold, nor excuse one that does not."""
    claim = made(0.5, 2.0)
    assert decide(claim, {"x": 0.5}, {"x": 2.0}, {"standing still": {"x": 0.9}}) == (
        "not tested", "a trivial rival passes the check, too: standing still")  # fmt: skip
    verdict, reason = decide(claim, {"x": 0.5}, {"x": 2.0}, {"standing still": {"x": 1.5}})
    assert verdict == "held"
    assert "So did standing still: the number x, worst seed is 1.5, not < 1" in reason
    assert decide(claim, {"x": 1.5}, {"x": 2.0}, {"standing still": {"x": 0.9}})[0] == "not held"
    assert decide(claim, {"x": 0.5}, {"x": 2.0}, {"standing still": {}}) == (
        "not tested", "standing still did not measure x")  # fmt: skip


def test_without_the_regime_nothing_is_judged() -> None:
    claim = made(0.5, 2.0, regime=(Bound("noise", "≥", 10.0, "noise over signal"),))
    assert decide(claim, {"x": 0.5, "noise": 11.0}, {"x": 2.0})[0] == "held"
    for x in (0.5, 1.5):
        assert decide(claim, {"x": x, "noise": 9.0}, {"x": 2.0}) == (
            "not tested", "the paper's regime is not reached: noise over signal is 9, not ≥ 10")  # fmt: skip
    assert decide(claim, {"x": 0.5}, {"x": 2.0}) == ("not tested", "the experiment did not measure noise")


def test_rivals_are_kept_and_shown(tmp_path: Path) -> None:
    def experiment(fast: bool, control: bool) -> Measured:
        return Measured({"x": 2.0 if control else 0.5}, rivals={"standing still": {"x": 1.23456}})

    index = {"a": made(0, 0, experiment=experiment, regime=(Bound("x", ">", 0.0, "x at all"),))}
    seen = claims.run(["a"], False, tmp_path, claims=index)
    assert recorded(tmp_path / "verdicts.json")["verdicts"]["a"]["rivals"] == {"standing still": {"x": 1.23}}
    page = claims.report(seen, tmp_path, index).read_text(encoding="utf-8")
    assert "standing still: the number x, worst seed 1.23" in page
    assert "x at all &gt; 0" in page


@pytest.mark.parametrize("measured", [0.5, 1.5])
def test_what_nobody_has_read_is_not_judged(measured: float) -> None:
    """Neither held nor not held: the numbers are of another equation than the paper's."""
    seen = judge(made(measured, 2.0, unseen="the equation has not been seen"), fast=False)
    assert (seen.verdict, seen.reason) == ("not tested", "not reproduced: the equation has not been seen")
    assert seen.numbers == {"x": measured}


def test_all_bounds_must_pass_and_be_measured() -> None:
    two = made(0.5, 2.0, bounds=(BOUND, Bound("x", ">", 0.6, "x again")))
    assert judge(two, False).verdict == "not held"
    lost = made(0.5, 2.0, bounds=(BOUND, Bound("y", ">", 0.0, "y")))
    assert decide(lost, {"x": 0.5}, {"x": 2.0}) == ("not tested", "the experiment did not measure y")
    assert two.inequality == "the number x, worst seed < 1; x again > 0.6"


@pytest.mark.parametrize(("relation", "passing"), [("<", {0.0}), ("≤", {0.0, 1.0}), (">", {2.0}), ("≥", {1.0, 2.0})])
def test_relations(relation: str, passing: set[float]) -> None:
    bound = Bound("x", relation, 1.0, "x")  # type: ignore[arg-type]
    assert {x for x in (0.0, 1.0, 2.0) if bound.passes({"x": x})} == passing


def test_an_exception_is_the_reason_of_the_verdict() -> None:
    def broken(fast: bool, control: bool) -> Measured:
        raise ZeroDivisionError("no seeds")

    def broken_in_control(fast: bool, control: bool) -> Measured:
        if control:
            raise ZeroDivisionError("no seeds")
        return Measured({"x": 0.5})

    for experiment, numbers in ((broken, {}), (broken_in_control, {"x": 0.5})):
        seen = judge(made(0, 0, experiment=experiment), fast=True)
        assert (seen.verdict, seen.numbers, seen.control) == ("not tested", numbers, {})
        assert seen.reason == "raised ZeroDivisionError: no seeds"
        assert "no seeds" in seen.trace
        assert experiment.__name__ in seen.trace


def test_an_interruption_is_not_a_verdict() -> None:
    def interrupted(fast: bool, control: bool) -> Measured:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(made(0, 0, experiment=interrupted), fast=True)


def test_an_experiment_disturbs_nobody() -> None:
    seen: list[float] = []

    def noisy(fast: bool, control: bool) -> Measured:
        torch.set_num_threads(2)
        seen.append(torch.rand(()).item())
        return Measured({"x": 2.0 if control else 0.5})

    before, threads = torch.get_rng_state(), torch.get_num_threads()
    judge(made(0, 0, experiment=noisy), fast=True)
    judge(made(0, 0, experiment=noisy), fast=True)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert len(set(seen)) == 1, "every run starts from the same random state"


def test_pictures_show_the_control_on_the_same_scale() -> None:
    picture = judge(made(0.5, 2.0), True, draw).picture
    assert picture is not None
    assert picture.startswith("<svg")
    assert picture.count('id="axes_') == 3  # two of the experiment, one of the control
    assert draw(made(0.5, 2.0), Measured({"x": 1.0}), Measured({"x": 1.0})) is None


def test_run_keeps_what_it_has(tmp_path: Path) -> None:
    index = {"a": made(0.5, 2.0), "b": made(1.5, 2.0, name="b")}
    told: list[tuple[str, int, int]] = []
    seen = claims.run(["b", "a"], False, tmp_path, lambda *where: told.append(where), index)
    assert [v.verdict for v in seen] == ["not held", "held"]
    assert told == [("b", 1, 2), ("a", 2, 2)]
    content = json.loads((tmp_path / "verdicts.json").read_text())
    assert {name: v["verdict"] for name, v in content["verdicts"].items()} == {"a": "held", "b": "not held"}
    assert content["command"] == "steepest claims"
    assert {v["processor"] for v in content["verdicts"].values()} == {processor()}
    for v in content["verdicts"].values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", v["date"])
        assert v["versions"]["torch"] == torch.__version__
    keep(tmp_path / "verdicts.json", [replace(seen[0], numbers={"x": 0.25})], "again")
    assert recorded(tmp_path / "verdicts.json")["verdicts"]["b"]["numbers"] == {"x": 0.25}
    assert claims.run(["a"], True, tmp_path, claims=index)[0].verdict == "too small to judge"
    assert json.loads((tmp_path / "verdicts.json").read_text())["command"] == "steepest claims --fast"
    with pytest.raises(KeyError, match="no claim is called 'c'"):
        claims.run(["c"], claims=index)


def test_writers_of_one_record_lose_nothing(tmp_path: Path) -> None:
    """Sixteen at once: each finds its own verdict in the end, and no draft is left."""
    record = tmp_path / "verdicts.json"
    verdict = judge(made(0.5, 2.0), fast=True)
    names = [f"claim-{i}" for i in range(16)]
    with ThreadPoolExecutor(16) as crowd:
        list(crowd.map(lambda name: keep(record, [replace(verdict, claim=name)], "at once"), names))
    assert set(recorded(record)["verdicts"]) == set(names)
    assert [file.name for file in tmp_path.iterdir()] == ["verdicts.json"]


def test_a_record_follows_the_index(tmp_path: Path) -> None:
    record = tmp_path / "verdicts.json"
    verdict = judge(made(0.5, 2.0), fast=True)
    for name in ("gone", "b", "a"):
        keep(record, [replace(verdict, claim=name)], "once")
    keep(record, [replace(verdict, claim="c")], "again", ["a", "b", "c", "d"])
    assert list(recorded(record)["verdicts"]) == ["a", "b", "c"]


def test_the_page_holds_everything(tmp_path: Path) -> None:
    def broken(fast: bool, control: bool) -> Measured:
        raise ZeroDivisionError("a < b")

    index = {"a": made(0.5, 2.0), "b": made(1.5, 2.0, name="b"), "c": made(0, 0, name="c", experiment=broken)}
    path = claims.report(claims.run(None, False, claims=index), tmp_path, index)
    page = path.read_text(encoding="utf-8")
    assert path == tmp_path / "claims.html"
    assert "1 of 3 claims held, 1 did not, 1 could not be tested" in page
    assert page.count("<svg") == 2
    assert "Foret et al. (2021)" in page
    assert "https://arxiv.org/abs/2010.01412" in page
    assert "a &lt; b" in page, "text is escaped"
    assert not re.search(r"(?:src|href)=\"(?!#|https://)", page), "nothing is fetched from elsewhere"
    assert "✓" in page
    assert processor() in page
    fast = claims.report(claims.run(None, True, claims=index), tmp_path, index).read_text(encoding="utf-8")
    assert "2 of 3 claims ran, too small to judge" in fast
    assert not re.search("✓|✗|>held<|>not held<", fast), "a fast run says nothing that reads like a verdict"


def test_headline() -> None:
    one = Verdict("a", "held", {}, {}, "", 1.0)
    assert headline([one]) == "1 of 1 claim held"
    assert headline([one, replace(one, verdict="not tested")]) == "1 of 2 claims held, 1 could not be tested"
    small = replace(one, verdict="too small to judge")
    assert headline([small]) == "1 of 1 claim ran, too small to judge"
    assert headline([one, small]) == "1 of 2 claims held, 1 ran too small to judge"


def test_numbers_are_short() -> None:
    assert [short(x) for x in (1.0, 0.123, 3e18, -0.95, 1e-6)] == ["1", "0.123", "3e+18", "-0.95", "1e-06"]


def test_the_record_is_rewritten_for_named_claims_or_on_demand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without names it runs nothing and says what to give; --all runs everything."""
    ran: list[str] = []

    def run(names: list[str]) -> list[Verdict]:
        ran.extend(names)
        return [Verdict(names[0], "held", {}, {}, "", 1.0)]

    files = {"a": tmp_path / "one.json", "b": tmp_path / "two.json", "c": tmp_path / "two.json"}
    monkeypatch.setattr(records, "INDEX", Index(records=files))
    monkeypatch.setattr(command, "CLAIMS", {"a": None, "b": None})
    keep(files["b"], [Verdict(name, "held", {}, {}, "", 1.0) for name in ("gone", "c")], "once")
    monkeypatch.setattr(command, "run", run)
    for wrong, said in (([], "--all"), (["--all", "a"], "not both"), (["d"], "no claim is called 'd'")):
        monkeypatch.setattr("sys.argv", ["claims", *wrong])
        with pytest.raises(SystemExit, match="2"):
            command.main()
        assert said in capsys.readouterr().err
        assert ran == []
        assert not files["a"].exists()
    for right, names in ((["b"], ["b"]), (["--all"], ["a", "b"])):
        monkeypatch.setattr("sys.argv", ["claims", *right])
        command.main()
        assert ran == names
        ran.clear()
    assert list(recorded(files["a"])["verdicts"]) == ["a"]
    assert list(recorded(files["b"])["verdicts"]) == ["b", "c"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.json", "two.json"]
    monkeypatch.setattr(command, "BROKEN", {"steepest.claims.games.nobody2026_bad": "SyntaxError: invalid syntax"})
    monkeypatch.setattr("sys.argv", ["claims", "--all"])
    with pytest.raises(SystemExit, match="1"):
        command.main()
    assert ran == ["a", "b"], "the others ran"
    assert "steepest.claims.games.nobody2026_bad cannot be read: SyntaxError" in capsys.readouterr().err


CLAIMS_OF_A_TEST = """
from dataclasses import replace
from steepest import claims
CLAIMS = [replace(claims.CLAIMS["sam-flatter"], name={name!r})]
"""


def test_a_broken_file_hides_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is told by name with what it raised, wherever it breaks; so is one that claims what another one does."""
    area = tmp_path / "papers_of_a_test" / "games"
    area.mkdir(parents=True)
    for folder in (area.parent, area):
        (folder / "__init__.py").write_text("")
    texts = {
        "late2002_good": CLAIMS_OF_A_TEST.format(name="late-one"),
        "early2001_good": CLAIMS_OF_A_TEST.format(name="early-one"),
        "nobody1999_syntax": "def",
        "nobody2000_raises": "1 / 0",
        "nobody2003_twice": CLAIMS_OF_A_TEST.format(name="late-one"),
        "nobody2004_empty": "",
        "helper": "1 / 0",
    }
    for name, text in texts.items():
        (area / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    index = collect(import_module("papers_of_a_test"))
    assert list(index.claims) == ["early-one", "late-one"]
    assert index.records["early-one"] == area / "early2001_good.json"
    assert {name.rsplit(".", 1)[1]: why.split(":")[0] for name, why in index.broken.items()} == {
        "nobody1999_syntax": "SyntaxError", "nobody2000_raises": "ZeroDivisionError",
        "nobody2003_twice": "ValueError", "nobody2004_empty": "AttributeError"}  # fmt: skip
    assert index.broken["papers_of_a_test.games.nobody2003_twice"] == (
        "ValueError: claim 'late-one' is in late2002_good.py, too")  # fmt: skip


def test_reach_interpolates() -> None:
    assert reach([4.0, 2.0, 1.0], 3.0) == pytest.approx(0.5)
    assert reach([4.0, 2.0, 1.0], 1.0) == pytest.approx(1.0)
    assert reach([4.0, 2.0, 1.0], 0.5) == 1.1
    assert reach([4.0, 2.0], 5.0) == 0.5
