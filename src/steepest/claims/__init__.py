"""Claims: papers' headline sentences as experiments that can fail, and what came out.

``CLAIMS`` is the index; ``run`` runs some of them, ``report`` writes the page, ``recorded`` is what the full profile gave
when it was last run for this version.

    >>> from steepest import claims
    >>> claims.CLAIMS["sam-flatter"].inequality
    "largest Hessian eigenvalue relative to SGD's, worst seed < 0.9"
"""

from __future__ import annotations

from steepest.claims.base import Bound, Claim, Dots, Lines, Measured, Source, Verdict, judge
from steepest.claims.index import CLAIMS, about, catalogue
from steepest.claims.record import recorded, run
from steepest.claims.report import report

__all__ = [
           "CLAIMS",
           "Bound",
           "Claim",
           "Dots",
           "Lines",
           "Measured",
           "Source",
           "Verdict",
           "about",
           "catalogue",
           "judge",
           "recorded",
           "report",
           "run",
]  # fmt: skip
