"""A point goes with any direction, step size, chart and storage: the contract for assemblies that nobody has named.

Each sharpness-aware point over Lion over a line search over 8-bit state, as a user would write it; and some of them in
other coordinates, and inside an average.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import steepest
from steepest import chart, direction, oracle, point, stepsize
from tests.contract.case import Case
from tests.contract.law import LAWS
from tests.contract.law_fault import PLACES
from tests.contract.table import FILES
from tests.rows import Setting

POINTS: dict[str, tuple[point.Point, int]] = {  # and how often it asks
    "SAM": (point.SAM(), 2),
    "ASAM": (point.ASAM(rho=0.1), 2),
    "VaSSO": (point.VaSSO(theta=0.4), 2),
    "InfoSAM": (point.InfoSAM(rho=0.05), 2),
    "FSAM": (point.FSAM(sparsity=0.6, every=3), 2),
    "penalty": (point.GradientPenalty(), 2),
    "centred": (point.GradientPenalty(side="centred"), 3),
    "GAM": (point.GAM(rho=0.1), 4),
    "averaged": (point.Average(point.VaSSO(theta=0.4)), 2),
}
#: laws that a closure, a fault, a file or a copy could break
ASKED = [law for law in LAWS.values()
         if law.check.__module__.endswith(("law_closure", "law_fault")) or law.name in
         ("a_file_is_enough", "a_run_can_be_rewound", "copies_go_on_alone", "frozen_and_unused_groups_stay",
          "tied_weights_are_one", "saved_state_is_plain", "hooks_are_called")]  # fmt: skip
BUILT_IN = {"float32", "bfloat16"}  # variants of codecs, which are chosen here


def searched(where: point.Point, params: Any, **options: Any) -> steepest.Optimizer:
    """The whole of what a user writes."""
    given: dict[str, Any] = {"codec": "int8", **options}
    return steepest.Optimizer(params, direction=direction.Lion(), step_size=stepsize.SLS(eta_max=0.01), point=where,
                              **given)  # fmt: skip


def charted(where: point.Point, params: Any, **options: Any) -> steepest.Optimizer:
    """The direction works in few coordinates, the point in all."""
    given: dict[str, Any] = {"lr": 0.02, "codec": "bfloat16", **options}
    return steepest.Optimizer(params, direction=direction.Adam(), chart=chart.LowRank(rank=2, every=3), point=where,
                              **given)  # fmt: skip


def moving(where: point.Point, params: Any, **options: Any) -> steepest.Optimizer:
    """For points that move, or ask elsewhere than at x: without a search, which would ask between their questions."""
    given: dict[str, Any] = {"lr": 0.02, "codec": "int8", **options}
    return steepest.Optimizer(params, direction=direction.Adam(), point=where, **given)


CASES = {f"{name} over a search": Case(f"{name} over Lion and a line search", partial(searched, where), Setting(), True,
                                       asks, asks, True, True) for name, (where, asks) in POINTS.items()}  # fmt: skip
CASES |= {f"{name} in a chart": Case(f"{name} over Adam in a chart", partial(charted, POINTS[name][0]), Setting(), True,
                                     POINTS[name][1], POINTS[name][1]) for name in ("VaSSO", "GAM")}  # fmt: skip
CASES["spikes under SAM"] = Case("SAM over an oracle that leaves out spikes", partial(
    searched, point.SAM(), oracle=oracle.SkipSpikes(listen=1)), Setting(), True, 2, 2, True, True)  # fmt: skip
MOVING: dict[str, tuple[point.Point, int]] = {
    "implicit": (point.ProximalPoint(rounds=2, damping=0.7), 3),
    "ahead": (point.ExtraGradient(ahead=1.5), 2),
    "reflected": (point.Reflected(), 1),
}
CASES |= {name: Case(f"{name} over Adam", partial(moving, where), Setting(), True, asks, asks)
          for name, (where, asks) in MOVING.items()}  # fmt: skip
#: the loss is the one at the reflection, and gradients at x are refused (laws of points)
ELSEWHERE = {(law, "reflected") for law in ("a_closure_adds_to_what_is_there", "dropout_is_replayed_and_norms_count_once",
                                            "the_loss_comes_back")}  # fmt: skip
TABLE = [
    pytest.param(law.name, name, variant, id="-".join(filter(None, (law.name, variant, name))))
    for law in ASKED
    for variant in law.variants or ("",)
    for name, case in CASES.items()
    if law.concerns(case) and not law.slow and variant not in BUILT_IN and (law.name, name) not in ELSEWHERE
]


@pytest.mark.parametrize(("law", "name", "variant"), TABLE)
def test_law(law: str, name: str, variant: str) -> None:
    LAWS[law].check(CASES[name], *([variant] if variant else []))


def test_the_table_is_not_empty() -> None:
    """Laws come from the files of the contract, and faults in both passes are among them."""
    assert {law.check.__module__ for law in ASKED} <= {file.__name__ for file in FILES}
    assert {p.id for p in TABLE} >= {f"skip_means_it_never_was-{place}-VaSSO over a search" for place in PLACES}
    assert len(TABLE) > 25 * len(CASES)
