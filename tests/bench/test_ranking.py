"""The answer: a winner only when the test says so, and sentences that claim no more than was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.lines import Line2D

from steepest.bench import figures, report
from steepest.bench.contestants import REFERENCE
from steepest.bench.plan import Results, Settings
from steepest.bench.problem import Problem, Workload
from steepest.bench.ranking import Answer, number
from steepest.bench.run import Record

Times = Sequence[Sequence[float | None]]  # workload → seed


def never(seed: int) -> Problem:
    raise AssertionError("nothing is built to give an answer")


def record(arrives: float | None, budget: float = 300.0, status: str = "done") -> Record:
    """A run that reaches the loss 1 at `arrives` gradient-equivalents and stays at 2 before."""
    curve = [
        {"step": i, "ge": 3.0 * i, "seconds": 0.1 * i, "train": None, "accuracy": 0.5,
         "loss": 1.0 if arrives is not None and 3.0 * i >= arrives else 2.0}
        for i in range(round(budget / 3) + 1)
    ]  # fmt: skip
    return Record(status, curve, 0.25, 4.0, {"lr": 0.1}, {"machine": "abacus", "versions": "torch 9"})


def answer(times: Mapping[str, Times], folder: Path = Path(), **settings: Any) -> Answer:
    """From times to target: method → workload → seed."""
    some = next(iter(times.values()))
    workloads = tuple(Workload(f"w{i}", "made up", never, 300.0, target=1.0) for i in range(len(some)))
    records = {
        (f"w{i}", method, seed): record(t)
        for method, by_workload in times.items()
        for i, row in enumerate(by_workload)
        for seed, t in enumerate(row)
    }
    return Answer(Results(Settings(workloads, tuple(times), len(some[0]), folder, **settings), records, {}))


SLOW: Times = [[120, 126, 132], [150, 144, 159], [90, 96, 93], [210, 213, 201],
               [123, 135, 129], [156, 150, 147], [99, 93, 105], [204, 198, 210]]  # fmt: skip


def faster(factor: float) -> Times:
    return [[None if t is None else t * factor for t in row] for row in SLOW]


def test_a_consistent_winner_is_named_with_its_factor() -> None:
    a = answer({REFERENCE: SLOW, "Quick": faster(0.5)})
    assert a.verdict == "Use Quick"
    assert "in 0.5" in a.sentence
    assert a.standing("Quick").ratio["ge"] == pytest.approx(0.5, rel=0.05)
    assert a.standing("Quick").p == pytest.approx(2.0**-7)  # eight workloads, however many seeds
    assert "p = 0.0078 over workloads" in a.sentence
    assert a.standings[0].method == "Quick"


def test_the_best_of_several_winners_is_named_first() -> None:
    a = answer({REFERENCE: SLOW, "Quick": faster(0.5), "Quicker": faster(0.3)})
    assert a.verdict == "Use Quicker"
    assert "and Quick (0.5" in a.sentence


def test_where_the_winner_is_slower_is_said() -> None:
    mixed = [*faster(0.2)[:3], [252, 255, 243], *faster(0.2)[4:]]
    a = answer({REFERENCE: SLOW, "Mixed": mixed})
    assert a.verdict == "Use Mixed"
    assert "slower on w3 (1.2×)" in a.sentence


def test_a_method_that_is_better_by_luck_only_is_no_winner() -> None:
    coin = [[60, 180, 60], [240, 90, 210], [60, 120, 45], [105, 285, 150]] * 2
    a = answer({REFERENCE: SLOW, "Coin": coin})
    assert a.standing("Coin").ratio["ge"] < 1.0
    assert a.verdict == f"Stay with {REFERENCE}"
    assert "no method differs significantly" in a.sentence


def test_the_number_of_methods_counts() -> None:
    """The same times win alone and do not win among twenty: the level is shared."""
    narrow = faster(0.8)
    alone = answer({REFERENCE: SLOW, "A": narrow, "B": SLOW})
    crowd = answer({REFERENCE: SLOW, "A": narrow, **{f"B{i}": SLOW for i in range(19)}})
    assert (crowd.standing("A").p or 0) > (alone.standing("A").p or 1)
    assert alone.standing("A").verdict == "better"
    assert crowd.standing("A").verdict == "unclear"


def test_too_few_workloads_cannot_tell_however_large_the_factor() -> None:
    a = answer({REFERENCE: SLOW[:5], "Quick": faster(0.1)[:5]})
    assert a.verdict == "Too few workloads to decide"
    assert "it takes 6: add --workload" in a.sentence
    six = answer({REFERENCE: SLOW[:6], "Quick": faster(0.1)[:6]})
    assert six.verdict == "Use Quick"
    rivals = answer({REFERENCE: SLOW[:7], **{f"Quick{i}": faster(0.1)[:7] for i in range(6)}})
    assert "it takes 8" in rivals.sentence


def test_seeds_of_one_workload_make_no_p_value() -> None:
    """However many they are; it is said why, and what was seen."""
    a = answer({REFERENCE: [[120, 126, 132] * 7], "Quick": [[12, 12, 12] * 7]})
    assert a.verdict == "One workload names no winner"
    assert a.standing("Quick").p is None
    assert a.standing("Quick").verdict == "–"
    assert "seeds of one workload are no sample of workloads" in a.sentence
    assert "0.10 times the gradient-equivalents" in a.sentence
    assert "first on 21 of 21 seeds" in a.sentence


def test_more_seeds_make_no_smaller_p_value() -> None:
    three = answer({REFERENCE: SLOW, "Quick": faster(0.5)})
    many = answer({REFERENCE: [[*row] * 5 for row in SLOW], "Quick": [[*row] * 5 for row in faster(0.5)]})
    assert many.standing("Quick").p == three.standing("Quick").p


def test_a_first_look_names_no_winner(tmp_path: Path) -> None:
    a = answer({REFERENCE: SLOW, "Quick": faster(0.1)}, tmp_path, quick=True)
    assert a.verdict == "A first look"
    assert "names no winner (best seen: Quick, 0.1" in a.sentence
    assert {s.p for s in a.standings} == {None}
    assert "Use Quick" not in report.render(a, [])


def test_an_error_is_no_miss() -> None:
    """It is told as an error, left out of ratio and test, and earns no score."""
    a = answer({REFERENCE: SLOW, "Quick": faster(0.5), "Broken": faster(0.5)})
    for seed in range(3):
        a.results.records["w0", "Broken", seed] = Record("failed", [], error="ValueError: no", traceback="File own.py")
    a.results.records["w1", "Broken", 1] = Record("failed", [], error="ValueError: no")
    cell = a.cells["w0", "Broken"]
    assert (cell.errors, cell.trouble) == (3, "3 errors")
    broken, quick = a.standing("Broken"), a.standing("Quick")
    assert (broken.errors, quick.errors) == (4, 0)
    assert broken.ratio["ge"] == pytest.approx(quick.ratio["ge"], rel=0.03)  # not a miss, which would be 4 times
    assert broken.score < quick.score
    assert len(a.by_workload("Broken")) == 7
    assert "In an error, which is no miss, ended Broken (4 of 24 runs): ValueError: no." in a.sentence
    page = report.render(a, [])
    assert "3 errors: nothing was measured" in page
    assert "<pre>File own.py</pre>" in page


def test_an_error_of_the_reference_is_no_win() -> None:
    a = answer({REFERENCE: SLOW, "Same": SLOW})
    for w in range(8):
        a.results.records[f"w{w}", REFERENCE, 0] = Record("failed", [], error="RuntimeError: x")
    assert a.standing("Same").ratio["ge"] == 1.0
    assert a.standing("Same").verdict == "unclear"


def test_nothing_but_errors() -> None:
    a = answer({REFERENCE: [[None] * 3] * 2, "Quick": [[None] * 3] * 2})
    for key in list(a.results.records):
        a.results.records[key] = Record("failed", [], error="ZeroDivisionError: in my loss")
    assert a.verdict == "Every run ended in an error"
    assert "ZeroDivisionError: in my loss" in a.sentence
    assert "raise --budget" not in a.sentence
    assert "Every run ended in an error" in report.render(a, [])


def test_reached_means_reached_and_stayed() -> None:
    """A curve that dips below the target and rises again has not reached it, nor has a run that is lost afterwards."""
    a = answer({REFERENCE: SLOW[:1], "Quick": faster(0.5)[:1]})
    dips = record(60)
    dips.curve[-1]["loss"] = 1.5
    back = record(60)
    back.curve[40]["loss"] = 1.5  # at 120, and below again from 123 on
    lost = record(60, status="diverged")
    a.results.records.update({("w0", "Quick", seed): r for seed, r in enumerate((dips, back, lost))})
    assert a.times("w0", "Quick", "ge") == [math.inf, 123.0, math.inf]


def test_a_reference_that_makes_no_progress_sets_no_target() -> None:
    workload = Workload("w", "", never, 300.0)
    records = {("w", m, s): record(None) for m in (REFERENCE, "Quick") for s in range(3)}  # 2 from start to end
    a = Answer(Results(Settings((workload,), (REFERENCE, "Quick"), 3, Path()), records, {}))
    assert a.cells["w", "Quick"].reached == 0
    assert "ended no lower than it began on w" in a.sentence
    assert "held-out loss ≤ –" in report.render(a, [])


def test_misses_of_the_reference_are_wins() -> None:
    a = answer({REFERENCE: [[None]] * 6, "Quick": [[120.0]] * 6})
    assert a.verdict == "Use Quick"
    assert "100% of the targets" in a.sentence
    assert "(torch.AdamW 0%)" in a.sentence
    assert number(a.cells["w0", REFERENCE].ge) == "∞"


def test_nobody_arrives() -> None:
    a = answer({REFERENCE: [[None] * 6], "Quick": [[None] * 6]})
    assert a.verdict == "No answer yet"
    assert "raise --budget" in a.sentence


def test_nothing_to_compare() -> None:
    assert "nothing to compare" in answer({REFERENCE: SLOW}).sentence


def test_the_ruleset_is_part_of_the_sentence() -> None:
    assert "with default settings" in answer({REFERENCE: SLOW, "Quick": faster(0.5)}).sentence
    assert "after 8 tuning trials each" in answer({REFERENCE: SLOW, "Quick": faster(0.5)}, tune=8).sentence


def test_nothing_faster() -> None:
    a = answer({REFERENCE: SLOW, "Slow": faster(1.3)})
    assert "no method was faster" in a.sentence
    assert a.standing("Slow").verdict == "worse"


def test_a_reached_target_after_divergence_and_a_lost_seed_are_told() -> None:
    a = answer({REFERENCE: SLOW, "Wild": faster(0.5)})
    a.results.records["w0", "Wild", 0] = record(None, status="diverged")
    a.results.records["w0", "Wild", 1] = record(None, status="failed")
    cell = a.cells["w0", "Wild"]
    assert (cell.reached, cell.trouble, number(cell.ge), number(cell.final)) == (1, "1 diverged, 1 error", "∞", "∞")


def test_without_a_target_the_references_median_end_is_the_target() -> None:
    workload = Workload("w", "", never, 300.0)
    records = {("w", m, s): record(t) for m in (REFERENCE, "Quick") for s, t in enumerate((60.0, 90.0, None))}
    a = Answer(Results(Settings((workload,), (REFERENCE, "Quick"), 3, Path()), records, {}))
    assert a.targets["w"] == 1.0
    assert a.cells["w", "Quick"].reached == 2


def test_what_tuning_gives() -> None:
    """Per trial: 1 for the fastest of anybody, 0 for a miss; then the best of k, expected, and the mean over workloads."""
    a = answer({REFERENCE: SLOW[:2], "Quick": SLOW[:2], "Untunable": SLOW[:2]}, tune=2)
    a.results.trials.update({
        ("w0", REFERENCE): [record(60), record(None)],
        ("w0", "Quick"): [record(150), record(240)],  # 2.5 and 4 times the fastest
        ("w1", REFERENCE): [record(None), record(None)],
        ("w1", "Quick"): [record(None), record(None)],  # nobody arrives, so nobody is best at it
    })  # fmt: skip
    assert a.tuning == {REFERENCE: [0.25, 0.5], "Quick": [0.125, 0.25]}
    page = report.render(a, [])
    assert "What tuning gives" in page
    assert page.count("<svg") == 2 * 3 - 2 + 2  # two workloads have no profile, and training nothing to show
    ElementTree.fromstring(figures.svg(figures.tuning(a)))
    assert "What tuning gives" not in report.render(answer({REFERENCE: SLOW, "Quick": SLOW}), [])


@pytest.mark.parametrize(
    ("x", "text"), [(float("inf"), "∞"), (None, "–"), (1234.0, "1,234"), (0.0123456, "0.0123"), (3.0, "3")]
)
def test_numbers_in_tables(x: float | None, text: str) -> None:
    assert number(x) == text


def test_the_page_is_whole_and_alone(tmp_path: Path) -> None:
    a = answer({REFERENCE: SLOW, "Quick": faster(0.5), "<b>Odd & name": [[None] * 3] * 8}, tmp_path)
    a.results.records["w0", "Quick", 0] = Record("failed", [], error="ValueError: <script>")
    page = report.write(a, ["bench", "-w", "my mod:f"]).read_text(encoding="utf-8")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    for word in (
        "Use Quick",
        "steepest bench -w &#39;my mod:f&#39;",
        "abacus",
        "torch 9",
        "lr = 0.1",
        "&lt;script&gt;",
    ):
        assert word in page, word
    assert "<b>Odd" not in page
    assert "<script" not in page
    assert "src=" not in page
    links = {part.split('"')[0] for part in page.split('href="')[1:]}
    assert all(link.startswith("#") for link in links), "the page must not need anything else"
    assert page.count("<svg") == 2 * len(a.workloads) + 2  # loss and accuracy
    assert report.render(a, []).count("<svg") == 2 * len(a.workloads) + 2


def test_training_loss_and_accuracy_are_drawn_where_there_are_any() -> None:
    a = answer({REFERENCE: SLOW, "Quick": faster(0.5)})
    assert figures.measures(a, "w0") == ["loss", "accuracy"]
    for r in a.results.records.values():
        for point in r.curve[1:]:
            point["train"] = 0.5
    assert figures.measures(a, "w0") == ["loss", "train", "accuracy"]
    page = report.render(a, [])
    assert all(f"<h3>{title}</h3>" in page for title in ("Held-out loss", "Training loss", "Held-out accuracy"))
    (ax,) = figures.curves(a, "w0", "train").axes
    assert all(heights(line)[0] == 0.5 for line in ax.lines)  # nothing is drawn before the first step


def test_a_profile_is_drawn_from_five_workloads_on() -> None:
    for n in (4, 5):
        page = report.render(answer({REFERENCE: SLOW[:n], "Quick": faster(0.5)[:n]}), [])
        assert ("the area is its score" in page) == (n == 5)
        assert ("A performance profile is drawn from 5 workloads on" in page) == (n == 4)


def heights(line: Line2D) -> list[float]:
    """What a line is drawn through."""
    return [float(y) for y in np.asarray(line.get_ydata())]


def lying(losses: Sequence[float | None], status: str = "done") -> Record:
    """A run with these losses, spread over the budget of 300."""
    step = 300 / (len(losses) - 1)
    curve = [{"step": i, "ge": step * i, "seconds": 0.1, "train": None, "loss": loss} for i, loss in enumerate(losses)]
    return Record(status, curve)


def test_every_method_is_in_sight_and_what_leaves_the_picture_is_marked() -> None:
    """Also one that only rises, one that is lost after its first step, and one that comes down late."""
    a = answer(dict.fromkeys((REFERENCE, "Rises", "Lost", "Detour"), SLOW[:1]))
    runs = {
        REFERENCE: lying([2.0, 1.5, 1.0, 0.9]), "Rises": lying([2.0, 9.0, 8.0, 9e6]),
        "Lost": lying([2.0, None], "diverged"), "Detour": lying([2.0, 1e5, 3.0, 0.9]),
    }  # fmt: skip
    a.results.records.update({("w0", m, s): r for m, r in runs.items() for s in range(3)})
    (ax,) = figures.curves(a, "w0").axes
    low, high = ax.get_ylim()
    lines = {line.get_label(): line for line in ax.lines}
    for m in ("Rises", "Detour"):
        assert sum(low <= y <= high for y in heights(lines[m])) >= 2, m
    marks = [(line.get_marker(), line.get_color()) for line in ax.lines]
    colour = figures.colours(a)
    assert ("^", colour["Rises"]) in marks
    assert ("^", colour["Detour"]) in marks
    assert ("x", colour["Lost"]) in marks
    assert not {("^", colour[REFERENCE]), ("x", colour[REFERENCE])} & set(marks)


def test_the_ends_of_the_axis_of_ratios_are_marked() -> None:
    """A miss of one side is a triangle at the end, and the end is labelled as one."""
    times: Times = [[6.0] * 3, [None] * 3, *SLOW[2:]]
    (ax,) = figures.ratios(answer({REFERENCE: SLOW, "Mixed": times})).axes
    assert {line.get_marker() for line in ax.lines} >= {"<", ">", "o"}
    assert figures._at_the_ends(8.0, 0) == "≥ 8×"
    assert figures._at_the_ends(0.125, 0) == "≤ 0.125×"
    assert figures._at_the_ends(2.0, 0) == "2×"


def test_pictures_are_well_formed_and_the_same_each_time() -> None:
    a = answer({REFERENCE: SLOW, "Quick": faster(0.5)})
    for draw in (lambda: figures.curves(a, "w0"), lambda: figures.profiles(a), lambda: figures.ratios(a)):
        text = figures.svg(draw())
        ElementTree.fromstring(text)
        assert figures.svg(draw()) == text


def test_pictures_of_lost_runs_can_be_drawn() -> None:
    a = answer({REFERENCE: [[None] * 3], "Wild": [[None] * 3]})
    for key in list(a.results.records):
        a.results.records[key] = Record("failed", [], error="x")
    for figure in (figures.curves(a, "w0"), figures.profiles(a), figures.ratios(a)):
        assert "<svg" in figures.svg(figure)
