"""SOAP: Adam in the eigenbasis of Shampoo's factors needs fewer steps than AdamW.

The next byte of Python's source by a small transformer, all of it by one method. The control is SOAP without any basis:
all that is left is Adam with SOAP's numbers, one step late.
"""

from __future__ import annotations

from functools import partial

from steepest.claims.lab.base import Bound, Claim, Source
from steepest.claims.lab.factors import fewer_steps

CLAIMS = (
    Claim(
        name="soap-fewer-steps",
        sentence="SOAP reduces the number of iterations by over 40% compared to AdamW in language model pre-training.",
        source=Source("vyas2024soap", "abstract"),
        methods=("SOAP",),
        bounds=(
            Bound("part", "≤", 0.8, "steps to AdamW's last held-out loss, as a part of its steps, mean over seeds, both at "
                  "their best of four learning rates"),
            Bound("part_worst", "<", 1.0, "the same, worst seed"),
        ),
        experiment=partial(fewer_steps, "SOAP", {}, {"max_dim": 0}),
        control="no factors: Adam with the same decay rates, one step late, at its best of four learning rates",
        seeds=3,
        minutes=3,
        untested="Models of 360 million weights and large batches, as in the paper; time. A two-layer byte-level transformer "
        "has 240 steps here, where most of the loss falls early, and the limit is less than the paper's 40%.",
    ),
)  # fmt: skip
