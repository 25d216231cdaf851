"""AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101): decay apart from the gradient."""

from __future__ import annotations

import torch

import steepest
from steepest import geometry
from tests.oracle.equations import adam
from tests.oracle.problems import Linear
from tests.rows import MOST, MOST_TERMS, TWO, B, Hand, Pair, Row, Setting

CONTRACT = {
    "AdamW": Setting({"lr": 0.03, "weight_decay": 0.1}, root=True),
}


ORACLE = [
    Row("AdamW", adam, {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1},
        {**B, "eps": 1e-3, "decoupled": 0.1}, lr=0.03),
]  # fmt: skip
HANDS = [
    # the same directions; x₁ = 0.85 x - 0.3 d₁, x₂ = 0.7 x₁ - 0.6 d₂
    Hand("AdamW", steepest.AdamW, {**MOST, "weight_decay": 0.5}, adam, {**MOST_TERMS, "decoupled": 0.5},
         Linear([1, -1], *TWO), [0.3, 0.6], [(0.7, -0.65), (0.59, -0.055)]),
]  # fmt: skip
TORCH = [
    Pair(steepest.AdamW, torch.optim.AdamW, {"lr": 0.03}),
    Pair(steepest.AdamW, torch.optim.AdamW, {"lr": 0.03, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.3}),
]


GEOMETRIES = {
    "decay": geometry.Decay(weight_decay=0.25),
}
