"""GaLore: Adam's moments in a quarter of the dimensions of each matrix, chosen by the gradient and chosen anew.

The byte-level transformer. The control draws one random subspace and keeps it: then all of the training happens in a
quarter of the dimensions, and it is not the gradient's quarter.
"""

from __future__ import annotations

from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.baselines import last, tuned
from steepest.claims.memory.zmushko2024_frugal import charted


def experiment(fast: bool, control: bool) -> Measured:
    """Held-out losses and bytes of state."""
    seeds = 1 if fast else 3
    adam, galore = tuned("AdamW", fast, seeds), tuned("GaLore", fast, seeds, charted(fast))
    if control:
        rank = charted(fast)[0]
        galore = tuned("GaLore", fast, seeds, (rank, ("projection", "random"), ("every", 10**9)), galore[0].lr)
    numbers = {"state_ratio": galore[0].state / adam[0].state, "above": last(galore) - last(adam), "GaLore": last(galore),
               "AdamW": last(adam), "lr GaLore": galore[0].lr, "lr AdamW": adam[0].lr}  # fmt: skip
    curves = {label: (runs[0].times, [r.curve for r in runs]) for label, runs in (("GaLore", galore), ("AdamW", adam))}
    return Measured(numbers, [Lines("held-out loss", "steps", "nats a byte", curves)])


CLAIMS = (
    Claim(
        name="galore-memory",
        sentence="Gradient low-rank projection cuts the optimizer state by up to 65 % and keeps the performance of full-rank "
        "training.",
        source=Source("zhao2024galore", "abstract"),
        methods=("GaLore",),
        bounds=(
            Bound("state_ratio", "≤", 0.35, "bytes of optimizer state relative to AdamW's, projectors included"),
            Bound(
                "above",
                "≤",
                0.05,
                "nats a byte above AdamW on held-out text, both at their best of four, mean over seeds",
            ),
        ),
        experiment=experiment,
        control="one random subspace for the whole run",
        seeds=3,
        minutes=2.0,
        untested="Llama models and the memory of a whole training run.",
    ),
)
