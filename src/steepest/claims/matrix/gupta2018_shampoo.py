"""Shampoo: inverse roots of the moments of rows and columns need fewer steps than AdamW, at steps as long as Adam's.

The next byte of Python's source by a small transformer, all of it by one method. The control leaves out both factors of every
tensor: all that is left is the method whose length is grafted, Adam.
"""

from __future__ import annotations

from functools import partial

from steepest.claims.lab.base import Bound, Claim, Source
from steepest.claims.lab.factors import fewer_steps

CLAIMS = (
    Claim(
        name="shampoo-fewer-steps",
        sentence="Shampoo with grafting converges in fewer steps than Adam on Transformers.",
        source=Source("anil2020scalable", "abstract and experiments: machine translation with a Transformer"),
        methods=("Shampoo",),
        bounds=(
            Bound("part", "≤", 0.8, "steps to AdamW's last held-out loss, as a part of its steps, mean over seeds, both at "
                  "their best of four learning rates"),
            Bound("part_worst", "<", 1.0, "the same, worst seed"),
        ),
        experiment=partial(fewer_steps, "Shampoo", {"weight_decay": 0.01, "roots": "eigh"}, {"large": "skip", "block": 1}),
        control="no factors: Adam, at its best of four learning rates",
        seeds=3,
        minutes=3,
        untested="Anything larger than a two-layer byte-level transformer and 240 steps; time, which the paper is about.",
    ),
)  # fmt: skip
