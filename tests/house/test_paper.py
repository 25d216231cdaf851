"""`bash .ci/paper KEY` runs what concerns one paper and nothing else, and says what a key could have been."""

from __future__ import annotations

import pytest

from steepest import claims
from tests.paper import ROOT, find


def test_a_method_a_claim_and_a_file_are_keys() -> None:
    method, claim, file = find("adopt"), find("adopt-any-beta2"), find("taniguchi2024_adopt")
    assert method.methods == claim.methods == file.methods == {"ADOPT"}
    assert claim.claims == {"adopt-any-beta2"}
    assert method.claims == file.claims == {"adopt-any-beta2", "adopt-clip-any-beta2"}
    assert {str(path.relative_to(ROOT)) for path in method.files} >= {
        "src/steepest/direction/adopt.py", "src/steepest/claims/adaptive/taniguchi2024_adopt.py"}  # fmt: skip


@pytest.mark.parametrize(
    ("test", "chosen"),
    [
        ("tests/contract/test_contract.py::test_law[descends-SAM]", True),
        ("tests/contract/test_contract.py::test_law[descends-ASAM]", False),
        ("tests/contract/test_ranks.py::test_two_processes_are_one[ddp-SAM]", False),
        ("tests/laws/test_flatness.py::test_radius_zero_is_no_probe[SAM]", True),
        ("tests/laws/test_flatness.py::test_sam_normalises", True),
        ("tests/laws/test_flatness.py::test_same", False),
        ("tests/claims/test_claims.py::test_claim[sam-flatter]", True),
        ("tests/claims/test_claims.py::test_claim[asam-scale-free]", False),
    ],
)
def test_tests_are_chosen_by_whole_words(test: str, chosen: bool) -> None:
    assert find("SAM").has(test) is chosen


def test_a_wrong_key_is_told_what_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError, match="called 'adopt-any-beta'; did you mean 'adopt-any-beta2'"):
        find("adopt-any-beta")
    monkeypatch.setattr(claims, "BROKEN", {"steepest.claims.games.nobody2026_bad": "SyntaxError: invalid syntax"})
    with pytest.raises(KeyError, match="the claims of nobody2026_bad cannot be read: SyntaxError"):
        find("nobody2026_bad")
