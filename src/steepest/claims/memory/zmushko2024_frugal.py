"""FRUGAL: state for a quarter of each matrix, sign descent for the rest, and hardly any loss.

The byte-level transformer on Python's source. FRUGAL (16 of 64 columns with Adam's moments, all others by their sign) is
compared with GaLore at the same rank and with AdamW, each at its best of four learning rates. The control switches the
state-free part off, so that three quarters of each matrix stand still until the next refresh.
"""

from __future__ import annotations

from typing import Any

from steepest.claims.lab.base import Bound, Claim, Lines, Measured, Source
from steepest.claims.lab.baselines import last, tuned

Extra = tuple[tuple[str, Any], ...]


def charted(fast: bool) -> Extra:
    """Rank and period: a quarter of the width, and six periods in a run."""
    return (("rank", 8), ("every", 20)) if fast else (("rank", 16), ("every", 50))


def experiment(fast: bool, control: bool) -> Measured:
    """Held-out losses and bytes of state."""
    seeds = 1 if fast else 3
    adam, galore = tuned("AdamW", fast, seeds), tuned("GaLore", fast, seeds, charted(fast))
    frugal = tuned("FRUGAL", fast, seeds, charted(fast))
    if control:
        frugal = tuned("FRUGAL", fast, seeds, (*charted(fast), ("rest", 0.0)), frugal[0].lr)
    numbers = {
        "state_ratio": frugal[0].state / adam[0].state,
        "to_adam": last(frugal) - last(adam),
        "to_galore": last(frugal) - last(galore),
        "galore_state_ratio": galore[0].state / adam[0].state,
        "FRUGAL": last(frugal), "GaLore": last(galore), "AdamW": last(adam),
        "lr FRUGAL": frugal[0].lr, "lr GaLore": galore[0].lr, "lr AdamW": adam[0].lr,
    }  # fmt: skip
    curves = {label: (runs[0].times, [r.curve for r in runs])
              for label, runs in (("FRUGAL", frugal), ("GaLore", galore), ("AdamW", adam))}  # fmt: skip
    return Measured(numbers, [Lines("held-out loss", "steps", "nats a byte", curves)])


CLAIMS = (
    Claim(
        name="frugal-memory",
        sentence="Full-rank updates with low-rank state: FRUGAL beats GaLore at the same memory and comes close to Adam.",
        source=Source("zmushko2024frugal", "abstract and the pre-training experiments"),
        methods=("FRUGAL", "GaLore"),
        rows=("001-210", "002-29"),
        bounds=(
            Bound("state_ratio", "≤", 0.35, "bytes of optimizer state relative to AdamW's"),
            Bound("to_galore", "≤", 0.0, "nats a byte above GaLore on held-out text, mean over seeds"),
            Bound("to_adam", "≤", 0.05, "nats a byte above AdamW, mean over seeds"),
        ),
        experiment=experiment,
        control="no state-free part (φ = 0)",
        seeds=3,
        minutes=2.5,
        untested="Llama models of 60M and more, fine-tuning, block-wise choice of what has state, BAdam and LoRA.",
        note="All matrices are split here, the embedding and the output too; the paper leaves those to Adam.",
    ),
)
