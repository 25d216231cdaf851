"""The answer: a winner only when the test says so, and sentences that claim no more than was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from steepest.bench import figures, report
from steepest.bench.answer import Answer, number
from steepest.bench.contestants import REFERENCE
from steepest.bench.plan import Results, Settings
from steepest.bench.problem import Problem, Workload
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


def answer(times: Mapping[str, Times], folder: Path = Path(), **settings: int) -> Answer:
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


SLOW: Times = [[120, 126, 132], [150, 144, 159], [90, 96, 93], [210, 213, 201]]


def faster(factor: float) -> Times:
    return [[None if t is None else t * factor for t in row] for row in SLOW]


def test_a_consistent_winner_is_named_with_its_factor() -> None:
    a = answer({REFERENCE: SLOW, "Quick": faster(0.5)})
    assert a.verdict == "Use Quick"
    assert "in 0.5" in a.sentence
    assert a.standing("Quick").ratio["ge"] == pytest.approx(0.5, rel=0.05)
    assert a.standing("Quick").p == pytest.approx(2.0**-11)
    assert a.standings[0].method == "Quick"


def test_the_best_of_several_winners_is_named_first() -> None:
    a = answer({REFERENCE: SLOW, "Quick": faster(0.5), "Quicker": faster(0.3)})
    assert a.verdict == "Use Quicker"
    assert "and Quick (0.5" in a.sentence


def test_where_the_winner_is_slower_is_said() -> None:
    mixed = [*faster(0.2)[:3], [252, 255, 243]]
    a = answer({REFERENCE: SLOW, "Mixed": mixed})
    assert a.verdict == "Use Mixed"
    assert "slower on w3 (1.2×)" in a.sentence


def test_a_method_that_is_better_by_luck_only_is_no_winner() -> None:
    coin = [[60, 180, 60], [240, 90, 210], [60, 120, 45], [105, 285, 150]]
    a = answer({REFERENCE: SLOW, "Coin": coin})
    assert a.standing("Coin").ratio["ge"] < 1.0
    assert a.verdict == f"Stay with {REFERENCE}"
    assert "no method differs significantly" in a.sentence


def test_the_number_of_methods_counts() -> None:
    """The same times win alone and do not win among twenty: the level is shared."""
    narrow = [[114, 120, 126], [144, 138, 150], [96, 99, 99], [198, 204, 210]]
    alone = answer({REFERENCE: SLOW, "A": narrow, "B": SLOW})
    crowd = answer({REFERENCE: SLOW, "A": narrow, **{f"B{i}": SLOW for i in range(19)}})
    assert crowd.standing("A").p > alone.standing("A").p
    assert crowd.standing("A").verdict == "unclear"


def test_too_few_pairs_cannot_tell_however_large_the_factor() -> None:
    a = answer({REFERENCE: [[120, 126, 132]], "Quick": [[12, 12, 12]]})
    assert a.verdict == "Too few runs to tell"
    assert "run more --seeds" in a.sentence


def test_misses_of_the_reference_are_wins() -> None:
    a = answer({REFERENCE: [[None] * 6], "Quick": [[120.0] * 6]})
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
    assert (cell.reached, cell.trouble, number(cell.ge), number(cell.final)) == (1, "1 diverged, 1 failed", "∞", "∞")


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
    assert page.count("<svg") == 2 + 3
    ElementTree.fromstring(figures.svg(figures.tuning(a)))
    assert "What tuning gives" not in report.render(answer({REFERENCE: SLOW, "Quick": SLOW}), [])


@pytest.mark.parametrize(
    ("x", "text"), [(float("inf"), "∞"), (None, "–"), (1234.0, "1,234"), (0.0123456, "0.0123"), (3.0, "3")]
)
def test_numbers_in_tables(x: float | None, text: str) -> None:
    assert number(x) == text


def test_the_page_is_whole_and_alone(tmp_path: Path) -> None:
    a = answer({REFERENCE: SLOW, "Quick": faster(0.5), "<b>Odd & name": [[None] * 3] * 4}, tmp_path)
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
    assert page.count("<svg") == len(a.workloads) + 2
    assert report.render(a, []).count("<svg") == len(a.workloads) + 2


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
