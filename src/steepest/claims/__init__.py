"""Claims: papers' headline sentences as experiments that can fail, and what came out.

``CLAIMS`` is the index, and ``BROKEN`` what could not be read into it; ``run`` runs some of them, ``report`` writes the
page, ``recorded`` is what the full profile gave when it was last run for this version. Each folder here is an area with a
file a paper and its record beside it; ``lab`` is what claims share.

    >>> from steepest import claims
    >>> claims.CLAIMS["sam-flatter"].inequality
    "largest Hessian eigenvalue relative to SGD's, worst seed < 0.9"
"""

from __future__ import annotations

from steepest.claims.lab.base import Bound, Claim, Dots, Lines, Measured, Source, Verdict, judge
from steepest.claims.lab.index import BROKEN, CLAIMS, about, catalogue
from steepest.claims.lab.record import recorded, run
from steepest.claims.lab.report import report

__all__ = [
           "BROKEN",
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
