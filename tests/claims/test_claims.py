"""Every claim, in the fast profile: it runs to its end, its control fails, its numbers and its card are complete.

The fast profile gives no verdict. What the full profile gave is on record, and the record must follow from its own numbers.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

import steepest
from steepest import claims
from steepest.applications import generative, online, rl
from steepest.claims.lab.base import RELATIONS, decide, fails
from steepest.claims.lab.index import INDEX
from steepest.claims.lab.pictures import draw
from steepest.claims.lab.report import papers

ROOM = Path(claims.__file__).parent
ROOMS = (
    steepest.solve,
    steepest.landscape,
    steepest.oracle,
    steepest.losses,
    steepest.weighting,
    generative,
    online,
    rl,
)
NAMES = list(claims.CLAIMS)
RECORD = claims.recorded()


@pytest.mark.parametrize("name", NAMES)
def test_claim(name: str) -> None:
    """No verdict, and never "the check cannot fail"; pictures are drawn."""
    seen = claims.judge(claims.CLAIMS[name], True, draw)
    assert seen.trace == ""
    assert seen.verdict == "too small to judge", seen.reason
    assert fails(claims.CLAIMS[name].bounds, seen.control), "the control passes"
    assert all(map(math.isfinite, [*seen.numbers.values(), *seen.control.values()]))
    assert seen.picture is not None


@pytest.mark.parametrize("name", NAMES)
def test_card(name: str) -> None:
    """A claim names its paper, its methods, its control, its size and what it leaves open."""
    claim = claims.CLAIMS[name]
    assert claim.source.key in papers(), "the paper is missing in references.bib"
    assert claim.methods
    known = set(steepest.methods).union(*(room.__all__ for room in ROOMS))
    assert set(claim.methods) <= known, "a method that is not in the library"
    assert claim.bounds
    assert {b.relation for b in claim.bounds} <= set(RELATIONS)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", name)
    for text in (claim.sentence, claim.control, claim.untested, claim.source.where, *(b.words for b in claim.bounds)):
        assert text.strip()
        assert text == " ".join(text.split())
    assert claim.sentence.endswith(".")
    assert all(re.fullmatch(r"00[0-4]-\d{2,3}", row) for row in claim.rows)
    assert claim.seeds >= 1
    assert claim.digits >= 1
    assert 0 < claim.minutes <= 5


@pytest.mark.parametrize("name", NAMES)
def test_record(name: str) -> None:
    """The verdict on record is of the full profile and follows from the numbers on record."""
    if name not in RECORD["verdicts"]:
        pytest.skip(f"no full run on record yet: run `python -m steepest.claims {name}`")
    kept = RECORD["verdicts"][name]
    assert not kept["fast"]
    assert kept["trace"] == ""
    verdict, _ = decide(claims.CLAIMS[name], kept["numbers"], kept["control"], kept.get("rivals"))
    assert kept["verdict"] == verdict, "a bound was changed after the run: run it again, and say so in the changelog"


def test_records_are_of_these_claims() -> None:
    """A record lies beside its claims' file, keeps nothing of claims that are gone, and says how and when it was made."""
    files = {path.relative_to(ROOM): path for path in ROOM.rglob("*.json")}
    assert {path.with_suffix(".py") for path in files.values()} <= set(ROOM.rglob("*.py"))
    for path in files.values():
        content = claims.recorded(path)
        assert content["command"] == "python -m steepest.claims"
        assert content["verdicts"].keys() <= {name for name, record in INDEX.records.items() if record == path}
        for kept in content["verdicts"].values():
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", kept["date"])
            assert set(kept["versions"]) == {"steepest", "torch", "python"}
    assert set(RECORD["verdicts"]) == {name for path in files.values() for name in claims.recorded(path)["verdicts"]}


def test_every_claim_file_can_be_read() -> None:
    """A file that cannot is told by name; the others run."""
    assert claims.BROKEN == {}


def test_every_claim_file_is_in_the_index() -> None:
    """Files are called by author, year and method, and lie in the folder of their area; each has claims."""
    files = {f for f in ROOM.rglob("*.py") if re.fullmatch(r"[a-z]+\d{4}_\w+", f.stem)}
    assert {record.with_suffix(".py") for record in INDEX.records.values()} == files
    assert {f.parent.parent for f in files} == {ROOM}
    assert not [f for f in files if f.parent.name == "lab"]
    for name, claim in claims.CLAIMS.items():
        assert name == claim.name


def test_claims_know_what_a_user_knows() -> None:
    """No file of this room imports from the inside of the library; rooms that are public as rooms are the face, too."""
    inside = re.compile(
        r"^\s*(?:from|import) steepest\.(?!claims|(?:landscape|losses|nn|schedule|solve|weighting|applications[.]\w+) )",
        re.MULTILINE,
    )
    assert [f.name for f in ROOM.rglob("*.py") if inside.search(f.read_text(encoding="utf-8"))] == []


def test_evidence_for_a_method() -> None:
    """The claims about a method are found by its name."""
    assert {"sam-flatter", "sam-label-noise"} <= set(claims.about("SAM"))
    assert claims.about("nothing") == []


def test_methods_have_their_papers_ids_from_claims() -> None:
    """The union over the claims about a method, in order."""
    assert claims.catalogue("SAM") == ["001-027", "001-079", "001-080", "003-06"]
    assert claims.catalogue("nothing") == []
