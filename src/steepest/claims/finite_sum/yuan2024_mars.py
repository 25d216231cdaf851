"""MARS: AdamW on gradients corrected by their last change.

The byte-level transformer on Python's source; MARS-AdamW against AdamW, each at its best of four learning rates. The
control takes the correction away (γ = 0) and leaves everything else of MARS, its betas and its clip, so that a gain that
comes from those is not counted for the correction.
"""

from __future__ import annotations

from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.baselines import last, tuned


def experiment(fast: bool, control: bool) -> Measured:
    """Held-out losses, paired by seed."""
    seeds = 1 if fast else 3
    adam, mars = tuned("AdamW", fast, seeds), tuned("MARS", fast, seeds)
    if control:
        mars = tuned("MARS", fast, seeds, (("gamma", 0.0),), mars[0].lr)
    gains = [a.curve[-1] - m.curve[-1] for a, m in zip(adam, mars, strict=True)]
    numbers = {"gain_worst": min(gains), "gain": last(adam) - last(mars), "MARS": last(mars), "AdamW": last(adam),
               "lr MARS": mars[0].lr, "lr AdamW": adam[0].lr}  # fmt: skip
    curves = {label: (runs[0].times, [r.curve for r in runs]) for label, runs in (("MARS", mars), ("AdamW", adam))}
    return Measured(numbers, [Lines("held-out loss", "steps", "nats a byte", curves)])


CLAIMS = (
    Claim(
        name="mars-beats-adamw",
        sentence="Scaled variance reduction makes AdamW train language models to a lower loss.",
        source=Source("yuan2024mars", "abstract and the GPT-2 experiments"),
        methods=("MARS",),
        rows=("001-163",),
        bounds=(Bound("gain_worst", ">", 0.0, "nats a byte below AdamW on held-out text, worst seed"),),
        experiment=experiment,
        control="γ = 0: no correction, all else as in MARS",
        seeds=3,
        minutes=2.0,
        untested="GPT-2; the exact variant, which asks for a second gradient on the same batch, and its variance reduction.",
    ),
)
