"""Gradient methods worked out by hand: two or three coordinates, the first steps as numbers, the rest by the equations.

Each row says how its numbers come about; the moments are chosen so that most roots are whole.  The paper's equations
in numpy are held to the same numbers, so a slip in them shows, too.
"""

from __future__ import annotations

import pytest

from tests.collect import listed
from tests.rows import Hand, by_hand

STEPS = 8


@pytest.mark.parametrize("hand", listed("HANDS"), ids=lambda hand: hand.id)
def test_the_numbers(hand: Hand) -> None:
    etas = [*hand.etas, *(0.1 + 0.05 * t for t in range(STEPS - len(hand.etas)))]
    by_hand(hand.make, hand.hyper, hand.paper, hand.terms, hand.problem, etas, hand.want)
