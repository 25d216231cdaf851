"""What is seen while a bench runs, in a terminal and without one."""

from __future__ import annotations

import io

from rich.console import Console

from steepest.bench.pool import Event
from steepest.bench.run import Run
from steepest.bench.show import Live

RUNS = [Run("digits-mlp", "ADOPT", seed, 60.0) for seed in range(20)]


def test_a_terminal_shows_all_runs_and_those_that_are_running() -> None:
    screen = io.StringIO()
    with Live(Console(file=screen, force_terminal=True, width=120), total=20, done=0) as live:
        live(Event(RUNS[0], 0.5))
        live(Event(RUNS[1], 0.25))
        live._bars.refresh()
        shown = screen.getvalue()
        assert "digits-mlp · ADOPT · seed 0" in shown
        assert "50/100" in shown
        live(Event(RUNS[0], 1.0, "done"))
        screen.truncate(0)
        live._bars.refresh()
        assert "seed 0" not in screen.getvalue()
        assert "1/20" in screen.getvalue()


def test_a_log_gets_a_line_now_and_then() -> None:
    log = io.StringIO()
    with Live(Console(file=log, force_terminal=False), total=20, done=4) as live:
        for run in RUNS[:16]:
            live(Event(run, 0.5))
            live(Event(run, 1.0, "done"))
    assert log.getvalue().splitlines() == [f"{n} of 20 runs done" for n in range(6, 21, 2)]
